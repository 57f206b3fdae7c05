/* What is counted of a connection that ends: who was first, in which state it was. Each row's expectation is
 * written down from RFC 9293 and the contract; the kernel's tables say the same of TIME_WAIT. */
#include "tests/harness_counts.h"

#include <signal.h>
#include <unistd.h>

/* ---- who was first ---------------------------------------------------------------------------------- */

Test(counts, who_sends_the_first_FIN_has_the_TIME_WAIT)
{
    static const struct row rows[] = {
        { .way = "active", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "active_with_data", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "after_reading", .script = "sec", .each = CLIENT(time_wait) },
        { .way = "shut_then_close", .script = "ek", .each = CLIENT(time_wait) },
        { .way = "shut_both_then_close", .script = "ek", .each = CLIENT(time_wait) },
        { .way = "shut_read_then_close", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "shut_syscall_then_close", .script = "ek", .each = CLIENT(time_wait) },
        { .way = "shut_read_end_close", .script = "ec", .each = CLIENT(time_wait), .stays = true },
        { .way = "shut_twice_read_end_close", .script = "ec", .each = CLIENT(time_wait), .stays = true },
        { .way = "passive", .script = "c", .each = CLIENT(passive), .peer_keeps = true },
        { .way = "passive_read", .script = "c", .each = CLIENT(passive), .peer_keeps = true },
        { .way = "shut_badly_then_passive", .script = "bc", .each = CLIENT(passive), .peer_keeps = true },
        { .way = "passive_shut_close", .script = "fec", .each = CLIENT(passive), .peer_keeps = true },
        { .way = "passive_shut_wait_close", .script = "fec", .each = CLIENT(passive), .peer_keeps = true },
    };
    ROW_CLIENTS("end_in", rows);
}

Test(counts, what_ends_without_an_orderly_close_leaves_nothing)
{
    static const struct row rows[] = {
        { .way = "unread", .script = "sek", .each = CLIENT(aborted) },
        { .way = "unread_after_shut", .script = "esk", .each = CLIENT(aborted) },
        { .way = "unread_after_fin", .script = "sc", .each = CLIENT(passive), .fleeting = true },
        { .way = "fin_then_reset", .script = "c", .each = CLIENT(passive), .fleeting = true },
        { .way = "reset", .script = "br", .each = CLIENT(aborted) },
        { .way = "reset_and_read", .script = "br", .each = CLIENT(aborted) },
        { .way = "reset_and_looked_at", .script = "br", .each = CLIENT(aborted) },
        { .way = "reset_after_shut", .script = "er", .each = CLIENT(aborted) },
    };
    ROW_CLIENTS("end_in", rows);
}

/* An SO_LINGER with l_onoff=1, or TCP_LINGER2, settles linger: the program wins. */
Test(counts, the_program_s_own_linger_is_seen)
{
    static const struct row rows[] = {
        { .way = "own_linger_0", .script = "ek", .each = CLIENT(aborted) },
        { .way = "syscall_linger_0", .script = "ek", .each = CLIENT(aborted) },
        { .way = "own_linger_0_taken_back", .script = "ec", .each = CLIENT(time_wait), .stays = true },
        { .way = "own_linger_0_after_fin", .script = "c", .each = CLIENT(passive), .fleeting = true },
        { .way = "own_linger_5", .script = "ec", .each = CLIENT(time_wait), .stays = true },
        { .way = "own_linger_off", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "own_linger2", .script = "ec", .each = CLIENT(aborted) },
        { .way = "own_linger2_taken_back", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    };
    ROW_CLIENTS("end_in", rows);
}

Test(counts, a_connection_that_times_out_is_aborted)
{
    static const struct tally aborted = CLIENT(aborted);
    enum { TIMES = 4 };
    const char *log = scratch_path();

    ns_enter();
    for (int i = 0; i < TIMES; i++) {
        struct peer peer = script_start("ek", 0);
        struct victim v = victim_start(text("LOG=%s|LINGER=%s", log, i % 2 ? "ack" : "off"),
                                       "end_in timed_out 127.0.0.1 %u 1", peer.port);
        victim_wait_out(&v, "ready");
        ns_cut(peer.port);
        kill(v.pid, SIGUSR1);
        struct ended e = victim_wait(&v);
        cr_assert(e.status == 0, "%s%s", e.out, e.err);
    }
    tally_expect("timed out", log, &aborted, TIMES);
    cr_assert_eq(ns_tw(), 0);
    unlink(log);
}

/* ---- servers ---------------------------------------------------------------------------------------- */

Test(counts, accepted_connections_are_counted_however_they_were_accepted)
{
#define ONCE .once = { .sockets = 1, .binds = 1 }
    static const struct row rows[] = {
        { .way = "accept", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "accept4", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "syscall_accept", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "syscall_accept4", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "accept_with_address", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "a_copy", .script = "ec", .each = SERVER(time_wait), ONCE },
        { .way = "peer_first", .script = "c", .each = SERVER(passive), .peer_keeps = true, ONCE },
        { .way = "reset_already", .script = "r", .each = SERVER(aborted), ONCE },
        { .way = "reset_already_unlooked", .script = "r", .each = SERVER(aborted), ONCE },
        { .way = "unread", .script = "sec", .each = SERVER(aborted), ONCE },
        { .way = "leaving_it_open", .script = "k", .each = SERVER(time_wait), ONCE },
        { .way = "inherited_linger_0", .script = "ec", .each = SERVER(aborted), ONCE },
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++)
        row_server(&rows[i / 2], i % 2);
}

Test(counts, an_accept_that_fails_is_an_error_and_no_connection)
{
    static const struct row row = { .way = "accept_that_fails_first", .script = "ec",
                                    .each = SERVER(time_wait), .errors = "accept:EINVAL", ONCE };
    row_server(&row, false);
    row_server(&row, true);
}

/* ---- MPTCP ------------------------------------------------------------------------------------------ */

/* Counted like any other; the kernel's TIME_WAIT carries the subflow's cookie. */
Test(counts, mptcp_connections_are_counted)
{
    static const struct tally left = CLIENT(time_wait);

    if (access("/proc/sys/net/mptcp/enabled", F_OK) != 0)
        cr_skip_test("this kernel has no MPTCP");
    for (int ack = 0; ack < 2; ack++) { /* MPTCP refuses TCP_LINGER2 */
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LOG=%s|LINGER=%s", log, ack ? "ack" : "off"),
                             "connect_close 127.0.0.1 %u -n %d -m", peer.port, ROW_TIMES);
        cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
        cr_assert_eq(ns_tw(), ROW_TIMES);
        tally_expect("MPTCP", log, &left, ROW_TIMES);
        unlink(log);
        peer_stop(&peer);
    }
}

/* ---- what nobody can see ---------------------------------------------------------------------------- */

/* libc's own close, by its address: such a connection stays `open`, and the number's next use is counted rightly.
 * The last one's number is empty when the process ends, so that one was closed here. */
Test(counts, a_close_past_the_library_leaves_the_connection_open_in_the_counts)
{
    static const struct tally all = { .sockets = ROW_TIMES, .connects = ROW_TIMES, .established = ROW_TIMES,
                                      .time_wait = 1, .open = ROW_TIMES - 1 };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "end_by dlsym_libc 127.0.0.1 %u %d", peer.port, ROW_TIMES);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("dlsym_libc", log, &all, 1);
    cr_assert_eq(books_of("dlsym_libc", peer.port).to, ROW_TIMES);
    unlink(log);
    peer_stop(&peer);
}

/* ---- mistakes --------------------------------------------------------------------------------------- */

Test(counts, a_call_that_is_for_another_kind_of_socket_changes_nothing)
{
    enum { N = 10 };
    static const struct tally all = { .sockets = 1, .connects = 1, .established = 1, .time_wait = 1, .binds = 1,
                                      .bind_errors = 1 };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "end_in active_after_mistakes 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("mistakes", log, &all, N);
    cr_assert_str_eq(log_text(log_line(file_text(log), 0), "errors"),
                     "accept:EINVAL=20,listen:EINVAL=20,bind:EINVAL=10");
    unlink(log);
    peer_stop(&peer);
}
