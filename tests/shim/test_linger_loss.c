/* linger=ack where the network or the program makes it hard: packet loss, half-close, MPTCP. */
#include "tests/harness/harness.h"

enum { VICTIMS = 30, SIZE = 50000 };

/* Many at a time: a lost SYN or FIN costs a second. */
static void clients_under_loss(const char *settings, struct peer *peer, unsigned victims, unsigned each,
                               unsigned size) {
    struct victim v[victims];
    unsigned since = peer->book->accepted;

    for (unsigned i = 0; i < victims; i++)
        v[i] = victim_start(settings, "connect_close 127.0.0.1 %u -n %u -b %u", peer->port, each, size);
    for (unsigned i = 0; i < victims; i++) {
        struct ended e = victim_wait(&v[i]);
        cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    }
    peer_expect_clean(peer, since, victims * each, size, settings ? settings : "bare");
}

Test(linger_loss, ack_loses_nothing_of_10000_and_leaves_nothing_with_5_percent_loss_both_ways) {
    ns_enter();
    ns_loss(5);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    clients_under_loss("LINGER=ack-always", &peer, 200, 50, 1000);
    cr_assert_eq(ns_tw(), 0);
    cr_assert_gt(ns_netstat("TCPSynRetrans"), 0, "nothing was lost");
}

Test(linger_loss, ack_loses_no_data_and_leaves_nothing_with_5_percent_loss_both_ways) {
    ns_enter();
    ns_mtu(1500); /* more packets to lose */
    ns_loss(5);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    clients_under_loss("LINGER=ack-always", &peer, VICTIMS, 10, SIZE);
    cr_assert_eq(ns_tw(), 0);
    cr_assert_gt(ns_netstat("TCPSackRecovery") + ns_netstat("TCPTimeouts"), 0, "nothing was lost");

    clients_under_loss(NULL, &peer, VICTIMS, 10, SIZE);
    cr_assert_gt(ns_tw(), VICTIMS * 10 / 2); /* a FIN that was lost can cross the other one */
}

Test(linger_loss, ack_holds_for_clients_that_end_without_close_under_loss) {
    ns_enter();
    ns_mtu(1500);
    ns_loss(5);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v[VICTIMS];
    for (int i = 0; i < VICTIMS; i++)
        v[i] = victim_start("LINGER=ack-always", "exit_open %s 127.0.0.1 %u 2 %d", i % 2 ? "sigkill" : "_exit",
                            peer.port, SIZE);
    for (int i = 0; i < VICTIMS; i++)
        victim_wait(&v[i]);
    peer_expect_clean(&peer, 0, VICTIMS * 2, SIZE, "ack");
    cr_assert_eq(ns_tw(), 0);
}

Test(linger_loss, ack_delivers_8_MB_in_flight_from_a_killed_process) {
    ns_enter();
    ns_sysctl("tcp_wmem", "4096 16777216 33554432");
    struct peer peer = peer_start(&(struct peer_options){ .waits = true });
    run("LINGER=ack-always", "exit_open sigkill 127.0.0.1 %u 1 %d", peer.port, 8 << 20);
    peer_wait_accepted(&peer, 1);
    peer_release(&peer);
    peer_expect_clean(&peer, 0, 1, 8 << 20, "killed");
    cr_assert_eq(ns_tw(), 0);
}

Test(linger_loss, ack_leaves_half_close_as_it_is) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 3000, .answer_after = 2000 });
    struct ended bare = run(NULL, "half_close 127.0.0.1 %u 2000 3000", peer.port);
    peer_expect_clean(&peer, 0, 1, 2000, "bare");
    struct ended ack = run("LINGER=ack-always", "half_close 127.0.0.1 %u 2000 3000", peer.port);
    peer_expect_clean(&peer, 1, 1, 2000, "ack");
    cr_assert(strstr(bare.out, "answer whole\nthen end\n"), "%s", bare.out);
    cr_assert_str_eq(ack.out, bare.out);
    cr_assert_eq(ns_tw(), 2, "the peer's FIN came before the close: no policy can help");
}

Test(linger_loss, the_peers_close_first_leaves_nothing_here_either_way) {
    enum { N = 20 };

    ns_enter();
    for (int treated = 0; treated < 2; treated++) {
        struct peer peer = peer_start(&(struct peer_options){
            .answer = 100, .answer_after = 10, .closes_first = true });
        struct ended e = run(treated ? "LINGER=ack-always" : NULL, "connect_close 127.0.0.1 %u -n %d -b 10 -r -1",
                             peer.port, N);
        cr_assert_eq(e.status, 0, "%s", e.out);
        peer_wait_ended(&peer, N);
        ns_settle();
        cr_assert_eq(ns_count(ST_TIME_WAIT, 0, peer.port), 0);
        cr_assert_eq(ns_count(ST_TIME_WAIT, peer.port, 0), N, "the peer's own");
        peer_stop(&peer);
    }
}

Test(linger_loss, ack_on_mptcp_is_said_to_be_impossible_once) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended bare = run(NULL, "connect_close 127.0.0.1 %u -m -n 3 -b 100", peer.port);
    if (bare.status != 0)
        cr_skip_test("no MPTCP here: %s", bare.out);
    peer_expect_clean(&peer, 0, 3, 100, "bare");
    struct ended e = run("LINGER=ack-always", "connect_close 127.0.0.1 %u -m -n 3 -b 100", peer.port);
    peer_expect_clean(&peer, 3, 3, 100, "ack");
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    cr_assert_str_eq(e.out, bare.out);
    const char *said = strstr(e.err, "MPTCP");
    cr_assert(said, "nothing was said: %s", e.err);
    cr_assert_eq(strchr(said, '\n')[1], 0, "said more than once: %s", e.err);
}
