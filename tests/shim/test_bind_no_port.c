/* bind_no_port=on: a port serves many destinations, and the program still gets real ports when it asks. */
#include "tests/harness/harness.h"

#define ON "BIND_NO_PORT=on"

static struct ended bind_many(const char *settings, const char *address, unsigned each, struct peer peers[4]) {
    return run(settings, "bind_many %s %s %u %u %u %u %u", address, address, each, peers[0].port, peers[1].port,
               peers[2].port, peers[3].port);
}

/* Victims hold all open, so each (source port, destination) is used once: range x 4. */
Test(bind_no_port, four_destinations_share_a_range_of_1000_ports) {
    enum { RANGE = 1000 };

    ns_enter();
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct peer peers[4];
        for (int p = 0; p < 4; p++)
            peers[p] = peer_start(&(struct peer_options){ .address = f->listen });
        ns_port_range(50000, 50000 + RANGE - 1);
        struct ended e = bind_many(ON, f->connect, RANGE, peers);
        cr_assert_str_eq(e.out, "made 4000\n", "%s: %s", f->name, e.out);
        for (int p = 0; p < 4; p++) {
            peer_wait_ended(&peers[p], RANGE);
            cr_assert_eq(peers[p].book->accepted, RANGE, "%s", f->name);
        }
        if (i == 0) { /* last: its TIME_WAITs block the range */
            ns_port_range(52000, 52000 + RANGE - 1);
            e = bind_many(NULL, f->connect, RANGE, peers);
            cr_assert_eq(strncmp(e.out, "error bind:EADDRINUSE\n", 22), 0, "%s", e.out);
            cr_assert(strstr(e.out, "made 1000\n"), "%s", e.out);
        }
        for (int p = 0; p < 4; p++)
            peer_stop(&peers[p]);
    }
}

Test(bind_no_port, its_time_waits_do_not_close_ports_to_others) {
    enum { RANGE = 100 };

    ns_enter();
    struct peer one = peer_start(&(struct peer_options){ 0 }), other = peer_start(&(struct peer_options){ 0 });
    for (unsigned treated = 0; treated < 2; treated++) {
        ns_port_range(50000 + treated * RANGE, 50000 + treated * RANGE + RANGE - 1);
        struct ended e = run(treated ? ON : NULL, "connect_close 127.0.0.1 %u -s 127.0.0.1 -n %d %s", one.port, RANGE,
                             treated ? "-N" : "");
        cr_assert_eq(e.status, 0, "%s", e.out);
        ns_settle();
        e = run(NULL, "connect_close 127.0.0.1 %u -n %d", other.port, RANGE);
        cr_assert_str_eq(e.out, treated ? "made 100\n" : "error connect:EADDRNOTAVAIL\nmade 0\n");
    }
}

/* Each row is run bare and treated: whatever the program can see must be the same. */
static const char *const steps[] = {
    "bind name listen name",
    "bind resvport name",
    "bind connect:%u unspec bind name name",
    "bind connect:1 bind name connect:%u name",
    "bind connect:1 bind:54322 name",
    "bind connect:1 name listen name",
    "bind connect:1 name connect:%u name",
    "bind connect:%u unspec listen name",
    "bind connect:%u unspec connect:%u name",
    "unspec:0 name connect:%u name",
    "resvport resvport",
    "bind listen name",
    "bind name name",
    "bind name connect:%u name",
    "bind connect:%u name",
    "name bind name",
    "bind bind",
    "bind name bind",
    "bind listen bind",
    "bind connect:%u bind",
    "bind bind name listen name",
    "bind listen listen name",
    "bind:short name",
    "bind:family name",
    "bind:short bind name",
    "bind@203.0.113.1 name",
    "bind@203.0.113.1 bind name",
    "reuse bind name listen",
    "bind:54321 name",
    "bind v6only name",
    "bind name v6only",
    "v6only bind name",
    "listen name",
    "connect:%u name bind",
};

Test(bind_no_port, the_program_sees_what_it_sees_bare) {
    const bool has_resvport = !victims_are("musl"); /* which has no bindresvport */
    ns_enter();
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            char command[128];
            snprintf(command, sizeof command, steps[s], peer.port, peer.port);
            if ((i > 0 && strchr(command, '@')) || (strstr(command, "resvport") && !has_resvport))
                continue;
            struct ended bare = run(NULL, "bind_steps %s %s", f->connect, command);
            struct ended treated = run(ON, "bind_steps %s %s", f->connect, command);
            cr_expect_str_eq(treated.out, bare.out, "%s '%s'\nbare:\n%s\ntreated:\n%s", f->name, command, bare.out,
                             treated.out);
            cr_expect_eq(treated.status, bare.status, "%s '%s'", f->name, command);
        }
        peer_stop(&peer);
    }
}

Test(bind_no_port, a_server_that_asks_for_any_port_is_reached_at_the_port_it_was_told) {
    static const char *const ways[] = { "bind name listen", "bind listen", "bind listen name" };

    ns_enter();
    for (int i = 0; i < FAMILIES * 3; i++) {
        const struct family *f = &families[i / 3];
        struct victim v = victim_start(ON, "bind_steps %s %s serve", f->connect, ways[i % 3]);
        victim_wait_out(&v, "serving ");
        const char *at = strstr(victim_out(&v), "serving ");
        uint16_t port = (uint16_t)(at ? atoi(at + 8) : 0);
        cr_assert_neq(port, 0, "%s '%s': %s", f->name, ways[i % 3], victim_out(&v));
        struct client_result r = client_run(&(struct client_options){
            .address = f->connect, .port = port, .n = 1, .send = 100, .closes_first = true });
        cr_assert_eq(r.connected, 1, "%s '%s': %s", f->name, ways[i % 3], strerror(r.error));
        struct ended e = victim_wait(&v);
        cr_assert(strstr(e.out, "served 0\n"), "%s '%s': %s", f->name, ways[i % 3], e.out);
    }
}

/* The one port of the range is a listener's: bind would have said so at once, now getsockname does. */
Test(bind_no_port, where_no_port_is_free_getsockname_gives_the_errno_of_bind) {
    ns_enter();
    ns_port_range(40000, 40000);
    for (int i = 0; i < 2; i++) { /* the wildcard of IPv6 takes it in both families */
        struct peer peer = peer_start(&(struct peer_options){ .address = families[i].listen, .port = 40000 });
        struct ended bare = run(NULL, "bind_steps %s bind", families[i].connect);
        struct ended treated = run(ON, "bind_steps %s bind name", families[i].connect);
        cr_assert_str_eq(bare.out, "bind EADDRINUSE\n", "%s", families[i].name);
        cr_assert_str_eq(treated.out, "bind 0\nname EADDRINUSE\n", "%s", families[i].name);
        treated = run(ON, "bind_steps %s bind listen", families[i].connect);
        cr_assert_str_eq(treated.out, "bind 0\nlisten EADDRINUSE\n", "%s", families[i].name);
        peer_stop(&peer);
    }
}
