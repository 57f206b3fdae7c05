/* keepalive and user_timeout: the kernel's timers, its own copy of the options, and connections that end when the
 * network is cut. */
#include "tests/harness/harness.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { NONE = 0, KEEPALIVE_TIMER = 2 };

/* A client and a server victim, connected to each other and idle. */
struct pair {
    struct victim client, server;
    uint16_t port;
};

static struct pair start_pair(const char *settings, const struct family *f, const char *flag) {
    static uint16_t next = 8080;
    struct pair p = { .port = next++ };

    p.server = victim_start(settings, "accept_hold %s %u %s", f->listen, p.port, flag);
    ns_wait_listen(p.port);
    p.client = victim_start(settings, "connect_hold %s %u %s", f->connect, p.port, flag);
    victim_wait_out(&p.client, "open 0");
    victim_wait_out(&p.server, "open ");
    return p;
}

static void end_pair(struct pair *p) {
    victim_kill(&p->client, SIGKILL);
    victim_wait(&p->server);
}

static void expect_timers(const struct pair *p, unsigned timer, unsigned long at_most, const char *what) {
    struct ns_socket *s;
    size_t n = ns_sockets(&s), seen = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i].state != ST_ESTABLISHED || (s[i].local_port != p->port && s[i].remote_port != p->port))
            continue;
        seen++;
        const char *side = s[i].local_port == p->port ? "server" : "client";
        cr_assert_eq(s[i].timer, timer, "%s, %s: timer %u", what, side, s[i].timer);
        cr_assert_leq(s[i].timer_ticks, at_most, "%s, %s: %lu", what, side, s[i].timer_ticks);
    }
    cr_assert_eq(seen, 2, "%s: %zu sockets", what, seen);
    free(s);
}

Test(keepalive, the_kernel_keeps_a_timer_on_both_sides_over_every_family) {
    ns_enter();
    for (int i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        const char *flag = i % 2 ? "-N" : "";
        struct pair bare = start_pair(NULL, f, flag), alive = start_pair("KEEPALIVE=3000", f, flag);
        expect_timers(&bare, NONE, 0, f->name);
        expect_timers(&alive, KEEPALIVE_TIMER, 300000, f->name);
        end_pair(&bare);
        end_pair(&alive);
    }
}

static void expect_option(pid_t pid, int level, int name, int expected, const char *what) {
    int fd = victim_socket(pid, 0), value = socket_option(fd, level, name);

    close(fd); /* or the connection would outlive its victim */
    cr_assert_eq(value, expected, "%s: %d, not %d", what, value, expected);
}

Test(keepalive, every_part_reaches_the_kernel_and_what_is_not_given_stays) {
    static const struct {
        const char *settings;
        int on, idle, interval, count, user_timeout;
    } rows[] = {
        { "KEEPALIVE=off", 0, 7200, 75, 9, 0 },
        { "KEEPALIVE=60", 1, 60, 75, 9, 0 },
        { "KEEPALIVE=60:7", 1, 60, 7, 9, 0 },
        { "KEEPALIVE=32767:32767:127", 1, 32767, 32767, 127, 0 },
        { "USER_TIMEOUT=1500ms", 0, 7200, 75, 9, 1500 },
        { "USER_TIMEOUT=90s", 0, 7200, 75, 9, 90000 },
        { "KEEPALIVE=1:2:3|USER_TIMEOUT=4s", 1, 1, 2, 3, 4000 },
    };

    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows * FAMILIES; i++) {
        struct pair p = start_pair(rows[i / FAMILIES].settings, &families[i % FAMILIES], i % 2 ? "-N" : "");
        for (int side = 0; side < 2; side++) {
            pid_t pid = side ? p.client.pid : p.server.pid;
            const char *what = rows[i / FAMILIES].settings;
            expect_option(pid, SOL_SOCKET, SO_KEEPALIVE, rows[i / FAMILIES].on, what);
            expect_option(pid, IPPROTO_TCP, TCP_KEEPIDLE, rows[i / FAMILIES].idle, what);
            expect_option(pid, IPPROTO_TCP, TCP_KEEPINTVL, rows[i / FAMILIES].interval, what);
            expect_option(pid, IPPROTO_TCP, TCP_KEEPCNT, rows[i / FAMILIES].count, what);
            expect_option(pid, IPPROTO_TCP, TCP_USER_TIMEOUT, rows[i / FAMILIES].user_timeout, what);
        }
        end_pair(&p);
    }
}

/* With the kernel's own interval and count it would take a further eleven minutes. */
Test(keepalive, a_dead_peer_is_found_after_count_probes) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start("KEEPALIVE=1:1:2", "connect_hold 127.0.0.1 %u", peer.port);
    victim_wait_out(&v, "open 0");
    ns_cut(peer.port);
    long before = ns_netstat("TCPKeepAlive");
    struct ended e = victim_wait(&v);
    cr_assert_str_eq(e.out, "open 0\nend ETIMEDOUT\n");
    cr_assert_eq(ns_netstat("TCPKeepAlive") - before, 2);
}

Test(user_timeout, unacknowledged_data_ends_the_connection_long_before_it_would_bare) {
    ns_enter();
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen, .raw = true });
        struct victim bare = victim_start(NULL, "connect_hold %s %u -t", f->connect, peer.port);
        struct victim timed = victim_start("USER_TIMEOUT=500ms", "connect_hold %s %u -t -N", f->connect, peer.port);
        victim_wait_out(&bare, "open 0");
        victim_wait_out(&timed, "open 0");
        ns_cut(peer.port);
        struct ended e = victim_wait(&timed);
        cr_assert_str_eq(e.out, "open 0\nend ETIMEDOUT\n", "%s: %s", f->name, e.out);
        cr_assert(victim_runs(&bare), "%s: it ends just as soon without the policy", f->name);
        victim_kill(&bare, SIGKILL);
        peer_stop(&peer);
    }
}
