/* What is counted of a connection that is opened, or is not, by every way that libc offers. */
#include "tests/shim/ending_rows.h"

#include <unistd.h>

/* clang-format off */
#define FAILED { .sockets = 1, .connects = 1, .connect_errors = 1 }
/* clang-format on */

Test(opens, connections_are_counted_however_they_were_opened) {
    rows_logged(&open_ways);
}

Test(opens, non_blocking_connections_are_counted_however_the_program_learns_of_them) {
    rows_logged(&nonblocking_ways);
}

Test(opens, connections_that_open_with_their_first_data_are_counted) {
    rows_logged(&first_data_ways);
    cr_assert_geq(ns_netstat("TCPFastOpenActive"), row_times() - 1, "TCP Fast Open was not in use");
}

/* The first one has no cookie yet and shakes hands; the others never send anything. */
Test(opens, a_fast_open_that_never_sends_is_no_connection) {
    static const struct row row = { .way = "fastopen_connect_alone",
                                    .script = "ec",
                                    .each = { .sockets = 1, .connects = 1 },
                                    .once = { .established = 1, .time_wait = 1 } };
    static const struct endings of = { .victim = "open_by", .rows = &row, .n = 1 };
    row_play(&of, &row, "off", NULL, row_times());
}

Test(opens, failed_connects_are_counted_once_each_with_their_errno) {
    rows_logged(&refused_ways);
}

Test(opens, each_failure_of_one_socket_counts) {
    static const struct tally two = { .sockets = 1, .connects = 2, .connect_errors = 2 },
                              three = { .sockets = 1, .connects = 3, .connect_errors = 3 };
    enum { N = 20 };
    const char *log = scratch_path();

    ns_enter();
    run(text("LOG=%s", log), "open_by refused_twice 127.0.0.1 9 %d", N);
    tally_expect("refused twice", log, &two, N);
    unlink(log);
    run(text("LOG=%s", log), "open_by bad_address 127.0.0.1 9 %d", N);
    tally_expect("bad addresses", log, &three, N);
    cr_assert_str_eq(log_text(log_line(file_text(log), 0), "errors"), "connect:EINVAL=20,connect:EFAULT=40");
    unlink(log);
}

/* All of them at once, since the kernel takes a second to give a SYN up. */
Test(opens, connects_that_nobody_answers) {
    enum { ROOM = 16, EACH = 20 };
    const size_t n = unanswered_ways.n;
    struct victim v[ROOM];
    const char *log[ROOM];

    cr_assert_leq(n, ROOM);
    ns_enter();
    struct peer peer = script_start("k", 0);
    ns_cut(peer.port);
    for (size_t i = 0; i < n; i++) {
        log[i] = scratch_path();
        v[i] = victim_start(text("LOG=%s", log[i]), "cut_off %s 127.0.0.1 %u %d", unanswered_ways.rows[i].way,
                            peer.port, EACH);
    }
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &unanswered_ways.rows[i];
        struct ended e = victim_wait(&v[i]);
        cr_assert(e.status == 0, "%s: %s%s", row->way, e.out, e.err);
        tally_expect(row->way, log[i], &row->each, EACH);
        const char *errors = log_text(log_line(file_text(log[i]), 0), "errors");
        cr_assert_str_eq(errors, row->errors ? text("%s=%d", row->errors, EACH) : "", "%s: %s", row->way, errors);
        unlink(log[i]);
    }
    cr_assert_eq(ns_tw(), 0);
}

/* What the connect comes to is not the other one's, which has the same number, and in the ledger the same place. */
Test(opens, a_connect_whose_socket_another_thread_closes_is_not_the_next_one_s) {
    static const struct tally each = {
        .sockets = 2, .connects = 2, .connect_errors = 1, .established = 1, .time_wait = 1
    };
    const char *log = scratch_path();

    ns_enter();
    ns_cut(9);
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "open_by closed_meanwhile 127.0.0.1 %u 2", peer.port);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("closed meanwhile", log, &each, 2);
    cr_assert_str_eq(log_text(log_line(file_text(log), 0), "errors"), "connect:ETIMEDOUT=2");
    cr_assert_eq(books_of("closed meanwhile", peer.port).to, 2);
    unlink(log);
    peer_stop(&peer);
}

Test(opens, connect_to_AF_UNSPEC_ends_a_connection) {
    rows_logged(&unspec_ways);
}
