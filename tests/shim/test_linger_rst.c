/* linger=rst and linger=SECONDS. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { N = 30 };

Test(linger_rst, rst_aborts_what_a_client_closes) {
    ns_enter();
    for (int i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });
        struct ended e = run("LINGER=rst", "connect_close %s %u -n %d -b 100 %s", f->connect, peer.port, N,
                             i % 2 ? "-N" : "");
        cr_assert_eq(e.status, 0, "%s: %s%s", f->name, e.out, e.err);
        peer_wait_ended(&peer, N);
        cr_assert_eq(peer_count(&peer, 0, ECONNRESET), N, "%s", f->name);
        cr_assert_eq(ns_tw(), 0, "%s", f->name);
        peer_stop(&peer);
    }
}

Test(linger_rst, rst_aborts_what_a_server_closes) {
    ns_enter();
    for (unsigned i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        uint16_t port = (uint16_t)(8080 + i);
        struct victim v = victim_start("LINGER=rst", "server_close %s %u -n %d -q 10 -b 100", f->listen, port, N);
        ns_wait_listen(port);
        struct client_result r = client_run(&(struct client_options){
            .address = f->connect, .port = port, .n = N, .send = 10 });
        victim_wait(&v);
        cr_assert_eq(r.connected, N, "%s", f->name);
        cr_assert_eq(r.clean, 0, "%s", f->name);
        cr_assert_eq(r.error, ECONNRESET, "%s: %s", f->name, strerror(r.error));
        cr_assert_eq(ns_tw(), 0, "%s", f->name);
    }
}

/* Set early, SO_LINGER {1,0} would reset these. */
Test(linger_rst, rst_is_not_applied_where_the_close_is_not_this_process_own_to_make) {
    static const struct {
        const char *name, *command;
    } rows[] = {
        { "killed with it open", "exit_open sigkill 127.0.0.1 %u 1 5000" },
        { "forked, the child lives", "fork_close 127.0.0.1 %u 5000" },
        { "inherited through exec", "exec_close 127.0.0.1 %u 5000" },
    };

    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        char command[128];
        snprintf(command, sizeof command, rows[i].command, peer.port);
        run("LINGER=rst", "%s", command);
        peer_expect_clean(&peer, 0, 1, 5000, rows[i].name);
        cr_assert_eq(ns_tw(), (long)i + 1, "%s", rows[i].name);
        peer_stop(&peer);
    }
}

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The peer reads nothing until released, so what a lingering close waits for cannot have come before. */
static bool closes_before_the_peer_reads(const char *settings, const char *flag) {
    struct peer peer = peer_start(&(struct peer_options){ .waits = true });
    ns_sysctl("tcp_wmem", "4096 16777216 33554432");
    struct victim v = victim_start(settings, "close_timed 127.0.0.1 %u 8000000 %s", peer.port, flag);
    if (settings) {
        victim_wait_out(&v, "now closing");
        nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    } else {
        victim_wait_out(&v, "closed ");
    }
    long released = now_ns();
    peer_release(&peer);
    peer_expect_clean(&peer, 0, 1, 8000000, "lingering close");
    struct ended e = victim_wait(&v);
    const char *closed = strstr(e.out, "closed ");
    cr_assert(closed && strstr(e.out, "close 0\n"), "%s%s", e.out, e.err);
    peer_stop(&peer);
    return atol(closed + 7) < released;
}

Test(linger_rst, seconds_make_close_wait_for_the_peer) {
    ns_enter();
    cr_assert(closes_before_the_peer_reads(NULL, ""));
    cr_assert_not(closes_before_the_peer_reads("LINGER=60", ""));
    cr_assert_not(closes_before_the_peer_reads("LINGER=60", "-N"), "non-blocking sockets too");
}

static void expect_linger(pid_t pid, int seconds, const char *what) {
    struct linger l = { 0 };
    socklen_t len = sizeof l;
    int fd = victim_socket(pid, 0);

    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
    cr_assert_eq(l.l_onoff, seconds != 0, "%s", what);
    cr_assert_eq(l.l_linger, seconds, "%s", what);
    close(fd); /* or the connection would outlive its victim */
}

Test(linger_rst, seconds_reach_the_kernel_on_either_side_and_over_every_family) {
    ns_enter();
    for (unsigned i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        const char *settings = i % 2 ? "LINGER=65535" : NULL;
        uint16_t port = (uint16_t)(8080 + i);
        struct victim server = victim_start(settings, "accept_hold %s %u", f->listen, port);
        ns_wait_listen(port);
        struct victim client = victim_start(settings, "connect_hold %s %u -N", f->connect, port);
        victim_wait_out(&client, "open");
        victim_wait_out(&server, "open");
        expect_linger(client.pid, settings ? 65535 : 0, f->name);
        expect_linger(server.pid, settings ? 65535 : 0, f->name);
        victim_kill(&client, SIGKILL);
        victim_wait(&server);
    }
}
