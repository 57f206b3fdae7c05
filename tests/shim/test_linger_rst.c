/* linger=rst and linger=SECONDS. */
#include "tests/harness/counts.h"

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

/* Closed where no hook sees, and its number something else's. */
Test(linger_rst, rst_is_not_applied_to_what_has_the_number_of_a_connection_by_now) {
    static const char *const ways[] = { "file", "event", "udp", "local", "tcp", "seen" };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const bool seen = strcmp(ways[i], "seen") == 0, tcp = strcmp(ways[i], "tcp") == 0;
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 }),
                    other = peer_start(&(struct peer_options){ .raw = true });
        struct ended e = run(text("LINGER=rst|LOG=%s", log), "unseen %s 127.0.0.1 %u %u %d", ways[i], peer.port,
                             other.port, N);
        cr_assert_eq(e.status, 0, "%s: %s", ways[i], e.err);
        peer_expect_clean(&peer, 0, N, 0, ways[i]);
        if (seen || tcp)
            peer_wait_ended(&other, N);
        if (tcp)
            peer_expect_clean(&other, 0, N, 1, ways[i]);
        const struct tally got = tally_log(ways[i], log);
        cr_assert_eq(books_of(ways[i], peer.port).to, N, "%s", ways[i]);
        cr_assert(got.time_wait == N && got.avoided == (seen ? N : 0) && got.established == got.time_wait + got.avoided,
                  "%s: %s", ways[i], file_text(log));
        unlink(log);
        peer_stop(&peer);
        peer_stop(&other);
    }
}

/* What it had before, the other threads may have still. */
Test(linger_rst, rst_comes_from_the_main_thread_alone_once_that_has_parted_from_the_others) {
    for (int i = 0; i < 2; i++) {
        const char *log = scratch_path(), *linger = i ? "rst" : "off";
        const long reset = i ? N - 1 : 0;
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .raw = true });
        struct ended e = run(text("LINGER=%s|LOG=%s", linger, log), "threads main_apart 127.0.0.1 %u %d", peer.port, N);
        cr_assert_eq(e.status, 0, "%s: %s", linger, e.err);
        peer_wait_ended(&peer, N);
        cr_assert(peer_count(&peer, 0, ECONNRESET) == reset && peer_count(&peer, 0, 0) == N - reset &&
                      peer.book->conn[0].bytes == 1 && !peer.book->conn[0].error,
                  "%s: %u reset", linger, peer_count(&peer, 0, ECONNRESET));
        const struct tally got = tally_log(linger, log);
        cr_assert_eq(books_of(linger, peer.port).to, N - reset, "%s", linger);
        cr_assert(got.time_wait == N - reset && got.avoided == reset && got.established == N, "%s: %s", linger,
                  file_text(log));
        unlink(log);
        peer_stop(&peer);
    }
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
