/* source=: where connections come from, as getsockname and the peer's side of the kernel see it, how many fit, and that
 * nothing fails or shows that would not bare. */
#include "tests/harness/counts.h"
#include "tests/harness/harness.h"
#include "tests/harness/said.h"

#include <signal.h>
#include <stdlib.h>

enum { RANGE = 100 };

static void add_address(const char *address) {
    struct ended e = run(NULL, "ip addr add %s dev lo%s", address, strchr(address, ':') ? " nodad" : "");
    cr_assert_eq(e.status, 0, "%s: %s", address, e.err);
}

/* Each of four addresses has the whole range of ports: four times as many as bare, and then those of bare, where the kernel
 * chooses 127.0.0.1 or ::1. */
static void expect_four_ranges(const char *settings, const struct family *f, const char *const pool[4], int range,
                               const char *flags) {
    struct peer peer = peer_start(&(struct peer_options){ .address = f->listen, .raw = true, .holds = true });
    struct ended e = run(settings, "connect_many %s %u %d %s", f->connect, peer.port, 6 * range, flags);

    cr_expect_eq(said_made(e.out), (strcmp(pool[3], "::1") ? 5 : 4) * range, "%s %s, '%s': %s%s", f->name, settings,
                 flags, e.out, e.err);
    cr_expect(strstr(e.out, "error EADDRNOTAVAIL\n"), "%s: %s", settings, e.out);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(said_from(e.out, pool[i]), range, "%s %s, '%s': %s", f->name, settings, flags, e.out);
    peer_stop(&peer);
    ns_settle();
}

static const char *const v4[] = { "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5" };

Test(source, four_addresses_hold_4000_connections_from_a_range_of_1000_ports) {
    ns_enter();
    ns_port_range(40000, 40999);
    expect_four_ranges("SOURCE=127.0.0.2-127.0.0.5", &families[0], v4, 1000, "");
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct ended e = run(NULL, "connect_many 127.0.0.1 %u 5000", peer.port);
    cr_expect_eq(said_made(e.out), 1000, "bare: %s", e.out);
}

Test(source, it_goes_with_every_way_to_connect_and_every_other_policy) {
    static const char *const settings[] = {
        "SOURCE=127.0.0.2-127.0.0.5",
        "SOURCE=127.0.0.2,127.0.0.3,127.0.0.5+127.0.0.4",
        "SOURCE=127.0.0.2-127.0.0.5|PORT_SEARCH=cycle",
        "SOURCE=127.0.0.2-127.0.0.5|PORT_RANGE=40000-40099",
        "SOURCE=127.0.0.2-127.0.0.5|PORT_RANGE=40000-40099|PORT_SEARCH=cycle|LINGER=ack|LOG=/dev/null",
        "SOURCE=127.0.0.2-127.0.0.5|BIND_NO_PORT=on|LINGER=rst",
        "SOURCE=10.9.9.9|RULES=connect 10.0.0.0/8 source=off; connect 127.0.0.1 source=127.0.0.2-127.0.0.5",
        "SOURCE=::1,127.0.0.2-127.0.0.4,fe80::1,127.0.0.5|KEEPALIVE=60",
    };
    static const char *const flags[] = { "", "-N", "-F", "-t 5" };

    ns_enter();
    ns_sysctl("tcp_fastopen", "1027");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        ns_port_range(40000, strstr(settings[i], "PORT_RANGE") ? 41000 : 40000 + RANGE - 1);
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
            expect_four_ranges(settings[i], &families[0], v4, RANGE, flags[k]);
    }
}

Test(source, it_goes_with_ipv6_and_v4_mapped_destinations) {
    static const char *const v6[] = { "fd00::1", "fd00::2", "fd00::3", "::1" };
    static const char *const mapped[] = { "::ffff:127.0.0.2", "::ffff:127.0.0.3", "::ffff:127.0.0.4",
                                          "::ffff:127.0.0.5" };
    ns_enter();
    for (int i = 0; i < 3; i++)
        add_address(text("%s/128", v6[i]));
    ns_port_range(40000, 40000 + RANGE - 1);
    for (int i = 0; i < 2; i++) {
        const char *flag = i ? "-N" : "";
        expect_four_ranges("SOURCE=fd00::1-fd00::3,::1,127.0.0.2-127.0.0.5", &families[1], v6, RANGE, flag);
        expect_four_ranges("SOURCE=fd00::1-fd00::3,::1,127.0.0.2-127.0.0.5", &families[2], mapped, RANGE, flag);
    }
}

/* Over 10,000 connections each address has its share within 2 %: the order leaves no more than a lap to chance. */
Test(source, the_shares_are_equal_and_two_processes_do_not_walk_in_step) {
    enum { N = 10000, POOL = 7 };
    ns_enter();
    ns_port_range(20000, 60000);
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct ended e = run("SOURCE=127.0.0.11-127.0.0.17|LINGER=ack", "connect_many 127.0.0.1 %u %d", peer.port, N);
    cr_expect_eq(said_made(e.out), N, "%s", e.out);
    for (int i = 0; i < POOL; i++) {
        const int share = said_from(e.out, text("127.0.0.%d", 11 + i));
        cr_expect(share >= N / POOL * 0.98 && share <= N / POOL * 1.02, "%d: %d of %d", i, share, N);
    }
    const char *first[2];
    for (int i = 0; i < 2; i++) { /* the order of their first addresses, out of 60 */
        e = run("SOURCE=127.0.0.101-127.0.0.160", "connect_many 127.0.0.1 %u 20", peer.port);
        first[i] = strdup(e.out);
        cr_expect_eq(said_made(e.out), 20, "%s", e.out);
    }
    cr_expect(strcmp(first[0], first[1]) != 0, "both from %s", first[0]);
}

Test(source, an_address_that_goes_away_is_passed_over_and_none_left_is_as_bare) {
    ns_enter();
    add_address("10.7.7.1/32");
    add_address("10.7.7.2/32");
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start("SOURCE=10.7.7.1-10.7.7.2", "connect_many 127.0.0.1 %u 30 -w", peer.port);
    for (int i = 2; i >= 0; i--) { /* ten of both, ten of the first, ten of the kernel's choice */
        static const char *const said[] = { "ready now\nready now\nready now\n", "ready now\nready now\n",
                                            "ready now\n" };
        victim_wait_out(&v, said[i]);
        struct ended e = run(NULL, i ? "ip addr del 10.7.7.%d/32 dev lo" : "true", i);
        cr_assert_eq(e.status, 0, "%s", e.err);
        kill(v.pid, SIGUSR1);
    }
    struct ended e = victim_wait(&v);
    cr_expect_eq(said_made(e.out), 30, "%s%s", e.out, e.err);
    cr_expect_eq(said_from(e.out, "10.7.7.2"), 5, "%s", e.out);
    cr_expect_eq(said_from(e.out, "10.7.7.1"), 15, "%s", e.out);
    cr_expect_eq(said_from(e.out, "127.0.0.1"), 10, "%s", e.out);
}

Test(source, a_pool_that_is_nobodys_says_so_once) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("SOURCE=10.9.9.1-10.9.9.3", "connect_close 127.0.0.1 %u -n 5", peer.port);
    cr_expect_str_eq(e.err, "afterfin: source has no address of this machine's: the kernel chooses\n");
    cr_expect_str_eq(e.out, "made 5\n");
    e = run("SOURCE=10.9.9.1,127.0.0.2", "connect_close 127.0.0.1 %u -n 5", peer.port);
    cr_expect_str_empty(e.err, "one of them is: %s", e.err);
}

/* What has another source in mind keeps it; where none of the pool does, it is as bare: 127.0.0.1. */
Test(source, the_programs_own_choice_and_what_no_address_fits_are_left_alone) {
    static const struct {
        const char *settings, *steps, *address;
    } rows[] = {
        { "SOURCE=127.0.0.9", "connect:%u", "127.0.0.9" },
        { "SOURCE=127.0.0.9", "bind connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9|BIND_NO_PORT=on", "bind connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9", "bind@127.0.0.7 connect:%u", "127.0.0.7" },
        { "SOURCE=127.0.0.9|OVERRIDE=on", "bind@127.0.0.7 connect:%u", "127.0.0.7" },
        { "SOURCE=127.0.0.9", "bind@0.0.0.0 connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9", "freebind connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9", "device connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9|OVERRIDE=on", "device connect:%u", "127.0.0.9" },
        { "SOURCE=127.0.0.9", "connect:%u@0.0.0.0", "127.0.0.1" },
        { "SOURCE=::1,fd00::7", "connect:%u", "127.0.0.1" },
        { "SOURCE=10.1.2.3,192.0.2.7", "connect:%u", "127.0.0.1" },
        { "SOURCE=10.0.0.1-10.255.255.255", "connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9|RULES=connect :1-5 source=127.0.0.5", "connect:%u", "127.0.0.9" },
        { "SOURCE=127.0.0.9|RULES=connect * source=off", "connect:%u", "127.0.0.1" },
        { "SOURCE=127.0.0.9|SKIP=bind_steps", "connect:%u", "127.0.0.1" },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char steps[128];
        snprintf(steps, sizeof steps, rows[i].steps, peer.port);
        struct ended e = run(rows[i].settings, "bind_steps 127.0.0.1 %s address", steps);
        cr_expect(strstr(e.out, "connect 0\n") && strstr(e.out, text("address %s\n", rows[i].address)), "%s, %s: %s%s",
                  rows[i].settings, steps, e.out, e.err);
    }
}

/* Each row bare and treated: what the program sees of a socket that is not connected is the same, and what succeeds bare
 * succeeds. 192.0.2.1 is routed by a device without addresses of the pool; 203.0.113.1 not at all. */
static const char *const steps[] = {
    "address no_port? connect:9 address no_port? v6only?",
    "connect:9 connect:9 bind address name",
    "connect:9 listen address",
    "connect:9 connect:%u",
    "connect:%u connect:%u",
    "connect:%u bind listen",
    "nonblock connect:9 wait listen",
    "nonblock connect:9 wait bind name address no_port?",
    "nonblock connect:9 wait connect:9 wait connect:%u wait connect:%u",
    "nonblock connect:%u wait connect:%u",
    "nonblock connect:9 wait unspec bind name address",
    "unspec address connect:%u unspec no_port? v6only? bind name address",
    "connect:%u unspec connect:9 address",
    "connect:%u unspec listen address",
    "connect:9@203.0.113.1 address connect:%u",
    "connect:9@192.0.2.1 address no_port? connect:%u",
    "connect:9@::ffff:127.0.0.1 address",
    "connect:9 v6only? connect:%u@::ffff:127.0.0.1",
    "connect:%u unspec v6only? connect:%u@::ffff:127.0.0.1",
    "v6only connect:9 v6only? connect:%u@::ffff:127.0.0.1 connect:%u",
    "connect:0 connect:%u",
    "connect:%u@0.0.0.0",
    "connect:%u@::",
};

Test(source, the_program_sees_what_it_sees_bare) {
    ns_enter();
    add_address("fd00::1/128");
    struct ended e = run(NULL, "ip link add out type dummy");
    if (e.status == 0) {
        run(NULL, "ip link set out up");
        run(NULL, "ip route add 192.0.2.0/24 dev out");
        ns_sysctl("tcp_syn_retries", "1");
    }
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            char command[192];
            if (i == 0 && strstr(steps[s], "@::"))
                continue;
            if (strstr(steps[s], "192.0.2") && (i || e.status))
                continue;
            snprintf(command, sizeof command, steps[s], peer.port, peer.port, peer.port);
            struct ended bare = run(NULL, "bind_steps %s %s", f->connect, command);
            bare.out = strdup(bare.out);
            struct ended treated = run("SOURCE=127.0.0.11,10.1.1.1,fd00::1,fd00::77", "bind_steps %s %s", f->connect,
                                       command);
            cr_expect_str_eq(treated.out, bare.out, "%s, %s: %s, bare %s", f->name, command, treated.out, bare.out);
            cr_expect_str_empty(treated.err, "%s", treated.err);
        }
        peer_stop(&peer);
    }
}

/* After a connect that was refused: with bind_no_port its socket has no port yet, and could be bound away again. */
Test(source, an_address_that_the_program_binds_later_stays) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    static const char *const settings[] = { "SOURCE=127.0.0.1-127.0.0.3|BIND_NO_PORT=on",
                                            "SOURCE=127.0.0.1-127.0.0.3" };
    for (int i = 0; i < 2; i++) {
        struct ended e = run(settings[i], "bind_steps 127.0.0.1 connect:1 bind@127.0.0.5 connect:%u address",
                             peer.port);
        cr_expect_str_eq(e.out, "connect ECONNREFUSED\nbind 0\nconnect 0\naddress 127.0.0.5\n", "%s", settings[i]);
    }
    peer_stop(&peer);
}
