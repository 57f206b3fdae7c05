/* The log line: at which events, and what it must never do to the program. */
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_event(const char *line, const char *event) {
    const char *text = log_text(line, "event");
    cr_assert(text && strcmp(text, event) == 0, "event is not %s: %s", event, line);
}

Test(log_when, each_way_out_writes_one_line_and_a_signal_none) {
    static const struct {
        const char *how, *event;
    } rows[] = {
        { "exit", "exit" },   { "_exit", "exit" }, { "_Exit", "exit" }, { "quick_exit", "exit" },
        { "return", "exit" }, { "exec", "exec" },  { "sigkill", NULL },
    };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long before = ns_tw();
        struct ended e = run("LOG=stderr", "exit_open %s 127.0.0.1 %u 3 10", rows[i].how, peer.port);
        cr_assert_eq(log_lines(e.err), rows[i].event != NULL, "%s: %s", rows[i].how, e.err);
        if (!rows[i].event)
            continue;
        const char *line = log_line(e.err, 0);
        expect_event(line, rows[i].event);
        log_expect_invariant(line);
        cr_assert_eq(log_number(line, "established"), 3, "%s", line);
        cr_assert_eq(log_number(line, "time_wait"), ns_tw() - before, "%s: %s", rows[i].how, line);
    }
}

Test(log_when, a_descriptor_that_exec_hands_on_is_passed_and_ended_by_the_next_image) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("LOG=stderr", "exec_close 127.0.0.1 %u 10", peer.port);
    cr_assert_eq(log_lines(e.err), 2, "%s", e.err);
    const char *first = log_line(e.err, 0), *second = log_line(e.err, 1);
    expect_event(first, "exec");
    expect_event(second, "exit");
    log_expect_invariant(first);
    log_expect_invariant(second);
    cr_assert_eq(log_number(first, "passed"), 1, "%s", first);
    cr_assert_eq(log_number(first, "pid"), log_number(second, "pid"));
    cr_assert_eq(log_number(second, "established"), 1, "%s", second);
    cr_assert_eq(log_number(second, "time_wait"), ns_tw(), "%s", second);
}

Test(log_when, while_it_runs_a_process_writes_at_the_interval_asked_for) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("LOG=stderr|LOG_INTERVAL=1", "connect_close 127.0.0.1 %u -n 6 -i 500", peer.port);
    unsigned n = log_lines(e.err);
    cr_assert_geq(n, 2, "%s", e.err);
    long last = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *line = log_line(e.err, i);
        expect_event(line, i + 1 < n ? "interval" : "exit");
        log_expect_invariant(line);
        cr_assert_geq(log_number(line, "established"), last, "counts go back: %s", e.err);
        last = log_number(line, "established");
    }
    cr_assert_eq(last, 6);
    static const char *const none[] = { "LOG=stderr", "LOG=stderr|LOG_INTERVAL=off" };
    for (int i = 0; i < 2; i++) {
        e = run(none[i], "connect_close 127.0.0.1 %u -n 3 -i 500", peer.port);
        cr_assert_eq(log_lines(e.err), 1, "%s: %s", none[i], e.err);
    }
}

Test(log_when, a_program_without_TCP_writes_nothing_and_makes_no_file) {
    char settings[128];

    ns_enter();
    const char *path = scratch_path();
    snprintf(settings, sizeof settings, "LOG=%s|LOG_FORMAT=json", path);
    struct ended e = run(settings, "udp_bind 127.0.0.1 8080");
    cr_assert_eq(e.status, 0);
    cr_assert_neq(access(path, F_OK), 0, "%s is there", path);
    cr_assert_str_empty(run("LOG=stderr", "udp_bind 127.0.0.1 8080").err);
}

/* Makes path what the row says. */
static void make_missing_directory(const char *path) {
    (void)path;
}
static void make_directory(const char *path) {
    mkdir(path, 0700);
}
static void make_fifo(const char *path) {
    mkfifo(path, 0600);
}
static void make_symlink(const char *path) {
    char target[128];
    snprintf(target, sizeof target, "%s-target", path);
    close(open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    symlink(target, path);
}

Test(log_when, a_file_that_cannot_be_written_is_said_once_and_harms_nobody) {
    static const struct {
        const char *name, *below;
        void (*make)(const char *path);
    } rows[] = {
        { "its directory is not there", "/log", make_missing_directory },
        { "it is a directory", "", make_directory },
        { "it is a FIFO that nobody reads", "", make_fifo },
        { "it is a symbolic link", "", make_symlink },
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    const char *path[ROWS];
    struct victim v[ROWS];
    char text[128];

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS; i++) {
        path[i] = scratch_path();
        rows[i].make(path[i]);
        snprintf(text, sizeof text, "LOG=%s%s|LOG_INTERVAL=1", path[i], rows[i].below);
        v[i] = victim_start(text, "connect_close 127.0.0.1 %u -n 3 -i 700", peer.port);
    }
    for (size_t i = 0; i < ROWS; i++) {
        struct ended e = victim_wait(&v[i]);
        cr_assert_eq(e.status, 0, "%s", rows[i].name);
        cr_assert_str_eq(e.out, "made 3\n", "%s", rows[i].name);
        cr_assert(strstr(e.err, path[i]), "%s: nothing was said: %s", rows[i].name, e.err);
        cr_assert_eq(strchr(e.err, '\n')[1], 0, "%s: said more than once: %s", rows[i].name, e.err);
        snprintf(text, sizeof text, "%s-target", path[i]);
        cr_assert(!file_text(text) || !*file_text(text), "%s: it was written through", rows[i].name);
    }
}

/* The number may be a database by now. */
Test(log_when, a_standard_stream_that_became_another_file_is_not_written_to) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (int number = 1; number <= 2; number++) {
        static const char *const settings[] = { "LOG=stdout", "LOG=stderr", "LINGER=maybe", "LOG=/no/such/file" };
        for (int i = 0; i < 4; i++) {
            const char *path = scratch_path();
            struct ended e = run(settings[i], "reuse_standard %d %s 127.0.0.1 %u 2", number, path, peer.port);
            cr_assert_eq(e.status, 0, "%s", settings[i]);
            cr_assert_str_eq(file_text(path), "mine\n", "%s was written to %d", settings[i], number);
        }
    }
}

/* Its stderr is a pipe whose reader is gone. */
Test(log_when, a_broken_pipe_kills_nobody) {
    char command[256];
    int ends[2];

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    const char *const argv[] = { "bash", "-c", command, NULL }; /* dash knows descriptors to 9 only */
    snprintf(command, sizeof command, "exec %s 127.0.0.1 %u -n 3 -i 700 2>&%d", victim_path("connect_close"), peer.port,
             ends[1]);
    struct ended e = run_argv("LOG=stderr|LOG_INTERVAL=1", argv);
    cr_assert_eq(e.status, 0, "%d", e.status);
    cr_assert_str_eq(e.out, "made 3\n");
    close(ends[1]);
}
