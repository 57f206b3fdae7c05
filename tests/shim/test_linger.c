/* linger=ack: who closes first keeps no TIME_WAIT, and the peer loses nothing. Judged by the kernel's sockstat
 * and by what the peer read. Each test runs the same program bare as its control. */
#include "tests/harness/harness.h"

#include <signal.h>

#define ACK "LINGER=ack"
#define ALWAYS "LINGER=ack-always" /* where nothing comes from the peer before the close */

Test(linger, ack_leaves_none_of_10000_in_time_wait_and_loses_nothing) {
    enum { N = 10000 };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1000 });
    struct ended e = run(ACK, "connect_close 127.0.0.1 %u -n %d -b 1000 -r 1", peer.port, N);
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    peer_expect_clean(&peer, 0, N, 1000, "ack");
    cr_assert_eq(ns_tw(), 0);
    cr_assert_eq(ns_netstat("TCPTimeWaitOverflow"), 0);
    cr_assert_str_empty(e.err);

    e = run(NULL, "connect_close 127.0.0.1 %u -n %d -b 1000 -r 1", peer.port, N);
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    peer_expect_clean(&peer, N, N, 1000, "bare");
    cr_assert_eq(ns_tw(), N);
}

Test(linger, ack_on_a_server_leaves_none_of_10000_in_time_wait_and_loses_nothing) {
    enum { N = 10000 };

    ns_enter();
    for (int treated = 1; treated >= 0; treated--) {
        uint16_t port = (uint16_t)(8080 + treated);
        struct victim v = victim_start(treated ? ACK : NULL, "server_close 127.0.0.1 %u -n %d -q 10 -b 1000", port, N);
        ns_wait_listen(port);
        struct client_result r = client_run(&(struct client_options){ .port = port, .n = N, .send = 10 });
        struct ended e = victim_wait(&v);
        cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
        cr_assert_eq(r.clean, N, "%s", strerror(r.error));
        cr_assert_eq(r.bytes, N * 1000);
        /* Bare, some client ports come round again, and the kernel lets a new SYN recycle the TIME_WAIT. */
        if (treated)
            cr_assert_eq(ns_tw(), 0);
        else
            cr_assert_gt(ns_tw(), N / 2);
    }
}

Test(linger, ack_works_over_every_family_blocking_and_not_as_a_client) {
    enum { N = 50 };
    long tw = 0;

    ns_enter();
    for (int i = 0; i < FAMILIES * 4; i++) {
        const struct family *f = &families[i % FAMILIES];
        const char *flag = i / FAMILIES % 2 ? "-N" : "", *settings = i / FAMILIES / 2 ? ACK : NULL;
        struct peer peer = peer_start(&(struct peer_options){
            .address = f->listen, .answer = 1, .answer_after = 20000 });
        struct ended e = run(settings, "connect_close %s %u -n %d -b 20000 -r 1 %s", f->connect, peer.port, N, flag);
        cr_assert_eq(e.status, 0, "%s %s: %s%s", f->name, flag, e.out, e.err);
        peer_expect_clean(&peer, 0, N, 20000, f->name);
        tw += settings ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s %s %s", f->name, flag, settings ? settings : "bare");
        peer_stop(&peer);
    }
}

Test(linger, ack_works_over_every_family_blocking_and_not_as_a_server) {
    enum { N = 50 };
    long tw = 0;

    ns_enter();
    for (unsigned i = 0; i < FAMILIES * 4; i++) {
        const struct family *f = &families[i % FAMILIES];
        const char *flag = i / FAMILIES % 2 ? "-N" : "", *settings = i / FAMILIES / 2 ? ACK : NULL;
        uint16_t port = (uint16_t)(8080 + i);
        struct victim v = victim_start(settings, "server_close %s %u -n %d -q 10 -b 20000 %s", f->listen, port, N,
                                       flag);
        ns_wait_listen(port);
        struct client_result r = client_run(&(struct client_options){
            .address = f->connect, .port = port, .n = N, .send = 10 });
        struct ended e = victim_wait(&v);
        cr_assert_eq(e.status, 0, "%s %s: %s%s", f->name, flag, e.out, e.err);
        cr_assert_eq(r.clean, N, "%s %s: %s", f->name, flag, strerror(r.error));
        cr_assert_eq(r.bytes, N * 20000);
        tw += settings ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s %s %s", f->name, flag, settings ? settings : "bare");
    }
}

Test(linger, ack_delivers_8_MB_that_are_in_flight_at_close) {
    enum { SIZE = 8 << 20 };

    ns_enter();
    ns_sysctl("tcp_wmem", "4096 16777216 33554432"); /* room for all of it on the sender's side */
    for (int treated = 0; treated < 2; treated++) {
        struct peer peer = peer_start(&(struct peer_options){ .waits = true });
        struct ended e = run(treated ? ALWAYS : NULL, "connect_close 127.0.0.1 %u -b %d", peer.port, SIZE);
        cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
        peer_wait_accepted(&peer, 1);
        cr_assert_eq(peer.book->conn[0].bytes, 0, "nothing is in flight at close");
        peer_release(&peer);
        peer_expect_clean(&peer, 0, 1, SIZE, treated ? "ack" : "bare");
        cr_assert_eq(ns_tw(), 1, "%s", treated ? "ack" : "bare"); /* the bare one's, both times */
        peer_stop(&peer);
    }
}

static const char *const ways_out[] = { "exit", "_exit", "_Exit", "quick_exit", "return", "sigkill", "exec" };
#define WAYS_OUT ((int)(sizeof ways_out / sizeof *ways_out))

Test(linger, ack_holds_for_a_client_that_ends_without_close) {
    enum { N = 100 };
    long tw = 0;

    ns_enter();
    for (int i = 0; i < WAYS_OUT * 2; i++) {
        const char *how = ways_out[i / 2], *settings = i % 2 ? ALWAYS : NULL;
        struct peer peer = peer_start(&(struct peer_options){ .address = "127.0.0.1" });
        struct ended e = run(settings, "exit_open %s 127.0.0.1 %u %d 10000", how, peer.port, N);
        cr_assert_eq(e.status, strcmp(how, "sigkill") == 0 ? 128 + SIGKILL : 0, "%s: %s%s", how, e.out, e.err);
        peer_expect_clean(&peer, 0, N, 10000, how);
        tw += settings ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s %s", how, settings ? settings : "bare");
        peer_stop(&peer);
    }
}

Test(linger, ack_holds_for_a_server_that_ends_without_close) {
    enum { N = 50 };
    long tw = 0;

    ns_enter();
    for (int i = 0; i < WAYS_OUT * 2; i++) {
        const char *how = ways_out[i / 2], *settings = i % 2 ? ACK : NULL;
        uint16_t port = (uint16_t)(8080 + i);
        if (strcmp(how, "exec") == 0)
            continue; /* its descriptors would survive */
        struct victim v = victim_start(settings, "server_close 127.0.0.1 %u -n %d -q 10 -b 10000 -x %s", port, N, how);
        ns_wait_listen(port);
        struct client_result r = client_run(&(struct client_options){
            .port = port, .n = N, .send = 10, .together = true });
        struct ended e = victim_wait(&v);
        cr_assert_eq(e.status, strcmp(how, "sigkill") == 0 ? 128 + SIGKILL : 0, "%s: %s%s", how, e.out, e.err);
        cr_assert_eq(r.clean, N, "%s: %s", how, strerror(r.error));
        cr_assert_eq(r.bytes, N * 10000);
        tw += settings ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s %s", how, settings ? settings : "bare");
    }
}
