/* set, where the library is in the process: what it opens from then on has the policy, and its counts stay exact. */
#include "cli/kernel/mailbox.h"
#include "tests/cli/set/set.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static int option_of(pid_t pid, unsigned nth, int level, int name) {
    const int fd = victim_socket(pid, nth), value = socket_option(fd, level, name);
    close(fd);
    return value;
}

/* ---- counts --------------------------------------------------------------------------------------------------- */

/* How many TIME_WAITs the kernel ever made, not how many it has: the first may be over, a minute after, where the machine
 * is busy. */

/* One change after the other while clients come, each of which the server ends: what the kernel keeps, and what it does
 * not, is what the log says. */
Test(set_library, counts_stay_exact_across_ten_changes) {
    static const char *const changes[] = {
        "linger=ack",  "linger=off", "linger=ack-always", "rules=listen :10000 linger=off",
        "rules=",      "linger=off", "keepalive=60",      "linger=ack",
        "override=on", "linger=off"
    };
    enum { EACH = 20 };
    ns_enter();
    own_default();
    const char *log = scratch_path();
    struct victim v = victim_start(text("LOG=%s", log), "server_close 127.0.0.1 10000 -n %u -q 1 -b 100",
                                   (unsigned)(ROWS(changes) + 1) * EACH);
    ns_wait_listen(10000);
    for (size_t i = 0; i <= ROWS(changes); i++) {
        struct client_result r = client_run(&(struct client_options){ .port = 10000, .n = EACH, .send = 1 });
        cr_expect_eq(r.clean, EACH, "%zu: %u clean", i, r.clean);
        if (i < ROWS(changes)) {
            json_t *json = set_json(0, v.pid, changes[i], NULL);
            cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), "library");
        }
    }
    cr_assert_eq(victim_wait(&v).status, 0);
    const struct books books = books_of("all", 10000);
    const struct tally counted = tally_log("all", log);
    cr_expect_eq(counted.established, (long)(ROWS(changes) + 1) * EACH);
    cr_expect_eq(counted.time_wait + counted.avoided, counted.established, "%ld, %ld", counted.time_wait,
                 counted.avoided);
    cr_expect_eq(counted.time_wait, books.made, "%ld, the kernel made %ld", counted.time_wait, books.made);
    cr_expect_eq(counted.avoided, 5 * EACH, "%ld", counted.avoided);
    const char *line = log_line(file_text(log), 0);
    cr_expect(strstr(log_text(line, "policy"), "linger=off") && log_text(line, "policy_since"), "%s", line);
}

/* Threads that open and close while the policy changes under them. */
Test(set_library, threads_and_their_counts_are_as_exact) {
    ns_enter();
    own_default();
    struct peer peer = script_start("ec", 0);
    const char *log = scratch_path();
    struct victim v = victim_start(text("LOG=%s|LINGER=off", log), "threads own 127.0.0.1 %u 400", peer.port);
    unsigned changes = 0;
    for (; victim_runs(&v) && changes < 10; changes++) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)v.pid);
        command(NULL, "set", "--pid", pid, changes % 2 ? "linger=off" : "linger=ack-always", "keepalive=60", NULL);
    }
    struct ended e = victim_wait(&v);
    cr_expect_eq(e.status, 0, "%s%s", e.out, e.err);
    ns_settle();
    while (ns_count(ST_FIN_WAIT2, 0, peer.port)) /* the peer is yet to close */
        usleep(1000);
    const long kernel = books_of("threads", peer.port).made;
    const struct tally counted = tally_log("all", log);
    cr_expect_gt(changes, 0);
    cr_expect_eq(counted.time_wait, kernel, "%ld, the kernel has %ld; %u changes: %s", counted.time_wait, kernel,
                 changes, file_text(log));
}

/* The first descriptor from there on that the library knows, as soon as there is one: nobody closes it now. */
static int claim_next(const struct af_inside *inside, uint32_t serial, int from) {
    for (int fd = from;; fd = fd < 64 ? fd + 1 : from) {
        const enum af_claim claim = af_inside_claim(inside, serial, fd);
        if (claim == AF_CLAIM_OURS)
            return fd;
        cr_assert_eq(claim, AF_CLAIM_UNKNOWN, "%d: %d", fd, claim);
        af_inside_release(inside);
    }
}

/* The command's part, step by step: as long as it is at work at a socket nobody closes that one, and whoever reads the letter
 * comes after. Its policy is another than what was set from outside. */
Test(set_library, whoever_closes_a_socket_that_is_being_set_waits_for_that) {
    static const char letter[] = "AFTERFIN_LINGER=off";
    struct af_inside inside;
    uint32_t serial;
    char byte;
    ns_enter();
    own_default();
    const char *log = scratch_path();
    struct victim v = victim_start(text("LOG=%s", log), "server_close 127.0.0.1 10000 -n 1 -q 1");
    ns_wait_listen(10000);
    struct sockaddr_storage to;
    const socklen_t size = to_sockaddr("127.0.0.1", 10000, &to);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&to, size), 0);
    cr_assert_eq(af_inside_read(v.pid, &inside), 0);
    const int listener = claim_next(&inside, 0, 0), accepted = claim_next(&inside, 0, listener + 1);
    cr_assert_eq(af_inside_post(&inside, letter, sizeof letter, &serial), 0); /* it reads from the connection by now */
    cr_assert_eq(af_inside_claim(&inside, serial, accepted), AF_CLAIM_OURS);
    const int always = -1, copy = victim_socket(v.pid, 1);
    cr_assert_eq(send(client, "x", 1, 0), 1);
    cr_expect_eq(poll(&(struct pollfd){ .fd = client, .events = POLLIN }, 1, 50), 0, "it was closed");
    cr_assert_eq(setsockopt(copy, IPPROTO_TCP, TCP_LINGER2, &always, sizeof always), 0);
    close(copy);
    af_inside_release(&inside);
    cr_expect_eq(recv(client, &byte, 1, 0), 0);
    cr_assert_eq(victim_wait(&v).status, 0);
    close(client);
    const struct books books = books_of("one", 10000);
    const struct tally counted = tally_log("one", log);
    cr_expect_eq(counted.time_wait, 1, "%s", file_text(log));
    cr_expect_eq(books.made, 1, "%ld", books.made);
    af_inside_free(&inside);
}

/* ---- its memory ------------------------------------------------------------------------------------------------- */

static long vm_size(pid_t pid) {
    const char *at = strstr(file_text(text("/proc/%d/status", (int)pid)), "VmSize:");
    return at ? atol(at + strlen("VmSize:")) : -1;
}

/* One whose rules take a room of their own, the last of which is bad. */
static void post_refused(struct af_inside *inside) {
    char letter[AF_LETTER_ROOM];
    uint32_t serial;
    size_t n = (size_t)sprintf(letter, "AFTERFIN_RULES=");
    for (int i = 0; i < 200; i++)
        n += (size_t)sprintf(letter + n, "connect :%d linger=ack;", 20000 + i);
    n += (size_t)sprintf(letter + n, "connect * linger=on");
    cr_assert_eq(af_inside_post(inside, letter, (uint32_t)n + 1, &serial), 0);
    do
        cr_assert(usleep(1000) == 0 && af_inside_look_again(inside) == 0);
    while (inside->refused != serial);
}

Test(set_library, of_a_letter_that_is_refused_nothing_stays) {
    struct af_inside inside;
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start("LINGER=ack", "connect_close 127.0.0.1 %u -n 100000 -i 1", peer.port);
    peer_wait_accepted(&peer, 20);
    cr_assert_eq(af_inside_read(v.pid, &inside), 0);
    post_refused(&inside);
    const long before = vm_size(v.pid);
    for (int i = 0; i < 20; i++)
        post_refused(&inside);
    cr_expect_eq(vm_size(v.pid), before, "%ld KiB, before %ld", vm_size(v.pid), before);
    af_inside_free(&inside);
    victim_kill(&v, SIGKILL);
    peer_stop(&peer);
}

/* ---- which sockets ---------------------------------------------------------------------------------------------- */

Test(set_library, what_it_opens_from_then_on_has_the_policy) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *log = scratch_path();
    struct victim v = victim_start(text("LOG=%s", log), "connect_close 127.0.0.1 %u -n 600 -i 5", peer.port);
    peer_wait_accepted(&peer, 20);
    set_json(0, v.pid, "linger=ack-always", NULL);
    cr_assert_eq(victim_wait(&v).status, 0);
    const struct books books = books_of("connects", peer.port);
    const struct tally counted = tally_log("connects", log);
    cr_expect_eq(counted.time_wait, books.made, "%ld, the kernel made %ld", counted.time_wait, books.made);
    cr_expect_gt(counted.time_wait, 0);
    cr_expect_gt(counted.avoided, 0);
}

Test(set_library, off_takes_back_what_the_library_has_set_and_not_what_the_program_has) {
    static const struct {
        const char *settings, *own, *policy;
        int keepalive, timeout, linger2;
    } rows[] = {
        { "KEEPALIVE=60|USER_TIMEOUT=9s|LINGER=ack-always", "", "keepalive=off", 0, 9000, -1 },
        { "KEEPALIVE=60|USER_TIMEOUT=9s|LINGER=ack-always", "", "user_timeout=off", 1, 0, -1 },
        { "KEEPALIVE=60|USER_TIMEOUT=9s|LINGER=ack-always", "", "linger=off", 1, 9000, 60 },
        { "KEEPALIVE=60", "-O keepalive:1 -O keepidle:99", "keepalive=off", 1, 0, 60 },
        { "LINGER=ack-always", "-O linger2:5", "linger=off", 0, 0, 5 },
        { "RULES=connect * keepalive=60", "", "rules=", 0, 0, 60 },
    };
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct victim v = victim_start(rows[i].settings, "connect_hold 127.0.0.1 %u %s", peer.port, rows[i].own);
        peer_wait_accepted(&peer, i + 1);
        victim_wait_out(&v, "open");
        set_json(0, v.pid, rows[i].policy, NULL);
        cr_expect_eq(option_of(v.pid, 0, SOL_SOCKET, SO_KEEPALIVE), rows[i].keepalive, "row %u", i);
        cr_expect_eq(option_of(v.pid, 0, IPPROTO_TCP, TCP_USER_TIMEOUT), rows[i].timeout, "row %u", i);
        cr_expect_eq(option_of(v.pid, 0, IPPROTO_TCP, TCP_LINGER2), rows[i].linger2, "row %u: %d", i,
                     option_of(v.pid, 0, IPPROTO_TCP, TCP_LINGER2));
        victim_kill(&v, SIGKILL);
    }
}

/* ---- who may not ------------------------------------------------------------------------------------------------ */

Test(set_library, says_where_the_library_is_not_told_and_why) {
    static const struct {
        const char *settings;
        int status;
        const char *how, *says;
    } rows[] = {
        { "SET=off|LINGER=off|LOG=/dev/null", 1, NULL, "it forbids it: AFTERFIN_SET=off" },
        { "SET=off", 1, NULL, "it forbids it: AFTERFIN_SET=off" },
        { "", 0, "outside", "the library in it sleeps" },
        { "LINGER=ack|SKIP=connect_hold", 0, "outside", "the library in it sleeps" },
        { "LINGRE=ack", 0, "outside", "the library in it sleeps" },
        { "SET=on", 0, "library", "" },
        { "LOG=/dev/null", 0, "library", "" },
    };
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROWS(rows); i++) {
        char pid[16];
        struct victim v = victim_start(rows[i].settings, "connect_hold 127.0.0.1 %u", peer.port);
        peer_wait_accepted(&peer, i + 1);
        snprintf(pid, sizeof pid, "%d", (int)v.pid);
        struct ended e = command(NULL, "set", "--json", "--pid", pid, "linger=ack-always", NULL);
        cr_expect_eq(e.status, rows[i].status, "row %u: %d: %s", i, e.status, e.err);
        cr_expect(strstr(e.err, rows[i].says), "row %u: %s", i, e.err);
        const json_t *how = json_find(json_loads(e.out, 0, NULL), "processes.0.how");
        cr_expect(rows[i].how ? strcmp(json_string_value(how), rows[i].how) == 0 : json_is_null(how), "row %u: %s", i,
                  e.out);
        cr_expect_eq(option_of(v.pid, 0, IPPROTO_TCP, TCP_LINGER2) < 0, rows[i].how != NULL, "row %u", i);
        victim_kill(&v, SIGKILL);
    }
}

/* The file of rules that another user's process names is his to read or not, whatever root could; and it is looked for below
 * his root alone. */
Test(set_library, root_reads_no_file_for_another_user_that_he_could_not_read) {
    enum { NOBODY = 65534, FIRST = 7000, SECRET = 9000 };
    static const char *const secrets[] = { "mkdir -m 700 rules.d && mv secret rules.d/ && ln -sf rules.d/secret rules",
                                           "chmod 600 secret && ln -sf secret rules",
                                           "chmod 640 secret && ln -f secret rules", "rm rules; mkfifo rules",
                                           "ln -sf /dev/zero rules" };
    if (geteuid() != 0)
        cr_skip_test("only root could read more");
    build_for_all();
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROWS(secrets); i++) {
        const char *directory = directory_made(), *program = victim_path("connect_hold");
        cr_assert_eq(shell("cd %s && chmod 755 . && echo 'connect * user_timeout=%dms' >rules && chmod 644 rules && "
                           "echo 'connect * user_timeout=%dms' >secret",
                           directory, FIRST, SECRET)
                         .status,
                     0);
        struct victim v = victim_start(text("RULES=%s/rules", directory),
                                       "setpriv --reuid=%d --regid=%d --clear-groups %s 127.0.0.1 %u", NOBODY, NOBODY,
                                       program, peer.port);
        peer_wait_accepted(&peer, i + 1);
        victim_wait_out(&v, "open");
        cr_assert_eq(shell("cd %s && %s", directory, secrets[i]).status, 0, "row %u", i);
        json_t *json = set_json(0, v.pid, "keepalive=60", NULL);
        cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), "outside", "row %u", i);
        const char *note = json_string_value(json_find(json, "processes.0.note"));
        cr_expect(note && strstr(note, "its own settings cannot be read"), "row %u: %s", i, json_dumps(json, 0));
        cr_expect_eq(option_of(v.pid, 0, SOL_SOCKET, SO_KEEPALIVE), 1, "row %u", i);
        cr_expect_eq(option_of(v.pid, 0, IPPROTO_TCP, TCP_USER_TIMEOUT), FIRST, "row %u: %d", i,
                     option_of(v.pid, 0, IPPROTO_TCP, TCP_USER_TIMEOUT));
        victim_kill(&v, SIGKILL);
        directory_removed(directory);
    }
}

/* ---- who says it ------------------------------------------------------------------------------------------------ */

Test(set_library, its_ledger_says_the_policy_in_force_and_since_when) {
    ns_enter();
    own_default();
    const char *directory = new_directory();
    struct victim v = victim_start(text("LEDGER=%s", directory), "server_close 127.0.0.1 10000 -n 9 -q 1 -b 1");
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)v.pid);
    ns_wait_listen(10000);
    client_run(&(struct client_options){ .port = 10000, .n = 3, .send = 1 });
    struct ended bare = command(NULL, "who", "-d", directory, "--json", NULL);
    cr_expect(!strstr(bare.out, "policy_since"), "%s", bare.out);
    set_json(0, v.pid, "linger=ack-always", NULL);
    client_run(&(struct client_options){ .port = 10000, .n = 3, .send = 1 });
    json_t *json = json_loads(command(NULL, "who", "-d", directory, "--json", NULL).out, 0, NULL);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.policy")), "linger=ack-always");
    cr_expect_gt(json_number_value(json_find(json, "processes.0.policy_since")), 1e9);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 3);
    struct ended e = command(NULL, "who", "-d", directory, NULL);
    cr_expect(strstr(e.out, "linger=ack-always since "), "%s", e.out);
    e = command(NULL, "doctor", "--pid", pid, NULL);
    cr_expect(strstr(e.out, "in force since ") && strstr(e.out, ": linger=ack-always\n"), "%s", e.out);
    victim_kill(&v, SIGKILL);
}
