/* Rules: which connections and sockets a rule reaches, seen on what is left in TIME_WAIT. */
#include "tests/harness/harness.h"

enum { N = 2 };

/* %1$u in settings is the port that the peer listens on. */
struct row {
    const char *settings, *address;
    bool treated;
};

static const struct row connect_rows[] = {
    { "RULES=connect * linger=ack", "127.0.0.1", true },
    { "RULES=connect * linger=ack", "::1", true },
    { "RULES=connect 127.0.0.2 linger=ack", "127.0.0.2", true },
    { "RULES=connect 127.0.0.2 linger=ack", "127.0.0.1", false },
    { "RULES=connect 127.0.0.2 linger=ack", "::ffff:127.0.0.2", true },
    { "RULES=connect 127.0.0.0/30 linger=ack", "127.0.0.3", true },
    { "RULES=connect 127.0.0.0/30 linger=ack", "127.0.0.4", false },
    { "RULES=connect 127.0.0.0/8:%1$u linger=ack", "127.9.9.9", true },
    { "RULES=connect :%1$u linger=ack", "127.0.0.1", true },
    { "RULES=connect *:%1$u-65535 linger=ack", "::1", true },
    { "RULES=connect *:1-9 linger=ack", "127.0.0.1", false },
    { "RULES=connect ::1 linger=ack", "::1", true },
    { "RULES=connect [::1]:%1$u linger=ack", "::1", true },
    { "RULES=connect [::1]:%1$u linger=ack", "127.0.0.1", false },
    { "RULES=connect ::/0 linger=ack", "::1", true },
    { "RULES=connect ::/0 linger=ack", "::ffff:127.0.0.1", false },
    { "RULES=connect 0.0.0.0/0 linger=ack", "::ffff:127.0.0.1", true },
    { "RULES=listen * linger=ack; bind * reuseaddr=on", "127.0.0.1", false },
    { "RULES=connect 127.0.0.1 linger=off; connect * linger=ack", "127.0.0.1", false },
    { "RULES=connect 127.0.0.1 linger=off; connect * linger=ack", "127.0.0.2", true },
    { "RULES=connect * linger=ack; connect 127.0.0.1 linger=off", "127.0.0.1", true },
    { "RULES=connect 127.0.0.1 keepalive=60; connect * linger=ack", "127.0.0.1", true },
    { "RULES=connect 127.0.0.1 keepalive=60 , linger=ack", "127.0.0.1", true },
    { "RULES=\n;;connect 127.0.0.1 linger=ack;\n\n", "127.0.0.1", true },
    { "LINGER=ack|RULES=connect 127.0.0.1 linger=off", "127.0.0.1", false },
    { "LINGER=ack|RULES=connect 127.0.0.1 linger=off", "127.0.0.2", true },
    { "LINGER=ack|RULES=connect 127.0.0.1 keepalive=60", "127.0.0.1", true },
};

Test(rules, connect_matches_the_peer) {
    long tw = 0;

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .address = "::", .answer = 1, .answer_after = 10 });
    for (size_t i = 0; i < sizeof connect_rows / sizeof *connect_rows; i++) {
        const struct row *r = &connect_rows[i];
        char settings[256];
        snprintf(settings, sizeof settings, r->settings, peer.port);
        struct ended e = run(settings, "connect_close %s %u -n %d -b 10 -r 1 %s", r->address, peer.port, N,
                             i % 2 ? "-N" : "");
        cr_assert_eq(e.status, 0, "%s to %s: %s%s", settings, r->address, e.out, e.err);
        cr_assert_str_empty(e.err, "%s: %s", settings, e.err);
        peer_expect_clean(&peer, (unsigned)i * N, N, 10, settings);
        tw += r->treated ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s to %s", settings, r->address);
    }
}

static const struct row listen_rows[] = {
    { "RULES=listen * linger=ack", "127.0.0.1", true },
    { "RULES=listen :%1$u linger=ack", "::1", true },
    { "RULES=listen :1-9 linger=ack", "127.0.0.1", false },
    { "RULES=listen 127.0.0.1:%1$u linger=ack", "127.0.0.1", true },
    { "RULES=listen 127.0.0.1:%1$u linger=ack", "0.0.0.0", false },
    { "RULES=listen 0.0.0.0:%1$u linger=ack", "0.0.0.0", true },
    { "RULES=listen 0.0.0.0:%1$u linger=ack", "::", false },
    { "RULES=listen [::]:%1$u linger=ack", "::", true },
    { "RULES=connect * linger=ack", "127.0.0.1", false },
    { "LINGER=ack|RULES=listen * linger=off", "127.0.0.1", false },
    { "LINGER=ack|RULES=listen 127.0.0.2 linger=off", "127.0.0.1", true },
};

Test(rules, listen_matches_the_address_that_is_listened_on) {
    long tw = 0;

    ns_enter();
    for (size_t i = 0; i < sizeof listen_rows / sizeof *listen_rows; i++) {
        const struct row *r = &listen_rows[i];
        uint16_t port = (uint16_t)(8080 + i);
        char settings[256];
        snprintf(settings, sizeof settings, r->settings, port);
        struct victim v = victim_start(settings, "server_close %s %u -q 10 -b 10 -n %d", r->address, port, N);
        ns_wait_listen(port);
        const char *to = strcmp(r->address, "::1") == 0 ? "::1" : "127.0.0.1"; /* reaches the wildcards too */
        struct client_result c = client_run(&(struct client_options){
            .address = to, .port = port, .n = N, .send = 10 });
        struct ended e = victim_wait(&v);
        cr_assert_eq(e.status, 0, "%s: %s%s", settings, e.out, e.err);
        cr_assert_eq(c.clean, N, "%s: %s", settings, strerror(c.error));
        tw += r->treated ? 0 : N;
        cr_assert_eq(ns_tw(), tw, "%s on %s", settings, r->address);
    }
}

/* Held open, forty connections to four destinations fit into ten ports only where bind leaves the port open. */
Test(rules, bind_matches_the_address_given_to_bind) {
    static const struct {
        const char *settings, *source;
        unsigned made;
    } rows[] = {
        { "RULES=bind 127.0.0.1 bind_no_port=on", "127.0.0.1", 40 },
        { "RULES=bind 127.0.0.1 bind_no_port=on", "127.0.0.2", 10 },
        { "RULES=bind * bind_no_port=on", "127.0.0.1", 40 },
        { "RULES=bind :1-65535 bind_no_port=on", "127.0.0.1", 10 },
        { "RULES=bind 127.0.0.0/8 reuseaddr=on, bind_no_port=on", "127.0.0.3", 40 },
        { "BIND_NO_PORT=on|RULES=bind 127.0.0.1 bind_no_port=off", "127.0.0.1", 10 },
    };
    struct peer p[4];

    ns_enter();
    for (int i = 0; i < 4; i++)
        p[i] = peer_start(&(struct peer_options){ 0 });
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char made[32];
        ns_port_range(40000 + i * 10, 40009 + i * 10);
        struct ended e = run(rows[i].settings, "bind_many %s 127.0.0.1 10 %u %u %u %u", rows[i].source, p[0].port,
                             p[1].port, p[2].port, p[3].port);
        snprintf(made, sizeof made, "made %u\n", rows[i].made);
        cr_assert(strstr(e.out, made), "%s from %s: %s", rows[i].settings, rows[i].source, e.out);
    }
}

Test(rules, bind_with_reuseaddr_reaches_the_port_that_it_names) {
    ns_enter();
    for (uint16_t port = 8080; port <= 8081; port++) {
        for (int again = 0; again < 2; again++) {
            struct victim v = victim_start("RULES=bind :8080 reuseaddr=on", "server_close 127.0.0.1 %u", port);
            victim_wait_out(&v, "port ");
            if (strstr(victim_out(&v), "port "))
                client_run(&(struct client_options){ .port = port, .n = 1 });
            struct ended e = victim_wait(&v);
            cr_assert_eq(e.status, port == 8081 && again, "%u: %s", port, e.out);
        }
    }
}
