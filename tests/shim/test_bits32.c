/* What only programs of 32 bits call: make check-i386. */
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

Test(bits32, their_own_calls_are_treated_and_counted) {
    static const char *const ways[] = { "socketcall", "time64", "locks" };
    if (!victims_are("i386"))
        cr_skip_test("victims of 64 bits (make check-i386)");
    for (size_t i = 0; i < ROWS(ways); i++) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
        struct ended e = run(NULL, "%s %s 127.0.0.1 %u 5", victim_path("bits32"), ways[i], peer.port);
        cr_expect_eq(e.status, 0, "%s, bare: %d", ways[i], e.status);
        cr_expect_eq(ns_tw(), 5, "%s, bare", ways[i]);
        ns_enter();
        peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
        e = run("LINGER=ack|LOG=stderr", "bits32 %s 127.0.0.1 %u 5", ways[i], peer.port);
        ns_settle();
        cr_expect_eq(e.status, 0, "%s: %d %s", ways[i], e.status, e.err);
        cr_expect_eq(log_number(log_line(e.err, 0), "sockets"), 5, "%s: %s", ways[i], e.err);
        cr_expect_eq(log_number(log_line(e.err, 0), "avoided"), 5, "%s: %s", ways[i], e.err);
        cr_expect_eq(ns_tw(), 0, "%s", ways[i]);
    }
}
