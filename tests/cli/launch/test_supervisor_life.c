/* Static programs, reached from outside, where it is narrow: as process 1, in a container's profile, among signals, without a
 * terminal. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *static_victim(const char *name) {
    return victim_path(text("static/%s", name));
}

#define CLIENT_ARGUMENTS static_victim("connect_close"), "127.0.0.1", text("%u", peer.port), "-n", "20", "-b", "100"

/* ---- process 1 ------------------------------------------------------------------------------------------------ */

#define NAMESPACE "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", command_path(), "run"

Test(supervisor_life, as_process_1_without_a_terminal_it_treats_and_counts) {
    struct ended e = run(NULL, "unshare --pid --fork --mount-proc true");
    if (e.status)
        cr_skip("no pid namespace: %s", e.err);
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (int treated = 0; treated < 2; treated++) {
        const char *path = scratch_path();
        const long before = ns_tw();
        e = run_argv(NULL, (const char *[]){ "setsid", "--wait", NAMESPACE, "-q", text("--json=%s", path), "-p",
                                             treated ? "linger=ack" : "linger=off", CLIENT_ARGUMENTS, NULL });
        cr_assert_eq(e.status, 0, "%s", e.err);
        peer_expect_clean(&peer, (unsigned)treated * 20, 20, 100, treated ? "ack" : "off");
        cr_expect_eq(ns_tw() - before, treated ? 0 : 20, "treated %d: %ld", treated, ns_tw() - before);
        json_t *json = json_load_file(path, 0, NULL);
        cr_expect_eq(json_number(json, "processes.0.connects"), 20, "%s", file_text(path));
    }
    e = run_argv(NULL, (const char *[]){ NAMESPACE, "--exec", "-p", "linger=ack", CLIENT_ARGUMENTS, NULL });
    cr_expect_eq(e.status, 125, "%d", e.status);
    cr_expect(strstr(e.err, "with --exec as process 1"), "%s", e.err);
}

/* ---- a container ---------------------------------------------------------------------------------------------- */

/* Docker's list is enough for the second way, for the library, and, with the capability's calls, for the first way. */
Test(supervisor_life, what_docker_s_default_profile_allows_is_enough) {
    static const struct {
        bool may_take, is_static;
        const char *says;
    } rows[] = { { false, true, "makes its sockets" }, { true, true, "by a supervisor" }, { false, false, "" } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    unsigned had = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *program = rows[i].is_static ? static_victim("connect_close") : victim_path("connect_close");
        for (int nested = 0; nested < 2; nested++) {
            const char *argv[32] = { victim_path("docker_exec") };
            size_t n = 1;
            if (rows[i].may_take)
                argv[n++] = text("+%ld", (long)SYS_pidfd_getfd);
            for (int runs = 0; runs <= nested; runs++) {
                const char *const run_words[] = { command_path(), "run", "-q", "-s", "-p", "linger=ack-always" };
                for (size_t k = 0; k < sizeof run_words / sizeof *run_words; k++)
                    argv[n++] = run_words[k];
            }
            const char *const client[] = { program, "127.0.0.1", text("%u", peer.port), "-n", "20", "-b", "100" };
            for (size_t k = 0; k < sizeof client / sizeof *client; k++)
                argv[n++] = client[k];
            struct ended e = run_argv(NULL, argv);
            cr_assert_eq(e.status, 0, "row %zu, nested %d: %s", i, nested, e.err);
            cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
            cr_expect_eq(strstr(e.err, "under the supervisor of another afterfin already") != NULL, nested,
                         "row %zu: %s", i, e.err);
            peer_expect_clean(&peer, had, 20, 100, text("row %zu, nested %d", i, nested));
            had += 20;
            cr_expect_eq(ns_tw(), 0, "row %zu, nested %d: %ld", i, nested, ns_tw());
        }
    }
}

/* Docker 20.10, of Debian 12, lets nobody read another's memory by the system call for it. */
Test(supervisor_life, an_older_docker_s_profile_hides_no_program_s_name) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *path = scratch_path();
    struct ended e = run_argv(NULL,
                              (const char *[]){ victim_path("docker_exec"), text("-%ld", (long)SYS_process_vm_readv),
                                                command_path(), "run", "-q", text("--json=%s", path), "-p",
                                                "linger=ack-always", static_victim("connect_close"), "127.0.0.1",
                                                text("%u", peer.port), "-n", "20", "-b", "100", NULL });
    cr_assert_eq(e.status, 0, "%s", e.err);
    peer_expect_clean(&peer, 0, 20, 100, "older");
    cr_expect_eq(ns_tw(), 0, "%ld", ns_tw());
    json_t *json = json_load_file(path, 0, NULL);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.program")), "connect_close", "%s", file_text(path));
}

/* ---- signals -------------------------------------------------------------------------------------------------- */

/* One that restarts what it interrupts is never seen. One that does not may come before the supervisor has looked, and then
 * the connect has not begun: that is for the program to make again. */
Test(supervisor_life, signals_that_restart_end_no_connect_and_others_lose_none) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (int restart = 0; restart < 2; restart++) {
        struct ended e = command(NULL, "run", "-q", "-p", "linger=ack-always", static_victim("interrupted"),
                                 "127.0.0.1", text("%u", peer.port), "2000", restart ? "restart" : NULL, NULL);
        cr_assert_eq(e.status, 0, "%s", e.err);
        cr_expect(strstr(e.out, "good 2000\n") && strstr(e.out, "signals came\n"), "%d: %s", restart, e.out);
        if (restart)
            cr_expect(strstr(e.out, "interrupted 0\n"), "%s", e.out);
        peer_wait_ended(&peer, (unsigned)(restart + 1) * 2000);
        cr_expect_eq(ns_tw(), 0, "%d: %ld", restart, ns_tw());
    }
}

/* Whatever is refused there is not for want of a kernel that has it. */
Test(supervisor_life, names_the_errno_where_there_is_no_room) {
    static const struct {
        const char *limit, *why;
    } rows[] = { { "ulimit -n 4", "seccomp(2): Too many open files" },
                 { "exec setpriv --reuid 42424 --regid 42424 --clear-groups prlimit --nproc=4",
                   "could not be set up: Resource temporarily unavailable" } };
    build_for_all();
    for (size_t i = 0; i < (geteuid() == 0 ? 2 : 1); i++) {
        const char *go = text("%s%s %s run -q -p linger=ack %s 127.0.0.1 1 -n 0", rows[i].limit, i ? "" : "; exec",
                              command_path(), static_victim("connect_close"));
        struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", go, NULL });
        cr_expect(strstr(e.err, rows[i].why), "%s: %s", rows[i].limit, e.err);
    }
}
