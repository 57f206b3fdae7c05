/* reap: it ends what was asked for, in the kernel's own books, and says so. */
#include "tests/cli/reap/reap.h"
#include "tests/harness/fabricate.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- which ---------------------------------------------------------------------------------------------------- */

Test(reap, ends_what_every_filter_takes_and_leaves_the_rest) {
    ns_enter();
    const char *directory = new_directory(), *settings = ledger_in(directory);
    struct peer one = peer_start(&(struct peer_options){ 0 }),
                six = peer_start(&(struct peer_options){ .address = "::1" });
    char to_one[32], here[64], elsewhere[64];
    struct stat pid_ns;
    cr_assert_eq(stat("/proc/self/ns/pid", &pid_ns), 0);
    snprintf(to_one, sizeof to_one, ":%u", one.port);
    for (int row = 0; row < 9; row++) {
        const pid_t pid = leave_at(settings, "127.0.0.1", one.port, 4);
        leave_at(settings, "::1", six.port, 3);
        leave_some(one.port, 2);
        cr_assert_eq(ns_sockstat("tw"), 9, "the test itself: row %d", row);
        snprintf(here, sizeof here, "%d@%llu", (int)pid, (unsigned long long)pid_ns.st_ino);
        snprintf(elsewhere, sizeof elsewhere, "%d@%llu", (int)pid, (unsigned long long)pid_ns.st_ino + 1);
        const struct {
            const char *filters[6];
            long one, six; /* that are to go */
        } rows[] = {
            { { "--all" }, 6, 3 },
            { { "--peer", "127.0.0.0/8" }, 6, 0 },
            { { "--peer", "::/0" }, 0, 3 },
            { { "--peer", to_one }, 6, 0 },
            { { "-d", directory, "--pid", number((unsigned)pid) }, 4, 0 },
            { { "-d", directory, "--pid", here }, 4, 0 },
            { { "-d", directory, "--pid", elsewhere }, 0, 0 },
            { { "-d", directory, "--peer", "::1", "--pid", number((unsigned)pid) }, 0, 0 },
            { { "--peer", "*", "--older-than", "59.9" }, 0, 0 },
        };
        cr_assert_eq(sizeof rows / sizeof *rows, 9);
        const char *const *f = rows[row].filters;
        json_t *json = reap_json(f[0], f[1], f[2], f[3], f[4], f[5]);
        const long all = rows[row].one + rows[row].six;
        cr_expect_eq((long)waiting(0, one.port), 6 - rows[row].one, "row %d: %zu", row, waiting(0, one.port));
        cr_expect_eq((long)waiting(0, six.port), 3 - rows[row].six, "row %d: %zu", row, waiting(0, six.port));
        cr_expect_eq(json_number(json, "matched"), all, "row %d: %ld", row, json_number(json, "matched"));
        cr_expect_eq(json_number(json, "ended"), all, "row %d: %ld", row, json_number(json, "ended"));
        cr_expect_eq(json_number(json, "time_wait_before"), 9, "row %d", row);
        cr_expect_eq(json_number(json, "time_wait_after"), 9 - all, "row %d", row);
        cr_expect_eq(ns_sockstat("tw"), 9 - all, "row %d: %ld", row, ns_sockstat("tw"));
        reap_json("--all");
    }
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How many TIME_WAITs towards the port are at least `age` seconds old, as /proc/net/tcp has it. */
static size_t older(unsigned port, double age) {
    struct ns_socket *rows;
    size_t n = ns_sockets(&rows), found = 0;
    for (size_t i = 0; i < n; i++)
        found += rows[i].state == ST_TIME_WAIT && rows[i].remote_port == port &&
                 60 - (double)rows[i].timer_ticks / 100 >= age;
    free(rows);
    return found;
}

static void wait_until_older(unsigned port, double age, size_t n) {
    while (older(port, age) < n)
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

Test(reap, ends_by_age) {
    ns_enter();
    struct peer old = peer_start(&(struct peer_options){ 0 }), young = peer_start(&(struct peer_options){ 0 });
    leave_some(old.port, 5);
    wait_until_older(old.port, 1.1, 5);
    const double begin = seconds();
    leave_some(young.port, 4);
    json_t *json = reap_json("--older-than", "1");
    const bool in_time = seconds() - begin < 0.9; /* a slow machine has made them old too */
    cr_expect_eq(waiting(0, old.port), 0);
    cr_expect_eq(json_number(json, "ended"), 9 - (long)waiting(0, young.port));
    if (in_time)
        cr_expect_eq(waiting(0, young.port), 4, "%zu", waiting(0, young.port));
}

/* Once with either peer as the older one's: the kernel's own order is that of neither age. */
Test(reap, stops_at_the_number_that_may_stay_the_oldest_going_first) {
    static const struct {
        const char *above;
        long ended, old, young;
    } rows[] = { { "13", 0, 6, 4 }, { "12", 1, 5, 4 }, { "8", 5, 1, 4 }, { "5", 8, 0, 2 }, { "0", 10, 0, 0 } };
    ns_enter();
    const struct peer peers[] = { peer_start(&(struct peer_options){ 0 }), peer_start(&(struct peer_options){ 0 }) };
    struct peer other = peer_start(&(struct peer_options){ .address = "::1" });
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        const char *above = rows[i / 2].above;
        const uint16_t old = peers[i % 2].port, young = peers[1 - i % 2].port;
        leave_at(NULL, "::1", other.port, 3);
        leave_some(old, 6);
        wait_until_older(old, 0.03, 6);
        leave_some(young, 4);
        json_t *json = reap_json("--peer", "127.0.0.1", "--above", above);
        cr_expect_eq(json_number(json, "matched"), 10, "above %s", above);
        cr_expect_eq(json_number(json, "chosen"), rows[i / 2].ended, "above %s", above);
        cr_expect_eq(json_number(json, "ended"), rows[i / 2].ended, "above %s", above);
        cr_expect_eq((long)waiting(0, old), rows[i / 2].old, "above %s: %zu", above, waiting(0, old));
        cr_expect_eq((long)waiting(0, young), rows[i / 2].young, "above %s: %zu", above, waiting(0, young));
        cr_expect_eq(waiting(0, other.port), 3, "above %s: what does not match stays", above);
        reap_json("--all");
    }
}

/* Two at once end each socket once, and what the other was quicker with has not expired. */
Test(reap, says_of_what_another_has_ended_that_it_has_not_expired) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    bool met = false;
    for (int i = 0; i < 50 && !met; i++) {
        fill_time_wait("127.0.0.1", peer.port, 20000, 29999);
        settle_towards(peer.port);
        struct victim first = command_start(NULL, "reap", "--all", NULL);
        struct ended second = command(NULL, "reap", "--all", NULL), ends[] = { victim_wait(&first), second };
        for (size_t k = 0; k < 2; k++) {
            const char *gone = strstr(ends[k].out, "gone when");
            met |= gone != NULL;
            cr_expect_eq(ends[k].status, 0, "%s", ends[k].err);
            cr_expect_not(strstr(ends[k].out, "expired"), "%s", ends[k].out);
            cr_expect_not(strstr(ends[k].out, "by themselves"), "%s", ends[k].out);
            cr_expect(!gone || strstr(gone, "ended by somebody else"), "%s", ends[k].out);
        }
        cr_expect_eq(waiting(0, peer.port), 0);
    }
    cr_expect(met, "they have never met");
}

Test(reap, counts_one_as_one) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 1);
    struct ended dry = command(NULL, "reap", "--peer", "127.0.0.1", "--dry-run", NULL);
    struct ended e = command(NULL, "reap", "--all", NULL);
    cr_expect(strstr(dry.out, "would end 1 of 1 TIME_WAIT socket that matches\n"), "%s", dry.out);
    cr_expect(strstr(e.out, "ended 1 of 1 TIME_WAIT socket\n"), "%s", e.out);
}

static bool connects(const char *port) {
    return run(NULL, "connect_close 127.0.0.1 %s", port).status == 0;
}

Test(reap, gives_a_client_its_ports_back) {
    ns_enter();
    ns_port_range(20000, 20049);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    fill_time_wait("127.0.0.1", peer.port, 20000, 20049);
    settle_towards(peer.port);
    cr_assert_not(connects(number(peer.port)), "the test itself: no port is free");
    reap_json("--peer", "127.0.0.1");
    cr_expect(connects(number(peer.port)));
}

Test(reap, leaves_every_socket_in_another_state_where_it_is) {
    ns_enter();
    struct peer plain = peer_start(&(struct peer_options){ 0 });
    struct peer holds = peer_start(&(struct peer_options){ .holds = true });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(holds.port), "-n", "3", NULL });
    struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u", plain.port);
    peer_wait_accepted(&plain, 1);
    leave_some(plain.port, 5);
    cr_assert_eq(ns_count(ST_FIN_WAIT2, 0, holds.port), 3, "the test itself: orphans");
    const size_t established = ns_count(ST_ESTABLISHED, 0, 0), listening = ns_count(ST_LISTEN, 0, 0);
    cr_assert_eq(ns_sockstat("tw"), 8, "the test itself");
    struct ended e = command(NULL, "reap", "--all", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect(strstr(e.out, "ended 5 of 5 TIME_WAIT sockets\n"), "%s", e.out);
    cr_expect(strstr(e.out, "sockstat: 8 TIME_WAIT before, 3 now; it counts 3 orphans in FIN_WAIT2 too, left alone\n"),
              "%s", e.out);
    cr_expect_eq(ns_count(ST_FIN_WAIT2, 0, holds.port), 3);
    cr_expect_eq(ns_count(ST_CLOSE_WAIT, holds.port, 0), 3);
    cr_expect_eq(ns_count(ST_ESTABLISHED, 0, 0), established);
    cr_expect_eq(ns_count(ST_LISTEN, 0, 0), listening);
    cr_expect_eq(ns_sockstat("tw"), 3);
    cr_expect_eq(json_number(reap_json("--all"), "fin_wait2"), 3);
    victim_kill(&v, SIGKILL);
}

/* ---- what it says --------------------------------------------------------------------------------------------- */

Test(reap, has_every_field_of_its_manual_and_no_other) {
    static const char *const names[] = { "version",          "event",           "time",      "dry_run",
                                         "matched",          "chosen",          "ended",     "gone",
                                         "time_wait_before", "time_wait_after", "fin_wait2", "endpoints" };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 3);
    json_t *json = reap_json("--all");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect(json_object_get(json, names[i]), "no %s", names[i]);
    cr_expect_eq(json_object_size(json), sizeof names / sizeof *names, "others too");
    cr_expect_eq(json_number(json, "version"), 1);
    cr_expect_str_eq(json_string_value(json_object_get(json, "event")), "reap");
    cr_expect(json_is_false(json_object_get(json, "dry_run")));
    char endpoint[32];
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", peer.port);
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(json, "endpoints"), endpoint)), 3);
}

/* Both ends are here: clients close first towards `out`, the server closes first at `in`. Nine peers more are to be
 * summed up. */
Test(reap, names_the_servers_end_and_sums_up_what_is_over_eight) {
    ns_enter();
    struct peer out = peer_start(&(struct peer_options){ 0 });
    struct peer in = peer_start(&(struct peer_options){ .answer = 1, .closes_first = true });
    leave_some(out.port, 20);
    cr_assert_eq(client_run(&(struct client_options){ .port = in.port, .n = 30 }).clean, 30);
    for (int i = 0; i < 9; i++)
        leave_some(peer_start(&(struct peer_options){ 0 }).port, 1);
    ns_settle();
    struct ended e = command("LC_ALL=C", "reap", "--all", NULL);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "ended 59 of 59 TIME_WAIT sockets\nENDED ENDPOINT\n   30 :%u\n   20 127.0.0.1:%u\n",
             in.port, out.port);
    cr_expect(strncmp(e.out, wanted, strlen(wanted)) == 0, "%s\n%s", wanted, e.out);
    cr_expect(strstr(e.out, "    3 3 others\nsockstat: 59 TIME_WAIT before, 0 now\n"), "%s", e.out);
}

Test(reap, ends_nothing_in_a_dry_run_and_says_what_it_would) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 7);
    struct ended e = command(NULL, "reap", "--all", "--above", "5", "--dry-run", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect(strstr(e.out, "would end the 2 oldest of 7 TIME_WAIT sockets, down to 5\nWOULD_END"), "%s", e.out);
    json_t *json = reap_json("--dry-run", "--peer", "127.0.0.1");
    cr_expect(json_is_true(json_object_get(json, "dry_run")));
    cr_expect_eq(json_number(json, "chosen"), 7);
    cr_expect_eq(json_number(json, "ended"), 0);
    cr_expect_eq(waiting(0, peer.port), 7);
    cr_expect_eq(ns_sockstat("tw"), 7);
}

Test(reap, needs_one_capability_for_the_deed_and_none_for_the_dry_run) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 4);
    cr_assert_eq(prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN), 0);
    static const char *const deeds[][2] = { { "--all" }, { "--peer=:9" }, { "--all", "--every=1" } };
    for (int i = 0; i < 3; i++) {
        struct ended e = command(NULL, "reap", deeds[i][0], deeds[i][1], NULL);
        cr_expect_eq(e.status, 1, "row %d: %d", i, e.status);
        cr_expect_str_eq(e.err, "afterfin: reap: ending sockets needs CAP_NET_ADMIN in this network namespace; "
                                "--dry-run does not\n");
        cr_expect_str_empty(e.out);
    }
    cr_expect_eq(json_number(reap_json("--all", "--dry-run"), "chosen"), 4);
    cr_expect_eq(waiting(0, peer.port), 4);
}

Test(reap, says_that_there_is_nothing_to_do) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_expect_str_eq(command(NULL, "reap", "--all", NULL).out,
                     "no TIME_WAIT sockets\nsockstat: 0 TIME_WAIT before, 0 now\n");
    leave_some(peer.port, 2);
    cr_expect(strstr(command(NULL, "reap", "--peer", ":9", NULL).out, "no TIME_WAIT socket matches, of 2\n"));
    cr_expect(strstr(command(NULL, "reap", "--all", "--above", "2", NULL).out,
                     "ended none of 2 TIME_WAIT sockets: there are not more than 2\n"));
    cr_expect_eq(waiting(0, peer.port), 2);
}

Test(reap, says_what_is_wrong_with_the_question_and_ends_nothing) {
    static const struct {
        const char *args[5];
        int status;
        const char *says;
    } rows[] = {
        { { NULL }, 2, "needs --older-than, --peer or --pid, or --all" },
        { { "--above", "1" }, 2, "needs --older-than, --peer or --pid, or --all" },
        { { "--every", "1" }, 2, "needs --older-than, --peer or --pid, or --all" },
        { { "--all", "--peer", ":80" }, 2, "--all means every socket" },
        { { "--all", "--older-than", "1" }, 2, "--all means every socket" },
        { { "--older-than", "0" }, 2, "--older-than needs seconds from 0.001 to 59.999, not '0'" },
        { { "--older-than", "60" }, 2, "--older-than needs seconds" },
        { { "--older-than", "-1" }, 2, "--older-than needs seconds" },
        { { "--older-than", "1e1" }, 2, "--older-than needs seconds" },
        { { "--older-than", "0x1" }, 2, "--older-than needs seconds" },
        { { "--older-than", "nan" }, 2, "--older-than needs seconds" },
        { { "--older-than", "1.2.3" }, 2, "--older-than needs seconds" },
        { { "--older-than", "" }, 2, "--older-than needs seconds" },
        { { "--all", "--every", "0" }, 2, "--every needs seconds from 0.1 to 86400, not '0'" },
        { { "--all", "--every", "99999999999999999999" }, 2, "--every needs seconds" },
        { { "--all", "--above", "-1" }, 2, "--above needs a number of sockets, not '-1'" },
        { { "--all", "--above", "18446744073709551616" }, 2, "--above needs a number of sockets" },
        { { "--all", "--above", "1k" }, 2, "--above needs a number of sockets" },
        { { "--all", "-d", "/tmp" }, 2, "there is no --pid" },
        { { "--all", "9000" }, 2, "takes no operand, but got '9000'" },
        { { "--pid", "self" }, 2, "--pid needs a process's number" },
        { { "--peer", "example.org" }, 2, "--peer example.org" },
        { { "--al" }, 2, "did you mean --all?" },
        { { "--pid", "1", "-d", "/nonexistent" }, 1, "/nonexistent: No such file or directory" },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *a = rows[i].args;
        struct ended e = command(NULL, "reap", a[0], a[1], a[2], a[3], a[4], NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "row %zu: one line: %s", i, e.err);
        cr_expect_str_empty(e.out);
    }
    cr_expect_eq(waiting(0, peer.port), 2);
}

Test(reap, prints_nothing_wider_than_the_terminal) {
    static const unsigned short widths[] = { 132, 80, 40 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .address = "::1" });
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int terminal;
        leave_at(NULL, "::1", peer.port, 3);
        pid_t child = command_on_terminal(&terminal, widths[i], "NO_COLOR=1|LC_ALL=C", "reap", "--all", NULL);
        char *text = strdup(terminal_read(terminal, NULL)), *rest = NULL;
        waitpid(child, NULL, 0);
        close(terminal);
        cr_expect(strstr(text, "ended 3 of 3") && strstr(text, "sockstat:"), "%u: %s", widths[i], text);
        for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
            cr_expect_leq(strlen(line), widths[i], "%u: %s", widths[i], line);
    }
}
