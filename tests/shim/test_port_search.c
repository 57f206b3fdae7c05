/* port_search=cycle: judged by counts (which ports, how many connects succeed, how many windows were tried),
 * never by time: `make bench` has the times. */
#include "tests/harness/harness.h"

#include <stdlib.h>

#define CYCLE "PORT_SEARCH=cycle"

/* What share of the steps from one port to the next is the most frequent one? In 1/10,000. */
static unsigned best_guess(const struct peer *p, unsigned since, unsigned n) {
    unsigned *seen = calloc(65536, sizeof *seen), best = 0;

    for (unsigned i = since + 1; i < since + n; i++) {
        uint16_t step = (uint16_t)(p->book->conn[i].from - p->book->conn[i - 1].from);
        if (++seen[step] > best)
            best = seen[step];
    }
    free(seen);
    return best * 10000 / n;
}

Test(port_search, cycle_fills_a_range_to_its_last_port) {
    enum { SIZE = 1000 };

    ns_enter();
    for (unsigned i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        const char *flag = i % 2 ? "-N" : "";
        unsigned low = 40000 + i % 2; /* ports of either parity come first with the kernel */
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });

        ns_port_range(low, low + SIZE - 1);
        struct ended e = run(CYCLE, "connect_close %s %u -n %d %s", f->connect, peer.port, SIZE + 2, flag);
        cr_assert_str_eq(e.out, "error connect:EADDRNOTAVAIL\nmade 1000\n", "%s %s: %s", f->name, flag, e.out);
        peer_expect_clean(&peer, 0, SIZE, 0, f->name);
        cr_assert_lt(best_guess(&peer, 0, SIZE), 500, "%s %s: in the kernel's order", f->name, flag);
        cr_assert_str_empty(e.err, "%s", e.err);
        peer_stop(&peer);
    }
}

Test(port_search, cycle_finds_the_last_ports_of_a_range_that_others_filled) {
    enum { SIZE = 1000, FREE = 10 };

    ns_enter();
    for (int treated = 0; treated < 2; treated++) {
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        ns_port_range(40000, 40000 + SIZE - 1);
        fill_time_wait("127.0.0.1", peer.port, 40000, 40499);
        fill_time_wait("127.0.0.1", peer.port, 40500 + FREE, 40000 + SIZE - 1);
        struct ended e = run(treated ? CYCLE : NULL, "connect_close 127.0.0.1 %u -n %d", peer.port, FREE + 2);
        cr_assert_str_eq(e.out, "error connect:EADDRNOTAVAIL\nmade 10\n", "%d: %s", treated, e.out);
        peer_stop(&peer);
    }
}

static unsigned made(const struct ended *e) {
    const char *at = strstr(e->out, "made ");
    return at ? (unsigned)atoi(at + 5) : 0;
}

/* Several at once, each of which finds the others' ports taken. */
Test(port_search, processes_that_share_a_range_make_all_connections_that_it_has_room_for) {
    enum { PROCESSES = 8, EACH = 125 };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v[PROCESSES];
    ns_port_range(40000, 40000 + PROCESSES * EACH - 1);
    for (int i = 0; i < PROCESSES; i++)
        v[i] = victim_start(CYCLE, "connect_close 127.0.0.1 %u -n %d", peer.port, EACH);
    for (int i = 0; i < PROCESSES; i++) {
        struct ended e = victim_wait(&v[i]);
        cr_assert_eq(made(&e), EACH, "%s", e.out);
    }
    cr_assert_eq(ns_tw(), PROCESSES * EACH, "%ld", ns_tw());
}

Test(port_search, reserved_ports_and_ports_of_plain_binds_are_passed_over) {
    enum { SIZE = 200, RESERVED = 50, BOUND = 50 };

    ns_enter();
    for (unsigned treated = 0; treated < 2; treated++) {
        unsigned low = 40000 + treated * 1000;
        char reserved[64];
        struct peer peer = peer_start(&(struct peer_options){ 0 }), other = peer_start(&(struct peer_options){ 0 });

        snprintf(reserved, sizeof reserved, "%u-%u", low, low + RESERVED - 1);
        ns_sysctl("ip_local_reserved_ports", reserved);
        ns_port_range(low, low + SIZE - 1);
        struct ended e = run(NULL, "connect_close 127.0.0.1 %u -s 127.0.0.1 -n %d", other.port, BOUND);
        cr_assert_eq(e.status, 0, "%s", e.out);
        e = run(treated ? CYCLE : NULL, "connect_close 127.0.0.1 %u -n %d", peer.port, SIZE);
        cr_assert_eq(made(&e), SIZE - RESERVED - BOUND, "%u: %s", treated, e.out);
        peer_stop(&peer);
        peer_stop(&other);
    }
}

/* With tcp_tw_reuse the kernel takes ports that are over a second in TIME_WAIT: so must a cycle. */
Test(port_search, ports_that_the_kernel_would_reuse_are_reused) {
    enum { SIZE = 100 };

    ns_enter();
    ns_sysctl("tcp_tw_reuse", "1");
    ns_port_range(40000, 40000 + SIZE - 1);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(CYCLE, "connect_close 127.0.0.1 %u -n %d -i 15", peer.port, SIZE * 2);
    cr_assert_eq(made(&e), SIZE * 2, "%s", e.out);
}

Test(port_search, the_order_cannot_be_guessed_and_differs_between_equal_processes) {
    enum { N = 10000 };

    ns_enter();
    ns_port_range(32768, 60999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (unsigned i = 0; i < 2; i++) {
        struct ended e = run(CYCLE, "connect_close 127.0.0.1 %u -n %d", peer.port, N);
        cr_assert_eq(e.status, 0, "%s", e.out);
        peer_wait_ended(&peer, N * (i + 1));
        cr_assert_lt(best_guess(&peer, i * N, N), 100);
    }
    unsigned same = 0;
    for (unsigned i = 0; i < N; i++)
        same += peer.book->conn[i].from == peer.book->conn[N + i].from;
    cr_assert_lt(same, N / 100, "%u ports of %d are the same", same, N);

    struct peer other = peer_start(&(struct peer_options){ 0 });
    run(NULL, "connect_close 127.0.0.1 %u -n %d", other.port, N);
    peer_wait_ended(&other, N);
    cr_assert_geq(best_guess(&other, 0, N), 100, "the kernel's own order is no worse?");
}

/* One setsockopt a window tried. A process that fills the range itself knows which ports are left. */
Test(port_search, few_windows_are_tried) {
    enum { SIZE = 2000, FILL = SIZE * 99 / 100 };
    long calls;

    ns_enter();
    ns_port_range(40000, 40000 + SIZE - 1);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    run_counted(NULL, "setsockopt", &calls, "connect_close 127.0.0.1 %u -n 10", peer.port);
    cr_assert_eq(calls, 0, "bare");
    peer_stop(&peer);

    peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run_counted(CYCLE, "setsockopt", &calls, "connect_close 127.0.0.1 %u -n %d", peer.port, FILL);
    cr_assert_eq(made(&e), FILL, "%s%s", e.out, e.err);
    cr_assert_geq(calls, FILL, "%ld: no window was set", calls);
    cr_assert_lt(calls, FILL * 3 / 2, "%ld windows for %d connects", calls, FILL);
}

/* It can know nothing of these: 20 free ports among 1,980 that others left in TIME_WAIT, spread evenly. */
Test(port_search, windows_are_bounded_where_others_filled_the_range) {
    enum { SIZE = 2000, STEP = 100, N = 10 };
    long calls;

    ns_enter();
    ns_port_range(40000, 40000 + SIZE - 1);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (unsigned low = 40000; low < 40000 + SIZE; low += STEP)
        fill_time_wait("127.0.0.1", peer.port, low, low + STEP - 2);
    struct ended e = run_counted(CYCLE, "setsockopt", &calls, "connect_close 127.0.0.1 %u -n %d", peer.port, N);
    cr_assert_eq(made(&e), N, "%s%s", e.out, e.err);
    cr_assert_geq(calls, N, "%ld: no window was set", calls);
    cr_assert_lt(calls, N * 32, "%ld windows for %d connects", calls, N);
}

Test(port_search, a_port_that_the_program_or_bind_chose_stays) {
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(CYCLE, "bind_steps 127.0.0.1 bind:51234 connect:%u", peer.port);
    cr_assert_str_eq(e.out, "bind 0\nconnect 0\n");
    e = run(CYCLE, "bind_steps 127.0.0.1 bind name connect:%u name", peer.port);
    cr_assert_str_eq(e.out, "bind 0\nname 0\nport new\nconnect 0\nname 0\nport same\n");
    peer_wait_ended(&peer, 2);
    cr_assert_eq(peer.book->conn[0].from, 51234);
}

Test(port_search, cycle_stays_in_the_port_range) {
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(CYCLE "|PORT_RANGE=45000-45099", "connect_close 127.0.0.1 %u -n 102", peer.port);
    cr_assert_str_eq(e.out, "error connect:EADDRNOTAVAIL\nmade 100\n", "%s", e.out);
    peer_wait_ended(&peer, 100);
    for (unsigned i = 0; i < 100; i++)
        cr_assert(peer.book->conn[i].from >= 45000 && peer.book->conn[i].from <= 45099);
}

Test(port_search, with_bind_no_port_a_bound_source_address_cycles_too) {
    ns_enter();
    ns_port_range(40000, 40999);
    for (int i = 0; i < 2; i++) { /* ports of plain binds would not serve a second destination */
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = run(CYCLE "|BIND_NO_PORT=on", "connect_close 127.0.0.1 %u -s 127.0.0.1 -n 1000", peer.port);
        cr_assert_str_eq(e.out, "made 1000\n", "%s", e.out);
        peer_wait_ended(&peer, 1000);
        cr_assert_lt(best_guess(&peer, 0, 1000), 500);
        peer_stop(&peer);
    }
}
