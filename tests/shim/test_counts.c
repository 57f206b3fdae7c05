/* What is counted of a connection that ends: who was first, in which state it was. Each row's expectation is
 * written down from RFC 9293 and the contract; the kernel's tables say the same of TIME_WAIT. */
#include "tests/shim/ending_rows.h"

#include <unistd.h>

/* ---- who was first ---------------------------------------------------------------------------------- */

Test(counts, who_sends_the_first_FIN_has_the_TIME_WAIT) {
    rows_logged(&first_fin);
}

Test(counts, what_ends_without_an_orderly_close_leaves_nothing) {
    rows_logged(&no_orderly_close);
}

Test(counts, the_program_s_own_linger_is_seen) {
    rows_logged(&own_linger);
}

Test(counts, a_connection_that_times_out_is_aborted) {
    rows_logged(&timeout_ways);
}

/* ---- servers ---------------------------------------------------------------------------------------- */

Test(counts, accepted_connections_are_counted_however_they_were_accepted) {
    rows_logged(&accept_ways);
}

enum { N = 20 };

/* ---- MPTCP ------------------------------------------------------------------------------------------ */

/* Counted like any other; the kernel's TIME_WAIT carries the subflow's cookie. */
Test(counts, mptcp_connections_are_counted) {
    static const struct tally left = CLIENT(time_wait);

    if (access("/proc/sys/net/mptcp/enabled", F_OK) != 0)
        cr_skip_test("this kernel has no MPTCP");
    for (int ack = 0; ack < 2; ack++) { /* MPTCP refuses TCP_LINGER2 */
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LOG=%s|LINGER=%s", log, ack ? "ack" : "off"), "connect_close 127.0.0.1 %u -n %d -m",
                             peer.port, N);
        cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
        cr_assert_eq(ns_tw(), N);
        tally_expect("MPTCP", log, &left, N);
        unlink(log);
        peer_stop(&peer);
    }
}

/* ---- what nobody can see ---------------------------------------------------------------------------- */

/* libc's own close, by its address: such a connection stays `open`, and the number's next use is counted rightly.
 * The last one's number is empty when the process ends, so that one was closed here. */
Test(counts, a_close_past_the_library_leaves_the_connection_open_in_the_counts) {
    static const struct tally all = { .sockets = N, .connects = N, .established = N, .time_wait = 1, .open = N - 1 };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "end_by dlsym_libc 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("dlsym_libc", log, &all, 1);
    cr_assert_eq(books_of("dlsym_libc", peer.port).to, N);
    unlink(log);
    peer_stop(&peer);
}

/* ---- mistakes --------------------------------------------------------------------------------------- */

Test(counts, a_call_that_is_for_another_kind_of_socket_changes_nothing) {
    static const struct tally all = {
        .sockets = 1, .connects = 1, .established = 1, .time_wait = 1, .binds = 1, .bind_errors = 1
    };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "end_in active_after_mistakes 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("mistakes", log, &all, N);
    cr_assert_str_eq(log_text(log_line(file_text(log), 0), "errors"),
                     "accept:EINVAL=40,listen:EINVAL=40,bind:EINVAL=20");
    unlink(log);
    peer_stop(&peer);
}
