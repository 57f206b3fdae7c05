/* set, on processes that nothing can interrupt, that are half gone, or that die meanwhile: it never waits for them, and
 * says what came of it. */
#include "tests/cli/set/set.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

/* As /proc has it; of the whole process the first thread's. */
static char state_of(pid_t pid) {
    const char *stat = file_text(text("/proc/%d/stat", (int)pid)), *end = stat ? strrchr(stat, ')') : NULL;
    return end ? end[2] : 0;
}

static void wait_state(pid_t pid, char state) {
    for (int i = 0; i < 20000 && state_of(pid) != state; i++)
        usleep(1000);
    cr_assert_eq(state_of(pid), state, "it is in %c, not %c", state_of(pid), state);
}

static int linger2_of(pid_t pid) {
    const int fd = victim_socket(pid, 0), value = socket_option(fd, IPPROTO_TCP, TCP_LINGER2);
    close(fd);
    return value;
}

/* In uninterruptible sleep. The library in it reads its letter when that is over. */
Test(set_stuck, a_process_in_uninterruptible_sleep_is_set_at_once) {
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        ns_enter();
        own_default();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        const char *log = scratch_path();
        struct victim v = victim_start(preloaded ? text("LOG=%s", log) : NULL, "stuck vfork 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "child ");
        wait_state(v.pid, 'D');
        json_t *json = set_json(0, v.pid, "linger=ack-always", NULL);
        cr_expect_eq(state_of(v.pid), 'D');
        cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), preloaded ? "library" : "outside");
        if (preloaded)
            cr_expect(json_is_false(json_find(json, "processes.0.in_force")));
        cr_expect_eq(linger2_of(v.pid), -1, "preloaded %d: %d", preloaded, linger2_of(v.pid));
        kill((pid_t)atoi(strstr(victim_out(&v), "child ") + 6), SIGKILL);
        cr_expect_eq(victim_wait(&v).status, 0);
        peer_wait_ended(&peer, 2);
        cr_expect_eq(ns_tw(), preloaded ? 0 : 1, "preloaded %d: %ld", preloaded, ns_tw());
        if (preloaded)
            cr_expect_eq(log_number(log_line(file_text(log), 0), "avoided"), 2, "%s", file_text(log));
    }
}

/* A page that is never there, as of a file system that does not answer. */
Test(set_stuck, a_process_that_waits_for_memory_is_set_at_once) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        struct victim v = victim_start(preloaded ? "SET=on" : NULL, "stuck fault 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "open ");
        if (strstr(victim_out(&v), "open 0"))
            cr_skip("userfaultfd(2) is not to be had");
        wait_state(v.pid, 'S');
        json_t *json = set_json(0, v.pid, "linger=ack-always", NULL);
        cr_expect_eq(state_of(v.pid), 'S');
        cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), preloaded ? "library" : "outside");
        cr_expect_eq(linger2_of(v.pid), -1);
        victim_kill(&v, SIGKILL);
    }
}

/* The number is a zombie's; the descriptors, the memory and the library are there. */
Test(set_stuck, a_process_whose_first_thread_has_ended_is_reached) {
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        ns_enter();
        own_default();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct victim v = victim_start(preloaded ? "SET=on" : NULL, "stuck leader 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "open ");
        wait_state(v.pid, 'Z');
        struct ended e = command(NULL, "set", "--json", "--pid", text("%d", (int)v.pid), "linger=ack-always", NULL);
        cr_assert_eq(e.status, 0, "%s", e.err);
        json_t *json = json_loads(e.out, 0, NULL);
        cr_expect_eq(json_number(json, "processes.0.set"), 1, "%s", e.out);
        cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), preloaded ? "library" : "outside");
        kill(v.pid, SIGUSR1);
        cr_expect_eq(victim_wait(&v).status, 0);
        peer_wait_ended(&peer, 2);
        cr_expect_eq(ns_tw(), preloaded ? 0 : 1, "preloaded %d: %ld", preloaded, ns_tw());
    }
}

/* Killed at any moment of it: before, while its 200 sockets are being set, after. Each time it is told which. */
Test(set_stuck, a_process_that_dies_meanwhile_is_said_to_have_ended) {
    enum { ROUNDS = 40 };
    unsigned reached = 0;
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct victim v = victim_start(i % 2 ? "SET=on" : NULL, "connect_many 127.0.0.1 %u 200 -w", peer.port);
        victim_wait_out(&v, "ready");
        struct victim set = victim_start_argv(NULL, (const char *const[]){ command_path(), "set", "--json", "--pid",
                                                                           text("%d", (int)v.pid), "linger=ack-always",
                                                                           NULL });
        usleep(i * 250);
        victim_kill(&v, SIGKILL);
        struct ended e = victim_wait(&set);
        json_t *json = json_loads(e.out, 0, NULL);
        cr_expect(json, "%u: %d, %s%s", i, e.status, e.out, e.err);
        reached += e.status == 0;
        if (e.status != 0) {
            cr_expect_eq(e.status, 1, "%u: %d", i, e.status);
            cr_expect(strstr(e.err, "it has ended") || strstr(e.err, "there is no process") ||
                          strstr(e.err, "no TCP socket"),
                      "%u: %s", i, e.err);
        }
    }
    cr_log_info("%u of %d were reached before they died", reached, ROUNDS);
}
