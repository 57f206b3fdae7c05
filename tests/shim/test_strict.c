/* Bad settings: said in one line, and then nothing is applied; with strict the program never starts. (What the
 * line says of each is a matter of the parser's tests.) */
#include "tests/harness/harness.h"

enum { N = 3 };

static const struct {
    const char *setting, *variable, *value;
} bad[] = {
    { "LINGER=maybe", "AFTERFIN_LINGER", "maybe" },
    { "LINGER=0", "AFTERFIN_LINGER", "rst" },
    { "BIND_NO_PORT=On", "AFTERFIN_BIND_NO_PORT", "On" },
    { "LINGERS=ack", "AFTERFIN_LINGERS", "AFTERFIN_LINGERS" },
    { "PORT_RANGE=50000-40000", "AFTERFIN_PORT_RANGE", "50000-40000" },
    { "USER_TIMEOUT=5", "AFTERFIN_USER_TIMEOUT", "5" },
    { "LOG=relative/path", "AFTERFIN_LOG", "relative/path" },
    { "RULES=connect 10.1.2.3/8 linger=ack", "AFTERFIN_RULES", "10.1.2.3/8" },
    { "RULES=listen * port_range=1-2", "AFTERFIN_RULES", "port_range" },
};
#define BAD (sizeof bad / sizeof *bad)

static void expect_one_line(const char *err, size_t row) {
    const char *end = strchr(err, '\n');

    cr_assert(end && end[1] == 0, "%s: not one line: '%s'", bad[row].setting, err);
    cr_assert(strstr(err, bad[row].variable), "%s: no variable: %s", bad[row].setting, err);
    cr_assert(strstr(err, bad[row].value), "%s: no value: %s", bad[row].setting, err);
}

Test(strict, without_it_a_bad_setting_is_said_once_and_nothing_is_applied) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (unsigned i = 0; i < BAD; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "KEEPALIVE=60|LINGER=ack-always|%s", bad[i].setting);
        struct ended e = run(settings, "connect_close 127.0.0.1 %u -n %d", peer.port, N);
        cr_assert_eq(e.status, 0, "%s", bad[i].setting);
        cr_assert_str_eq(e.out, "made 3\n", "%s", bad[i].setting);
        expect_one_line(e.err, i);
        cr_assert_eq(ns_tw(), (long)(i + 1) * N, "%s: the rest was applied", bad[i].setting);
    }
}

Test(strict, with_it_the_program_never_starts) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < BAD; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "STRICT=on|%s", bad[i].setting);
        struct ended e = run(settings, "connect_close 127.0.0.1 %u", peer.port);
        cr_assert_eq(e.status, 78, "%s: %d", bad[i].setting, e.status);
        cr_assert_str_empty(e.out, "%s: %s", bad[i].setting, e.out);
        expect_one_line(e.err, i);
        e = run(settings, "udp_bind 127.0.0.1 8080");
        cr_assert_eq(e.status, 78, "%s: a program without TCP: %d", bad[i].setting, e.status);
    }
    cr_assert_eq(peer.book->accepted, 0);
}

Test(strict, with_it_good_settings_run) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("STRICT=on|LINGER=ack-always", "connect_close 127.0.0.1 %u -n %d", peer.port, N);
    cr_assert_eq(e.status, 0);
    cr_assert_str_empty(e.err, "%s", e.err);
    peer_expect_clean(&peer, 0, N, 0, "strict");
    cr_assert_eq(ns_tw(), 0);
}

/* A shell's children need no hundred copies. */
Test(strict, without_it_a_program_that_has_no_TCP_socket_hears_nothing) {
    ns_enter();
    struct ended e = run("LINGER=maybe", "udp_bind 127.0.0.1 8080");
    cr_assert_eq(e.status, 0);
    cr_assert_str_empty(e.err, "%s", e.err);
}

Test(strict, a_program_that_is_skipped_is_left_alone_even_then) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("LINGER=ack-always|SKIP=connect_close|STRICT=on", "connect_close 127.0.0.1 %u", peer.port);
    cr_assert_eq(e.status, 0);
    cr_assert_eq(ns_tw(), 1);
}
