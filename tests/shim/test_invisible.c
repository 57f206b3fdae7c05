/* The program cannot tell: what it prints of its own calls is the same, byte for byte, with the library and
 * without, whatever is counted and logged. */
#include "tests/harness/counts.h"

#include <signal.h>
#include <unistd.h>

/* Nothing set, all off, counting, both log formats, a ledger; and policies that are to change nothing here. */
static const char *settings_of(int i, const char *log, const char *dir) {
    switch (i) {
    case 0: return "LOG=";
    case 1: return "LINGER=off|LOG=off";
    case 2: return text("LOG=%s", log);
    case 3: return text("LOG=%s|LOG_FORMAT=json|LEDGER=%s", log, dir);
    case 4: return text("LOG=%s|LINGER=ack|BIND_NO_PORT=on|KEEPALIVE=60|USER_TIMEOUT=90s", log);
    default: return NULL;
    }
}

static void expect_lines_add_up(const char *what, const char *log) {
    const char *whole = file_text(log), *line;

    for (unsigned i = 0; whole && (line = log_line(whole, i)); i++)
        log_expect_invariant(line);
    (void)what;
    unlink(log);
}

/* Each run in a namespace of its own, so that ports and TIME_WAITs are as fresh as in the first. */
static struct ended alone(const char *settings, const char *command) {
    ns_enter();
    ns_port_range(30000, 60000);
    return run(settings, "%s", command);
}

static void expect_same(const char *command) {
    struct ended bare = alone(NULL, command);

    cr_assert(strlen(bare.out) > 100, "%s prints nothing: %s", command, bare.err);
    for (int i = 0; settings_of(i, "", ""); i++) {
        const char *log = scratch_path(), *dir = directory_made(), *settings = settings_of(i, log, dir);
        struct ended e = alone(settings, command);
        cr_assert_str_eq(e.out, bare.out, "%s under %s", command, settings);
        cr_assert_str_eq(e.err, bare.err, "%s under %s", command, settings);
        cr_assert_eq(e.status, bare.status, "%s under %s: %d", command, settings, e.status);
        expect_lines_add_up(command, log);
        directory_removed(dir);
    }
}

Test(invisible, calls_on_sockets_give_what_they_give_without_the_library) {
    expect_same("show_sockets 5000");
}

Test(invisible, calls_on_descriptors_give_what_they_give_without_the_library) {
    expect_same("show_descriptors");
}

Test(invisible, children_execs_and_cancelled_threads_are_what_they_are_without_the_library) {
    expect_same("show_children");
}

Test(invisible, a_program_with_no_TCP_socket_makes_no_file_and_no_ledger) {
    static const char *const commands[] = { "true", "udp_bind 127.0.0.1 5000", "sh -c exit", "ls /proc/self/fd" };

    ns_enter();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const char *log = scratch_path(), *dir = directory_made();
        run(text("LOG=%s|LEDGER=%s|LINGER=ack", log, dir), "%s", commands[i]);
        cr_assert(file_text(log) == NULL, "%s: %s", commands[i], file_text(log));
        cr_assert_eq(directory_removed(dir), 0, "%s", commands[i]);
    }
}

/* ---- when it gets rough ----------------------------------------------------------------------------- */

static void expect_counted(const char *what, const char *log, struct tally each, long times, uint16_t port) {
    struct books b = books_of(what, port);
    tally_expect(what, log, &each, times);
    cr_assert(b.to == times * each.time_wait, "%s: the kernel has %ld in TIME_WAIT", what, b.to);
    unlink(log);
}

Test(invisible, a_signal_handler_that_uses_sockets_disturbs_neither_program_nor_count) {
    enum { N = 2000 };
    const char *dir = directory_made();

    for (int i = 0; i < 2; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(i ? text("LOG=%s|LEDGER=%s", log, dir) : text("LOG=%s|LOG_INTERVAL=1", log),
                             "storm 127.0.0.1 %u %d", peer.port, N);
        const char *handler = strstr(e.out, "handler ");
        cr_assert(e.status == 0 && handler && atol(handler + 8) > 50, "%d %s%s", e.status, e.out, e.err);
        expect_counted("storm", log, (struct tally)CLIENT(time_wait), N + atol(handler + 8), peer.port);
        peer_stop(&peer);
    }
    directory_removed(dir);
}

Test(invisible, threads_that_open_and_close_at_once_are_counted_exactly) {
    enum { THREADS = 8, N = 50 };
    static const struct {
        const char *way;
        long connections;
    } rows[] = { { "own", THREADS * N }, { "one", N }, { "copies", N } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LOG=%s", log), "threads %s 127.0.0.1 %u %d", rows[i].way, peer.port, N);
        cr_assert(e.status == 0, "%s: %d %s%s", rows[i].way, e.status, e.out, e.err);
        expect_counted(rows[i].way, log, (struct tally)CLIENT(time_wait), rows[i].connections, peer.port);
        peer_stop(&peer);
    }
}

/* They all come at once to what the first socket makes: the ledger, the process's place in it, the table. */
Test(invisible, threads_that_open_their_first_sockets_at_once_share_one_ledger) {
    enum { THREADS = 8, N = 2, TIMES = 60 };

    ns_enter();
    struct peer peer = script_start("ec", 0);
    for (long i = 0; i < TIMES; i++) {
        const char *log = scratch_path(), *dir = directory_made();
        struct ended e = run(text("LOG=%s|LEDGER=%s", log, dir), "threads own 127.0.0.1 %u %d", peer.port, N);
        cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
        tally_expect("own", log, &(struct tally)CLIENT(time_wait), THREADS * N);
        cr_assert_eq(directory_removed(dir), 1);
        unlink(log);
    }
    cr_assert_eq(ns_tw(), TIMES * THREADS * N);
    peer_stop(&peer);
}

/* Children are born all along. What another thread closes in the middle of a fork may stay `open` in the counts:
 * nobody knows whether the child has it. Nothing else may be off by one. */
Test(invisible, forks_of_a_program_with_threads_leave_the_counts_whole) {
    enum { THREADS = 8, N = 250 };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "threads forks 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
    struct tally sum = tally_log("forks", log);
    cr_assert_eq(sum.sockets, THREADS * N);
    cr_assert_eq(sum.established - sum.passed, THREADS * N, "%s", file_text(log));
    cr_assert_eq(sum.time_wait + sum.open, THREADS * N, "%s", file_text(log));
    cr_assert_leq(sum.open, N / 5, "%s", file_text(log));
    cr_assert_eq(books_of("forks", peer.port).to, THREADS * N);
    peer_stop(&peer);
}

/* A process that ends while its threads are at work: the line is whole, whatever it caught. */
Test(invisible, an_exit_in_the_middle_of_other_threads_work_writes_a_whole_line) {
    for (int i = 0; i < 20; i++) {
        const char *log = scratch_path();
        ns_enter(); /* with all its ports */
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LOG=%s", log), "threads %s 127.0.0.1 %u 1000", i % 2 ? "leaves_serving" : "leaves",
                             peer.port);
        cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
        tally_log("leaves", log);
        cr_assert_leq(log_lines(file_text(log)), 1);
        peer_stop(&peer);
    }
}

/* The constructor of whichever is loaded last runs first; with musl, first. */
Test(invisible, a_call_before_our_constructor_works) {
    const char *early = victim_path("early.so");
    static const struct tally ours_first = { .sockets = 2,
                                             .connects = 2,
                                             .connect_errors = 1,
                                             .established = 1,
                                             .time_wait = 1 },
                              early_first = { .connects = 1, .established = 1, .time_wait = 1 };

    for (int last = 0; last < 2; last++) {
        const char *log = scratch_path(),
                   *preload = text("$LD_PRELOAD=%s:%s", last ? early : library_path(), last ? library_path() : early);
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended bare = run(text("$LD_PRELOAD=%s", early), "late 127.0.0.1 %u", peer.port);
        cr_assert(bare.status == 0 && strcmp(bare.err, "early\n") == 0, "%d %s%s", bare.status, bare.out, bare.err);
        struct ended e = run(text("%s|LOG=%s", preload, log), "late 127.0.0.1 %u", peer.port);
        cr_assert_eq(e.status, 0, "%d %s%s", e.status, e.out, e.err);
        cr_assert_str_eq(e.out, bare.out);
        cr_assert_str_eq(e.err, bare.err);
        tally_expect(preload, log, last != victims_are("musl") ? &ours_first : &early_first, 1);
        unlink(log);
        peer_stop(&peer);
    }
}

Test(invisible, a_program_may_overwrite_its_arguments_and_its_environment) {
    enum { N = 5 };
    const char *log = scratch_path(), *dir = directory_made();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s|LEDGER=%s|LINGER=ack-always", log, dir), "overwrites 127.0.0.1 %u %d", peer.port,
                         N);
    cr_assert(e.status == 0 && !*e.out && !*e.err, "%d %s%s", e.status, e.out, e.err);
    static const struct tally avoided = CLIENT(avoided);
    tally_expect("overwrites", log, &avoided, N);
    cr_assert_eq(ns_tw(), 0);
    cr_assert_eq(directory_removed(dir), 1);
    unlink(log);
    peer_stop(&peer);
}
