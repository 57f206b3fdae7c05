/* Where the program sets an option itself, it wins; with override=on the policy does, and the program's own call
 * still succeeds. Read from the kernel through a descriptor of our own, not through the library. */
#include "tests/harness/harness.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

enum { FIN_TIMEOUT = 60 }; /* what TCP_LINGER2 reads where nobody set it */

static const struct {
    const char *settings, *option;
    int level, name;
    int program_wins, policy_wins;
} rows[] = {
    { "KEEPALIVE=60", "keepidle:100", IPPROTO_TCP, TCP_KEEPIDLE, 100, 60 },
    { "KEEPALIVE=60", "keepalive:0", SOL_SOCKET, SO_KEEPALIVE, 0, 1 },
    { "USER_TIMEOUT=2s", "user_timeout:7000", IPPROTO_TCP, TCP_USER_TIMEOUT, 7000, 2000 },
    { "LINGER=ack", "linger:1:7", IPPROTO_TCP, TCP_LINGER2, FIN_TIMEOUT, -1 },
    { "LINGER=ack", "linger:1:0", IPPROTO_TCP, TCP_LINGER2, FIN_TIMEOUT, -1 },
    { "LINGER=ack", "linger2:5", IPPROTO_TCP, TCP_LINGER2, 5, -1 },
    { "LINGER=ack", "linger:0:0", IPPROTO_TCP, TCP_LINGER2, -1, -1 }, /* settles nothing */
    { "LINGER=ack", "linger:1:7", SOL_SOCKET, SO_LINGER, 1, 0 },
    { "LINGER=5", "linger:0:0", SOL_SOCKET, SO_LINGER, 1, 1 }, /* settles nothing */
    { "LINGER=5", "linger2:7", SOL_SOCKET, SO_LINGER, 0, 1 },
    { "KEEPALIVE=60", "user_timeout:7000", IPPROTO_TCP, TCP_KEEPIDLE, 60, 60 }, /* another key's */
};
#define ROWS (sizeof rows / sizeof *rows)

static void expect_value(struct victim *v, size_t row, bool override, const char *what) {
    int fd = victim_socket(v->pid, 0), value = socket_option(fd, rows[row].level, rows[row].name);
    int expected = override ? rows[row].policy_wins : rows[row].program_wins;

    close(fd);
    cr_assert(strstr(victim_out(v), "set 0\n"), "%s %s: %s", rows[row].settings, rows[row].option, victim_out(v));
    cr_expect_eq(value, expected, "%s %s, override %s, set %s: %d, not %d", rows[row].settings, rows[row].option,
                 override ? "on" : "off", what, value, expected);
}

/* Before and after connect, and on a listener and on what it accepted. */
Test(override, the_program_wins_unless_override_is_on) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS * 4; i++) {
        bool override = i % 2, after = i / 2 % 2;
        char settings[64];
        snprintf(settings, sizeof settings, "%s%s", rows[i / 4].settings, override ? "|OVERRIDE=on" : "");

        struct victim client = victim_start(settings, "connect_hold 127.0.0.1 %u %s %s", peer.port, after ? "-O" : "-o",
                                            rows[i / 4].option);
        victim_wait_out(&client, "open ");
        expect_value(&client, i / 4, override, after ? "after connect" : "before connect");
        victim_kill(&client, SIGKILL);

        uint16_t port = (uint16_t)(8080 + i);
        struct victim server = victim_start(settings, "accept_hold 127.0.0.1 %u %s %s", port, after ? "-O" : "-o",
                                            rows[i / 4].option);
        ns_wait_listen(port);
        struct victim other = victim_start(NULL, "connect_hold 127.0.0.1 %u", port);
        victim_wait_out(&server, "open ");
        expect_value(&server, i / 4, override, after ? "on the accepted" : "on the listener");
        victim_kill(&server, SIGKILL);
        victim_kill(&other, SIGKILL);
    }
}

Test(override, who_wins_shows_in_time_wait) {
    enum { N = 5 };
    long tw = 0;

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 100 });
    for (unsigned i = 0; i < 4; i++) {
        bool override = i % 2;
        const char *when = i / 2 ? "-O" : "-o";
        struct ended e = run(override ? "LINGER=ack|OVERRIDE=on" : "LINGER=ack",
                             "connect_close 127.0.0.1 %u -n %d -b 100 -r 1 %s linger:1:5", peer.port, N, when);
        cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
        peer_expect_clean(&peer, i * N, N, 100, when);
        tw += override ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "override %d, %s", override, when);
    }
}

/* 45100-45109 of the program's own, 45000-45009 of the policy's. */
Test(override, who_wins_shows_in_the_port) {
    ns_enter();
    ns_port_range(40000, 49999);
    for (unsigned override = 0; override < 2; override++) {
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = run(override ? "PORT_RANGE=45000-45009|OVERRIDE=on" : "PORT_RANGE=45000-45009",
                             "connect_close 127.0.0.1 %u -n 10 -o port_range:%u", peer.port, 45109u << 16 | 45100u);
        cr_assert_eq(e.status, 0, "%s", e.out);
        peer_wait_ended(&peer, 10);
        for (int i = 0; i < 10; i++)
            cr_assert_eq(peer.book->conn[i].from / 10, override ? 4500 : 4510, "override %u: port %u", override,
                         peer.book->conn[i].from);
        peer_stop(&peer);
    }
}

/* The port of a plain bind is closed to connections of others while in TIME_WAIT; one of NO_PORT is not. */
Test(override, who_wins_shows_in_the_ports_left_to_others) {
    ns_enter();
    struct peer one = peer_start(&(struct peer_options){ 0 }), other = peer_start(&(struct peer_options){ 0 });
    for (unsigned override = 0; override < 2; override++) {
        ns_port_range(40000 + override * 10, 40009 + override * 10);
        struct ended e = run(override ? "BIND_NO_PORT=on|OVERRIDE=on" : "BIND_NO_PORT=on",
                             "connect_close 127.0.0.1 %u -n 10 -s 127.0.0.1 -o bind_no_port:0", one.port);
        cr_assert_eq(e.status, 0, "%s", e.out);
        ns_settle();
        e = run(NULL, "connect_close 127.0.0.1 %u -n 10", other.port);
        cr_assert_eq(e.status, !override, "override %u: %s", override, e.out);
    }
}

Test(override, who_wins_shows_on_a_port_in_time_wait) {
    ns_enter();
    for (int i = 0; i < 4; i++) {
        uint16_t port = (uint16_t)(8080 + i / 2);
        struct victim v = victim_start(i / 2 ? "REUSEADDR=on|OVERRIDE=on" : "REUSEADDR=on",
                                       "server_close 127.0.0.1 %u -o reuseaddr:0", port);
        victim_wait_out(&v, "port ");
        if (strstr(victim_out(&v), "port "))
            client_run(&(struct client_options){ .port = port, .n = 1 });
        struct ended e = victim_wait(&v);
        cr_assert_eq(e.status, i == 1, "run %d: %s", i, e.out); /* off, the second time */
    }
}
