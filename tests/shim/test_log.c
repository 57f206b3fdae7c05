/* The log line: when one is written, where to, and what is in it, in both formats. */
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 5 };

static void expect_text(const char *line, const char *name, const char *expected) {
    const char *text = log_text(line, name);
    cr_assert(text && strcmp(text, expected) == 0, "%s is %s, not %s: %s", name, text ? text : "missing", expected,
              line);
}

static void expect_number(const char *line, const char *name, long expected) {
    cr_assert_eq(log_number(line, name), expected, "%s is %ld, not %ld: %s", name, log_number(line, name), expected,
                 line);
}

static void expect_time(const char *line) {
    const char *time = log_text(line, "time"), *elapsed = log_text(line, "elapsed_s");
    regex_t stamp, seconds;

    regcomp(&stamp, "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z$",
            REG_EXTENDED | REG_NOSUB);
    regcomp(&seconds, "^[0-9]+\\.[0-9]+$", REG_EXTENDED | REG_NOSUB);
    cr_assert(time && regexec(&stamp, time, 0, NULL, 0) == 0, "time: %s", line);
    cr_assert(elapsed && regexec(&seconds, elapsed, 0, NULL, 0) == 0, "elapsed_s: %s", line);
}

/* N connections closed first; then three to a port where nobody listens. */
static const char *const formats[] = { "logfmt", "json" };

Test(log, a_line_holds_what_the_kernel_and_the_process_table_say) {
    ns_enter();
    for (int i = 0; i < 2; i++) {
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        char settings[64], to[64];
        snprintf(settings, sizeof settings, "LOG=stderr|LOG_FORMAT=%s", formats[i]);
        long before = ns_tw();
        struct victim v = victim_start(settings, "connect_close 127.0.0.1 %u -n %d -b 10", peer.port, N);
        pid_t pid = v.pid;
        struct ended e = victim_wait(&v);
        cr_assert_eq(log_lines(e.err), 1, "%s", e.err);
        const char *line = log_line(e.err, 0);
        cr_assert_eq(strlen(line) + 1, strlen(e.err), "more than the line: %s", e.err);
        expect_number(line, "version", 1);
        expect_text(line, "event", "exit");
        expect_time(line);
        expect_number(line, "pid", pid);
        expect_number(line, "ppid", getpid());
        expect_text(line, "program", "connect_close");
        expect_number(line, "sockets", N);
        expect_number(line, "binds", 0);
        expect_number(line, "connects", N);
        expect_number(line, "connect_errors", 0);
        expect_number(line, "accepts", 0);
        expect_number(line, "established", N);
        expect_number(line, "time_wait", ns_tw() - before);
        snprintf(to, sizeof to, i ? "{\"127.0.0.1:%u\":%d}" : "127.0.0.1:%u=%d", peer.port, N);
        expect_text(line, "time_wait_to", to);
        expect_text(line, "errors", i ? "{}" : "");
        expect_text(line, "policy", i ? "{\"linger\":\"off\"}" : "linger=off");
        log_expect_invariant(line);
        peer_stop(&peer);
    }
}

Test(log, failures_are_told_by_call_and_errno_and_policies_by_name) {
    ns_enter();
    for (int i = 0; i < 2; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "LOG=stderr|LINGER=ack|KEEPALIVE=60:5|LOG_FORMAT=%s", formats[i]);
        struct ended e = run(settings, "connect_close ::1 9 -n 3");
        const char *line = log_line(e.err, 0);
        cr_assert_eq(e.status, 1);
        expect_number(line, "connects", 3);
        expect_number(line, "connect_errors", 3);
        expect_number(line, "established", 0);
        expect_text(line, "errors", i ? "{\"connect:ECONNREFUSED\":3}" : "connect:ECONNREFUSED=3");
        expect_text(line, "policy", i ? "{\"linger\":\"ack\",\"keepalive\":\"60:5\"}" : "linger=ack,keepalive=60:5");
        log_expect_invariant(line);
    }
}

Test(log, in_json_numbers_are_numbers) {
    static const char *const numbers[] = { "version", "pid",         "ppid",      "sockets",
                                           "binds",   "bind_errors", "connects",  "connect_errors",
                                           "accepts", "established", "time_wait", "avoided",
                                           "passive", "aborted",     "passed",    "open" };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("LOG=stderr|LOG_FORMAT=json", "connect_close 127.0.0.1 %u", peer.port);
    json_t *object = json_loads(e.err, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(object, "%s", e.err);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cr_assert(json_is_integer(json_object_get(object, numbers[i])), "%s: %s", numbers[i], e.err);
    cr_assert(json_is_real(json_object_get(object, "elapsed_s")), "%s", e.err);
    cr_assert(json_is_object(json_object_get(object, "errors")), "%s", e.err);
    cr_assert(json_is_object(json_object_get(object, "policy")), "%s", e.err);
}

Test(log, a_server_names_its_own_port) {
    ns_enter();
    struct victim v = victim_start("LOG=stderr|LINGER=ack|RULES=listen :8080 linger=off",
                                   "server_close 127.0.0.1 8080 -n %d -q 5 -b 5", N);
    ns_wait_listen(8080);
    client_run(&(struct client_options){ .port = 8080, .n = N, .send = 5 });
    struct ended e = victim_wait(&v);
    const char *line = log_line(e.err, 0);
    expect_number(line, "accepts", N);
    expect_number(line, "time_wait", ns_tw());
    expect_text(line, "time_wait_to", ":8080=5");
    log_expect_invariant(line);
}

/* Controls, C1 among them, and marks that turn the order of what is shown. */
#define UNFIT "e\x1b[2J\x7f\xc2\x9b\xc2\x80\xd8\x9c\xe2\x80\x8e\xe2\x80\xaex\xe2\x81\xa6\xe2\x80\xa8"

static void expect_fit(const char *text_of) {
    static const char *const raw[] = { "\x1b", "\x7f", "\xc2\x9b", "\xc2\x80", "\xd8\x9c", "\xe2\x80", "\xe2\x81" };
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        cr_expect(!strstr(text_of, raw[i]), "%zu: %s", i, text_of);
}

/* A name with everything that needs quoting in it. */
Test(log, odd_names_come_back_whole) {
    static const char *const names[] = { "two words", "a=b",      "say \"x\"", "back\\slash",
                                         "new\nline", "\x01\x1f", UNFIT,       "caf\xc3\xa9" };
    char command[512], path[256];

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        const char *directory = scratch_path();
        mkdir(directory, 0700);
        snprintf(path, sizeof path, "%s/%s", directory, names[i / 2]);
        snprintf(command, sizeof command, "%u", peer.port);
        cr_assert_eq(symlink(victim_path("connect_close"), path), 0);
        const char *const argv[] = { path, "127.0.0.1", command, NULL };
        struct ended e = run_argv(i % 2 ? "LOG=stderr|LOG_FORMAT=json" : "LOG=stderr", argv);
        cr_assert_eq(log_lines(e.err), 1, "%s", e.err);
        expect_text(log_line(e.err, 0), "program", names[i / 2]);
        log_expect_invariant(log_line(e.err, 0));
        expect_fit(e.err);
    }
}

Test(log, a_path_that_it_complains_of_is_fit_for_a_terminal) {
    static const char *const settings[] = { "LOG=/nowhere/" UNFIT, "LOG=/dev/null|LEDGER=/nowhere/" UNFIT,
                                            "LINGER=" UNFIT };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct ended e = run(settings[i], "lets_go 0");
        cr_expect(e.status == 0 && strstr(e.err, "e\\x1b[2J\\x7f\\xc2\\x9b"), "%zu: %s", i, e.err);
        expect_fit(e.err);
    }
}

Test(log, a_file_is_made_private_and_each_line_appended) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *directory = scratch_path();
    char settings[256], path[256];
    struct stat st;

    mkdir(directory, 0700);
    umask(0);
    snprintf(settings, sizeof settings, "LOG=%s/a%%%%-%%n.log", directory);
    for (int i = 0; i < 3; i++)
        run(settings, "connect_close 127.0.0.1 %u", peer.port);
    snprintf(path, sizeof path, "%s/a%%-connect_close.log", directory);
    cr_assert_eq(log_lines(file_text(path)), 3, "%s", path);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600, "%o", st.st_mode);

    snprintf(settings, sizeof settings, "LOG=%s/%%p", directory);
    struct victim v = victim_start(settings, "connect_close 127.0.0.1 %u", peer.port);
    snprintf(path, sizeof path, "%s/%d", directory, (int)v.pid);
    victim_wait(&v);
    cr_assert_eq(log_lines(file_text(path)), 1, "%s", path);
}

Test(log, processes_that_share_a_file_write_whole_lines) {
    enum { PROCESSES = 20 };
    struct victim v[PROCESSES];
    char settings[128];

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *path = scratch_path();
    snprintf(settings, sizeof settings, "LOG=%s|LOG_FORMAT=json", path);
    for (int i = 0; i < PROCESSES; i++)
        v[i] = victim_start(settings, "connect_close 127.0.0.1 %u -n 10", peer.port);
    for (int i = 0; i < PROCESSES; i++)
        victim_wait(&v[i]);
    cr_assert_eq(log_lines(file_text(path)), PROCESSES);
    for (unsigned i = 0; i < PROCESSES; i++)
        expect_number(log_line(file_text(path), i), "time_wait", 10);
}

Test(log, stdout_gets_the_line_after_what_the_program_wrote) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run("LOG=stdout", "connect_close 127.0.0.1 %u", peer.port);
    cr_assert_eq(strncmp(e.out, "made 1\nafterfin ", 16), 0, "%s", e.out);
    cr_assert_str_empty(e.err);
}
