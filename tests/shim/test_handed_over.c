/* A connection that another image has opened, with options of ours on it: what the program that has it now sets itself
 * wins there too, and the counts follow. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <unistd.h>

static const struct {
    const char *way, *option;
    bool wins; /* the program's own choice */
} rows[] = {
    { "exec", "linger", true },         { "exec", "linger2", true },         { "exec", "none", false },
    { "message", "linger", true },      { "message", "linger2", true },      { "message", "none", false },
    { "message_kept", "linger", true }, { "message_kept", "linger2", true }, { "message_kept", "none", false },
    { "fork_kept", "linger", true },    { "fork_kept", "linger2", true },    { "fork_kept", "none", false },
    { "vfork_kept", "linger", true },   { "vfork_kept", "linger2", true },   { "vfork_kept", "none", false },
};

Test(handed_over, what_the_receiver_sets_wins_over_what_the_sender_was_given) {
    enum { N = 5 };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *log = scratch_path(), *row = text("%s %s", rows[i].way, rows[i].option);
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        for (int n = 0; n < N; n++) {
            struct ended bare = run(NULL, "hands_over %s 127.0.0.1 %u", row, peer.port);
            struct ended e = run(text("LINGER=ack|LOG=%s", log), "hands_over %s 127.0.0.1 %u", row, peer.port);
            cr_assert(bare.status == 0 && e.status == 0, "%s: %s%s", row, bare.err, e.err);
            if (rows[i].wins)
                cr_assert_str_eq(e.out, bare.out, "%s", row);
            else
                cr_assert_str_eq(e.out, "{0,0} -1\n", "%s", row);
        }
        struct tally got = tally_log(row, log);
        cr_assert(got.time_wait == (rows[i].wins ? N : 0) && got.avoided == N - got.time_wait,
                  "%s: time_wait %ld avoided %ld", row, got.time_wait, got.avoided);
        cr_assert_eq(books_of(row, peer.port).to, N + got.time_wait, "%s", row); /* N of the bare runs */
        unlink(log);
        peer_stop(&peer);
    }
}

/* ---- closed in flight ----------------------------------------------------------------------------------- */

enum { SENT = 5 };
static const char *const thrown[] = { "never", "read_away", "never_second", "lost" };

/* Nobody but the kernel saw the end, and the sender is the last who is known to have had it. */
Test(handed_over, what_is_closed_in_flight_is_left_to_its_sender) {
    for (size_t i = 0; i < 2 * sizeof thrown / sizeof *thrown; i++) {
        const char *way = thrown[i / 2], *linger = i % 2 ? "linger=ack" : "linger=off";
        const bool whole = strcmp(way, "lost") == 0; /* the sender had it still, and closed it */
        ns_enter();
        struct peer peer = script_start("ec", 0);
        const char *port = text("%u", peer.port);
        json_t *json = run_json(NULL, 0, "-p", linger, victim_path("pass_by"), way, "127.0.0.1", port, "5", NULL);
        const long left = ns_tw(), passed = json_number(json, "totals.passed");
        cr_assert(i % 2 || left == SENT, "%s %s: %ld", way, linger, left);
        cr_assert(json_number(json, "kernel.attributed") == left && json_number(json, "totals.time_wait") == left,
                  "%s %s: %ld of %ld", way, linger, json_number(json, "kernel.attributed"), left);
        cr_assert(json_number(json, "totals.established") == SENT && (i % 2 || !passed), "%s %s: %ld passed", way,
                  linger, passed);
        cr_assert(!whole || json_endpoints(json_find(json, "processes.0")) == left, "%s %s", way, linger);
        peer_stop(&peer);
    }
}

Test(handed_over, who_names_the_sender_of_what_was_closed_in_flight) {
    for (size_t i = 0; i < sizeof thrown / sizeof *thrown; i++) {
        const char *directory = directory_made();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LEDGER=%s", directory), "pass_by %s 127.0.0.1 %u %d", thrown[i], peer.port, SENT);
        cr_assert(e.status == 0 && ns_tw() == SENT, "%s: %s", thrown[i], e.err);
        json_t *who = json_loads(command(NULL, "who", "--json", "-d", directory, NULL).out, 0, NULL);
        cr_assert(json_number(who, "unknown") == 0 && json_number(who, "processes.0.time_wait") == SENT, "%s: %s",
                  thrown[i], json_dumps(who, 0));
        cr_assert_str_eq(json_string_value(json_find(who, "processes.0.program")), "pass_by");
        peer_stop(&peer);
    }
}

/* ---- held without the other's knowledge ----------------------------------------------------------------- */

/* A relative takes part in the record of one who lets go of it without knowing that, and who uses it for the next connection:
 * that one's record is not the relative's to write to. */
static void expect_second_unspoilt(const char *way) {
    const char *directory = directory_made();

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(text("LEDGER=%s", directory), "joins %s 127.0.0.1 %u", way, peer.port);
    cr_assert(e.status == 0 && strchr(e.out, ' '), "%s: %d %s%s", way, e.status, e.out, e.err);
    const char *local = text("127.0.0.1:%lu", strtoul(e.out, NULL, 10));
    const long pid = strtol(strchr(e.out, ' '), NULL, 10);
    ns_settle();
    cr_assert_eq(ns_tw(), 2, "%s", way);
    json_t *who = json_loads(command(NULL, "who", "--json", "-d", directory, NULL).out, 0, NULL);
    json_t *sockets = json_object_get(who, "sockets");
    cr_assert(json_number(who, "unknown") == 0 && json_array_size(sockets) == 2, "%s: %s", way, json_dumps(who, 0));
    for (size_t i = 0; i < 2; i++) {
        const json_t *socket = json_array_get(sockets, i);
        if (strcmp(json_string_value(json_object_get(socket, "local")), local) == 0)
            cr_assert_eq(json_number(socket, "pid"), pid, "%s: %s", way, json_dumps(who, 0));
    }
    peer_stop(&peer);
    directory_removed(directory);
}

Test(handed_over, a_relative_that_is_not_known_of_spoils_no_other_record) {
    expect_second_unspoilt("received");
    expect_second_unspoilt("forked");
    expect_second_unspoilt("ended");
}
