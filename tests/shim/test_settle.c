/* How a connection is seen to end where one poll at its close does not tell all. */
#include "tests/harness/counts.h"

#include <unistd.h>

Test(look, states_that_poll_does_not_tell_apart_are_counted_as_the_kernel_ends_them) {
    static const struct row {
        const char *kind;
        int unread;
        bool peer_first, peer_holds;
        const char *counted;
        long tw; /* what the kernel keeps here */
    } rows[] = {
        { "plain", 0, false, false, "time_wait", 1 },    { "plain", 10, false, false, "aborted", 0 },
        { "fin", 0, true, false, "passive", 0 },         { "fin", 10, true, false, "passive", 0 },
        { "shut_rd", 0, false, false, "time_wait", 1 },  { "shut_rd", 10, false, false, "aborted", 0 },
        { "shut_rdwr", 0, false, true, "time_wait", 1 }, { "lowat", 0, false, false, "time_wait", 1 },
        { "lowat", 10, false, false, "aborted", 0 },     { "full", 0, false, false, "time_wait", 1 },
        { "full", 10, false, false, "aborted", 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){
            .answer = (size_t)r->unread, .closes_first = r->peer_first, .holds = r->peer_holds, .raw = true });
        struct ended e = run("LOG=stderr", "close_odd 127.0.0.1 %u %s %d", peer.port, r->kind, r->unread);
        const char *line = log_line(e.err, 0);
        cr_assert_eq(e.status, 0, "%s %d: %s", r->kind, r->unread, e.err);
        peer_wait_ended(&peer, 1);
        log_expect_invariant(line);
        ns_settle(); /* the ACK of our FIN may be delayed */
        cr_expect_eq(log_number(line, r->counted), 1, "%s, %d unread: not %s: %s", r->kind, r->unread, r->counted,
                     line);
        cr_expect_eq(ns_count(ST_TIME_WAIT, 0, peer.port) + ns_count(ST_FIN_WAIT2, 0, peer.port), (size_t)r->tw,
                     "%s, %d unread: %ld", r->kind, r->unread, ns_tw());
        peer_stop(&peer);
    }
}

/* A peer that ends it in the very moment. What it and the victim have said to each other before makes TCP delay its ACKs,
 * as a FIN that comes first does. */
Test(look, whose_FIN_was_first_is_known_though_the_other_came_while_shutdown_was_called) {
    enum { N = 20 };
    static const struct {
        const char *meets, *script;
        int talk;
    } rows[] = {
        { "before", "bfec", 0 },
        { "after", "ec", 0 },
        { "before", "bsbsbsbsbsbsbsbsbfec", 8 },
        { "after", "bsbsbsbsbsbsbsbsec", 8 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const bool second = strcmp(rows[i].meets, "before") == 0;
        const char *log = scratch_path(), *row = text("%s, talk %d", rows[i].meets, rows[i].talk);
        ns_enter();
        struct peer peer = script_start(rows[i].script, 0);
        struct ended e = run(NULL, "env LD_PRELOAD=%s:%s MEETS=%s AFTERFIN_LOG=%s %s 127.0.0.1 %u %d %d",
                             library_path(), victim_path("meets.so"), rows[i].meets, log, victim_path("talk_close"),
                             peer.port, N, rows[i].talk);
        cr_assert_eq(e.status, 0, "%s: %s", row, e.err);
        const struct tally got = tally_log(row, log);
        const struct books books = books_of(row, peer.port);
        cr_assert(books.to == (second ? 0 : N) && books.from == N - books.to, "%s: %ld to, %ld from", row, books.to,
                  books.from);
        /* On a machine so slow that an ACK's delay is over by then (40 ms), nothing tells; the kernel counts those. */
        const long late = labs(got.time_wait - books.to), over = ns_netstat("DelayedACKs");
        cr_assert(late <= over && got.passive == N - got.time_wait, "%s: %ld late: %s", row, over, file_text(log));
        unlink(log);
        peer_stop(&peer);
    }
}
