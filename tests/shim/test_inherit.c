/* Descriptors that were there before the program: what inetd, systemd or a shell left open, and what a filter set
 * at exec allows. The starter runs bare; the library comes with the program that it becomes. */
#include "tests/harness/counts.h"

#include <unistd.h>

enum { TIMES = 10 };

/* "inherit HOW PORT env LD_PRELOAD=... VICTIM", as words. */
static struct ended started(const char *how, uint16_t port, const char *log, const char *linger, const char *victim,
                            const char *const arguments[3]) {
    const char *argv[] = {
        "inherit",
        how,
        text("%u", port),
        "env",
        text("LD_PRELOAD=%s", library_path()),
        text("AFTERFIN_LOG=%s", log),
        text("AFTERFIN_LINGER=%s", linger),
        victim_path(victim),
        arguments[0],
        arguments[1],
        arguments[2],
        NULL,
    };
    return run_argv(NULL, argv);
}

/* No policy is in force on a connection that came from elsewhere: linger=ack changes nothing here. */
Test(inherited, a_connection_on_stdin_stdout_and_stderr_ends_with_the_last_of_them) {
    static const char *const ways[] = { "exit", "closing_all", "streams", "dev_null", "moving_away" };
    static const struct tally ended = { .established = 1, .time_wait = 1 };

    for (size_t i = 0; i < 2 * sizeof ways / sizeof *ways; i++) {
        const char *log = scratch_path(), *linger = i % 2 ? "ack" : "off";
        const char *name = text("%s linger=%s", ways[i / 2], linger);
        ns_enter();
        struct peer peer = script_start("ec", 0);
        for (int k = 0; k < TIMES; k++) {
            struct ended e = started("connection", peer.port, log, linger, "end_stdio",
                                     (const char *[3]){ ways[i / 2] });
            cr_assert(e.status == 0 && !*e.out && !*e.err, "%s: %d %s%s", name, e.status, e.out, e.err);
        }
        struct books b = books_of(name, peer.port);
        tally_expect(name, log, &ended, TIMES);
        cr_assert(b.to == TIMES && b.made == TIMES, "%s: the kernel has %ld in TIME_WAIT", name, b.to);
        peer_stop(&peer);
    }
}

Test(inherited, a_connection_that_the_starter_keeps_is_not_ended_here) {
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    for (int k = 0; k < TIMES; k++) {
        struct ended e = started("connection_kept", peer.port, log, "off", "end_stdio",
                                 (const char *[3]){ k % 2 ? "exit" : "closing_all" });
        cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    }
    cr_assert(file_text(log) == NULL, "%s", file_text(log));
    cr_assert_eq(ns_tw(), TIMES);
    peer_stop(&peer);
}

Test(inherited, what_an_inherited_listener_accepts_is_counted_and_treated) {
    static const char *const ways[] = { "accept", "accept4", "syscall_accept", "a_copy", "leaving_it_open" };
    enum { N = 10, PORT = 8080 };

    for (size_t i = 0; i < 2 * sizeof ways / sizeof *ways; i++) {
        const char *way = ways[i / 2], *linger = i % 2 ? "ack-always" : "off", *log = scratch_path();
        const char *name = text("%s linger=%s", way, linger), *lib = text("LD_PRELOAD=%s", library_path());
        const char *argv[] = { "inherit",
                               "listener",
                               "8080",
                               "env",
                               lib,
                               text("AFTERFIN_LOG=%s", log),
                               text("AFTERFIN_LINGER=%s", linger),
                               victim_path("accept_by"),
                               way,
                               "0",
                               "10",
                               NULL };
        ns_enter();
        struct victim v = victim_start_argv(NULL, argv);
        ns_wait_listen(PORT);
        script_client(strcmp(way, "leaving_it_open") == 0 ? "k" : "ec", PORT, N);
        struct ended e = victim_wait(&v);
        cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
        struct books b = books_of(name, PORT);
        static const struct tally left = SERVER(time_wait), none_left = SERVER(avoided);
        tally_expect(name, log, i % 2 ? &none_left : &left, N);
        cr_assert(b.from == (i % 2 ? 0 : N), "%s: the kernel has %ld in TIME_WAIT", name, b.from);
    }
}

/* ---- seccomp: one that was there at exec, and one that the program sets itself -------------------------- */

Test(inherited, a_filter_that_was_there_at_exec_changes_nothing) {
    static const struct tally left = CLIENT(time_wait);
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    const char *argv[] = { "sealed",
                           "exec",
                           "env",
                           text("LD_PRELOAD=%s", library_path()),
                           text("AFTERFIN_LOG=%s", log),
                           victim_path("end_by"),
                           "close",
                           "127.0.0.1",
                           text("%u", peer.port),
                           text("%d", TIMES),
                           NULL };
    struct ended e = run_argv(NULL, argv);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("inherited filter", log, &left, TIMES);
    cr_assert_eq(ns_tw(), TIMES);
    peer_stop(&peer);
}

/* The line is written before; afterwards a single system call of ours would kill the program. */
static void expect_sealed(const char *way, const char *settings) {
    const char *log = scratch_path(), *name = text("%s %s", way, settings);

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s|LOG_INTERVAL=1|%s", log, settings), "sealed %s 127.0.0.1 %u %d", way, peer.port,
                         TIMES);
    cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
    const char *whole = file_text(log), *line = log_line(whole, log_lines(whole) - 1); /* others: each second */
    cr_assert(line, "%s: %s", name, whole);
    cr_assert_str_eq(log_text(line, "event"), "interval", "%s: %s", name, line);
    cr_assert(log_number(line, "sealed") == 1, "%s: %s", name, line);
    cr_assert(log_number(line, "established") == TIMES, "%s: %s", name, line);
    log_expect_invariant(line);
    peer_stop(&peer);
}

Test(inherited, after_a_filter_of_its_own_the_library_makes_no_system_call) {
    static const char *const ways[] = { "prctl", "syscall_prctl", "syscall_seccomp" };
    const char *dir = directory_made();

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        expect_sealed(ways[i], "LINGER=off");
        expect_sealed(ways[i], "LINGER=rst");
        expect_sealed(ways[i], "LINGER=ack|BIND_NO_PORT=on|KEEPALIVE=60|PORT_SEARCH=cycle");
        expect_sealed(ways[i], text("LEDGER=%s", dir));
    }
    cr_assert_eq(directory_removed(dir), sizeof ways / sizeof *ways);
}

Test(inherited, a_filter_that_is_refused_is_none) {
    const char *log = scratch_path();
    /* Before it TIMES, after it two more sockets in each round: one connection, one listener. */
    static const struct tally all = { .sockets = 3, .connects = 2, .established = 2, .time_wait = 2 };

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "sealed none 127.0.0.1 %u %d", peer.port, TIMES);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("refused filter", log, &all, TIMES);
    cr_assert_eq(ns_tw(), 2 * TIMES);
    peer_stop(&peer);
}
