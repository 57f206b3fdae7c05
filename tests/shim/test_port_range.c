/* port_range=LOW-HIGH: the ports that the peer sees connections come from. */
#include "tests/harness/harness.h"

#include <sys/stat.h>
#include <unistd.h>

static unsigned count_from(const struct peer *p, unsigned since, unsigned low, unsigned high) {
    unsigned n = 0;

    for (unsigned i = since; i < p->book->accepted; i++)
        n += p->book->conn[i].from >= low && p->book->conn[i].from <= high;
    return n;
}

/* Of 12 connections closed first, ten find a port of their own in the range, and two find none. */
static void expect_ten(const char *settings, const struct family *f, const char *flags, unsigned low) {
    struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });
    struct ended e = run(settings, "connect_close %s %u -n 12 %s", f->connect, peer.port, flags);

    cr_assert_str_eq(e.out, "error connect:EADDRNOTAVAIL\nmade 10\n", "%s '%s': %s", f->name, flags, e.out);
    cr_assert(!*e.err || strstr(e.err, "only what lies inside is used\n"), "%s", e.err);
    peer_wait_ended(&peer, 10);
    cr_assert_eq(count_from(&peer, 0, low, low + 9), 10, "%s '%s'", f->name, flags);
    peer_stop(&peer);
}

Test(port_range, connections_come_from_the_range_and_nowhere_else) {
    ns_enter();
    ns_port_range(40000, 49999);
    for (int i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        const char *flag = i % 2 ? "-N" : "";
        char bound[64];

        expect_ten("PORT_RANGE=45000-45009", f, flag, 45000);
        snprintf(bound, sizeof bound, "%s -s %s", flag, f->connect);
        expect_ten("PORT_RANGE=45020-45029|BIND_NO_PORT=on", f, bound, 45020);
    }
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(NULL, "connect_close 127.0.0.1 %u -n 100", peer.port);
    cr_assert_eq(e.status, 0);
    peer_wait_ended(&peer, 100);
    cr_assert_lt(count_from(&peer, 0, 45000, 45009), 100, "bare");
}

Test(port_range, what_lies_outside_the_kernels_range_does_not_count) {
    ns_enter();
    ns_port_range(40000, 49999);
    expect_ten("PORT_RANGE=49990-60000", &families[0], "", 49990);
    expect_ten("PORT_RANGE=1024-40009", &families[1], "-N", 40000);
}

Test(port_range, a_range_with_no_part_inside_is_warned_of_once_and_not_applied) {
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("PORT_RANGE=50000-50009", "connect_close 127.0.0.1 %u -n 50", peer.port);
    cr_assert_str_eq(e.out, "made 50\n");
    peer_wait_ended(&peer, 50);
    cr_assert_eq(count_from(&peer, 0, 40000, 49999), 50);
    cr_assert(strstr(e.err, "port_range"), "no warning: %s", e.err);
    cr_assert_eq(strchr(e.err, '\n')[1], 0, "more than one line: %s", e.err);
}

Test(port_range, one_that_is_partly_outside_says_so_once) {
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("PORT_RANGE=49000-50009", "connect_close 127.0.0.1 %u -n 20", peer.port);
    cr_assert_str_eq(e.out, "made 20\n");
    cr_assert_str_eq(e.err,
                     "afterfin: port_range reaches beyond net.ipv4.ip_local_port_range: only what lies inside is "
                     "used\n");
    e = run("PORT_RANGE=49000-49999", "connect_close 127.0.0.1 %u -n 20", peer.port);
    cr_assert_str_empty(e.err, "%s", e.err);
}

/* What the kernel's range is can be read no more behind chroot: it is read before. */
Test(port_range, holds_in_a_chroot_too) {
    const char *const searches[] = { "PORT_RANGE=45000-45099", "PORT_RANGE=45000-45099|PORT_SEARCH=cycle",
                                     "RULES=connect * port_range=45000-45099,port_search=cycle" };
    ns_enter();
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        const char *directory = scratch_path();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        cr_assert_eq(mkdir(directory, 0755), 0);
        struct ended e = run(searches[i], "descend 127.0.0.1 %u 20 first-chroot=%s", peer.port, directory);
        if (e.status == 3)
            cr_skip_test("chroot is not allowed here");
        cr_assert(e.status == 0 && !*e.err, "%s: %d %s", searches[i], e.status, e.err);
        peer_wait_ended(&peer, 21);
        cr_expect_eq(count_from(&peer, 0, 45000, 45099), 21, "%s", searches[i]);
        peer_stop(&peer);
        rmdir(directory);
    }
}

/* Set before a bind to port 0, the option would choose that port too. */
Test(port_range, a_port_that_the_program_bound_stays) {
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("PORT_RANGE=45000-45009", "bind_steps 127.0.0.1 bind:41234 connect:%u name", peer.port);
    cr_assert_str_eq(e.out, "bind 0\nconnect 0\nname 0\nport new\n");
    peer_wait_ended(&peer, 1);
    cr_assert_eq(peer.book->conn[0].from, 41234);
}

/* The range is for outgoing connections. A socket that was for one, and is for something else now, may have any port. */
Test(port_range, what_a_socket_is_bound_to_after_a_connect_lies_where_the_kernel_likes) {
    static const char *const settings[] = { NULL, "PORT_RANGE=45000-45000", "PORT_RANGE=45000-45000|PORT_SEARCH=cycle",
                                            "RULES=connect * port_range=45000-45000" };
    static const char *const after[] = { "refused", "later", "gone" };
    ns_enter();
    ns_port_range(40000, 49999);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
        for (int i = 0; i < 6; i++) {
            const bool gone = i / 2 == 2; /* nobody listens on port 1 */
            struct ended e = run(settings[s], "binds_after %s %s 127.0.0.1 %u 45000", after[i / 2],
                                 i % 2 ? "bind" : "listen", gone ? peer.port : 1);
            cr_expect_eq(e.status, 0, "%s, %s, %d: %s", settings[s], after[i / 2], i % 2, e.err);
        }
}
