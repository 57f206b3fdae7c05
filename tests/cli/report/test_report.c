/* report: sums of ledgers and logs, each process once; and what it says of lines that are none. */
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *report_of(struct ended e) {
    json_error_t error;
    cr_assert_eq(e.status, 0, "%s", e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

/* A count of one program, or -1. */
static long count_of(const json_t *json, const char *program, const char *name) {
    const json_t *programs = json_object_get(json, "programs");
    for (size_t i = 0; i < json_array_size(programs); i++) {
        const json_t *one = json_array_get(programs, i);
        if (strcmp(json_string_value(json_object_get(one, "program")), program) == 0)
            return json_number(one, name);
    }
    return -1;
}

/* A process with n connections, all in TIME_WAIT, as the library would write it. */
static const char *logfmt(const char *event, const char *time, int pid, const char *program, const char *elapsed,
                          int n) {
    char *line;
    cr_assert_gt(asprintf(&line,
                          "afterfin version=1 event=%s time=2026-11-23T%sZ pid=%d ppid=1 program=%s elapsed_s=%s "
                          "sockets=%d binds=0 bind_errors=0 connects=%d connect_errors=0 accepts=0 established=%d "
                          "time_wait=%d avoided=0 passive=0 aborted=0 passed=0 open=0 errors= "
                          "time_wait_to=\"127.0.0.1:80=%d\" policy=\"linger=off\"\n",
                          event, time, pid, program, elapsed, n, n, n, n, n),
                 0);
    return line;
}

static const char *json_line(const char *event, const char *time, int pid, const char *program, const char *elapsed,
                             int n) {
    char *line;
    cr_assert_gt(asprintf(&line,
                          "{\"version\":1,\"event\":\"%s\",\"time\":\"2026-11-23T%sZ\",\"pid\":%d,\"ppid\":1,"
                          "\"program\":\"%s\",\"elapsed_s\":%s,\"sockets\":%d,\"binds\":0,\"bind_errors\":0,"
                          "\"connects\":%d,\"connect_errors\":0,\"accepts\":0,\"established\":%d,\"time_wait\":%d,"
                          "\"avoided\":0,\"passive\":0,\"aborted\":0,\"passed\":0,\"open\":0,\"errors\":{},"
                          "\"time_wait_to\":{\"127.0.0.1:80\":%d},\"policy\":{\"linger\":\"off\"}}\n",
                          event, time, pid, program, elapsed, n, n, n, n, n),
                 0);
    return line;
}

static const char *file_with(const char *text) {
    const char *path = scratch_path();
    FILE *file = fopen(path, "we");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static const char *joined(const char *const *parts, size_t n) {
    char *text = strdup("");
    for (size_t i = 0; i < n; i++)
        cr_assert_gt(asprintf(&text, "%s%s", text, parts[i]), 0);
    return text;
}

/* ---- each process once --------------------------------------------------------------------------------------- */

Test(report, counts_a_process_once_whatever_was_said_of_it) {
    ns_enter();
    const char *directory = new_directory(), *log = scratch_path();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *port = number(peer.port);
    char both[256], only_log[256];
    snprintf(both, sizeof both, "LEDGER=%s|LOG=%s", directory, log);
    snprintf(only_log, sizeof only_log, "LOG=%s|LOG_FORMAT=json", log);
    leave(ledger_in(directory), 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "3", NULL });
    leave(both, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "5", NULL });
    leave(only_log, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "7", NULL });
    leave(ledger_in(directory), 128 + SIGKILL,
          (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "4", "10", NULL });
    ns_settle();
    json_t *json = report_of(command(NULL, "report", "-d", directory, "--json", log, NULL));
    cr_expect_eq(ns_tw(), 19, "the test itself");
    cr_expect_eq(json_number(json, "totals.time_wait"), 19);
    cr_expect_eq(json_number(json, "totals.processes"), 4);
    cr_expect_eq(count_of(json, "connect_close", "time_wait"), 15);
    cr_expect_eq(count_of(json, "connect_close", "processes"), 3);
    cr_expect_eq(count_of(json, "exit_open", "time_wait"), 4, "the kernel tells of the killed one");
    cr_expect_eq(count_of(json, "exit_open", "open"), 0);
    cr_expect_eq(json_number(json, "ledgers"), 3);
    cr_expect_eq(json_number(json, "log_lines"), 2);
    char path[64];
    snprintf(path, sizeof path, "127.0.0.1:%s", port);
    cr_expect_eq(json_integer_value(json_object_get(json_find(json, "programs.0.time_wait_to"), path)), 15);
    json = report_of(command(NULL, "report", "--json", log, NULL));
    cr_expect_eq(json_number(json, "totals.time_wait"), 12, "logs alone: no ledger is read");
}

Test(report, says_what_it_could_only_guess) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1 });
    leave(ledger_in(directory), 128 + SIGKILL,
          (const char *[]){ "kill_open", "127.0.0.1", number(peer.port), "3", "10", "-u", NULL });
    struct ended e = command(NULL, "report", "-d", directory, "--json", NULL);
    cr_expect(strstr(e.err, "report: 3 connections were open when their process was killed"), "%s", e.err);
    cr_expect_eq(count_of(json_loads(e.out, 0, NULL), "kill_open", "passive"), 3, "%s", e.out);
}

Test(report, takes_the_last_of_several_lines_of_one_process) {
    const struct {
        const char *name;
        const char *lines[4];
        long processes, time_wait;
    } rows[] = {
        { "intervals and exit",
          { logfmt("interval", "10:00:10.500", 7, "a", "10.000", 1),
            logfmt("interval", "10:00:20.500", 7, "a", "20.000", 2),
            logfmt("exit", "10:00:25.499", 7, "a", "24.998", 5) },
          1,
          5 },
        { "not in order",
          { logfmt("exit", "10:00:25.500", 7, "a", "25.000", 5),
            logfmt("interval", "10:00:10.500", 7, "a", "10.000", 1) },
          1,
          5 },
        { "an exec that failed",
          { logfmt("exec", "10:00:10.500", 7, "a", "10.000", 3),
            json_line("exit", "10:00:11.500", 7, "a", "11.000", 4) },
          1,
          4 },
        { "an exec of itself",
          { logfmt("exec", "10:00:10.500", 7, "a", "10.000", 3), logfmt("exit", "10:00:11.500", 7, "a", "1.000", 4) },
          2,
          7 },
        { "another program",
          { logfmt("exec", "10:00:10.500", 7, "a", "10.000", 3), logfmt("exit", "10:00:11.500", 7, "b", "11.000", 4) },
          2,
          7 },
        { "another pid",
          { logfmt("exit", "10:00:10.500", 7, "a", "10.000", 3), logfmt("exit", "10:00:10.500", 8, "a", "10.000", 4) },
          2,
          7 },
        { "the same line twice",
          { logfmt("exit", "10:00:10.500", 7, "a", "10.000", 3), logfmt("exit", "10:00:10.500", 7, "a", "10.000", 3) },
          1,
          3 },
        { "the pid anew, a moment later",
          { logfmt("exit", "10:00:10.500", 7, "a", "0.000", 3), logfmt("exit", "10:00:10.600", 7, "a", "0.000", 3) },
          2,
          6 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        size_t n = 0;
        while (rows[i].lines[n])
            n++;
        json_t *json = report_of(command(NULL, "report", "--json", file_with(joined(rows[i].lines, n)), NULL));
        cr_expect_eq(json_number(json, "totals.processes"), rows[i].processes, "%s: %ld", rows[i].name,
                     json_number(json, "totals.processes"));
        cr_expect_eq(json_number(json, "totals.time_wait"), rows[i].time_wait, "%s: %ld", rows[i].name,
                     json_number(json, "totals.time_wait"));
    }
}

/* The victim's own intervals: lines that the library wrote, of a process that is killed in the end. */
Test(report, reads_the_intervals_that_the_library_writes) {
    ns_enter();
    const char *log = scratch_path();
    char settings[256];
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    snprintf(settings, sizeof settings, "LOG=%s|LOG_INTERVAL=1", log);
    struct victim v = victim_start(settings, "connect_close 127.0.0.1 %u -n 100000 -i 10", peer.port);
    while (!file_text(log) || log_lines(file_text(log)) < 2)
        usleep(20000);
    victim_kill(&v, SIGKILL);
    const char *text = file_text(log);
    long last = log_number(log_line(text, log_lines(text) - 1), "time_wait");
    json_t *json = report_of(command(NULL, "report", "--json", log, NULL));
    cr_expect_eq(json_number(json, "totals.processes"), 1);
    cr_expect_eq(json_number(json, "totals.time_wait"), last);
    cr_expect_gt(last, 0);
}

Test(report, reads_both_formats_and_any_number_of_files) {
    const char *first[] = { logfmt("exit", "10:00:10.500", 7, "\"a \\\"b\\\" \\x01=\\\\\"", "1.000", 2),
                            json_line("exit", "10:00:10.500", 8, "a \\\"b\\\" \\u0001=\\\\", "1.000", 3) };
    const char *second[] = { json_line("exit", "10:00:10.500", 9, "plain", "1", 4),
                             logfmt("exit", "10:00:10.500", 10, "123", "1.000", 5) };
    struct ended e = command(NULL, "report", "--json", file_with(joined(first, 2)), file_with(joined(second, 2)), NULL);
    json_t *json = report_of(e);
    cr_expect_str_empty(e.err);
    cr_expect_eq(count_of(json, "a \"b\" \\x01=\\", "time_wait"), 5);
    cr_expect_eq(count_of(json, "plain", "time_wait"), 4);
    cr_expect_eq(count_of(json, "123", "time_wait"), 5, "a name of digits is a name");
    cr_expect_eq(json_number(json, "totals.time_wait"), 14);
    char line[4096];
    snprintf(line, sizeof line, "cat %s | build/afterfin report --json -", file_with(joined(second, 2)));
    cr_expect_eq(json_number(report_of(shell("%s", line)), "totals.time_wait"), 9, "stdin");
}

/* A log that has been through a system whose lines end so. */
Test(report, a_line_may_end_in_cr_and_lf) {
    const char *lines[] = { logfmt("exit", "10:00:10.500", 7, "a", "1.000", 2),
                            json_line("exit", "10:00:10.500", 8, "a", "1.000", 3) };
    for (size_t i = 0; i < 2; i++) {
        char *text;
        cr_assert_gt(asprintf(&text, "%.*s\r\n", (int)strcspn(lines[i], "\n"), lines[i]), 0);
        struct ended e = command(NULL, "report", "--json", file_with(text), NULL);
        cr_expect_str_empty(e.err);
        cr_expect_eq(json_number(report_of(e), "totals.time_wait"), 2 + (long)i, "%s", text);
    }
}

/* ---- lines that are none --------------------------------------------------------------------------------------- */

static const char *text_of(const char *format, size_t n) {
    char *text;
    cr_assert_gt(asprintf(&text, format, n), 0);
    return text;
}

/* A good line with one piece replaced. */
static const char *with(const char *line, const char *piece, const char *by) {
    const char *at = strstr(line, piece);
    char *text;
    cr_assert(at, "%s in %s", piece, line);
    cr_assert_gt(asprintf(&text, "%.*s%s%s", (int)(at - line), line, by, at + strlen(piece)), 0);
    return text;
}

Test(report, names_each_line_that_is_not_ours_or_broken_and_skips_it) {
    const char *good = logfmt("exit", "10:00:10.500", 7, "a", "10.000", 3);
    const char *json = json_line("exit", "10:00:10.500", 8, "a", "10.000", 3);
    const char *const rows[][2] = {
        { "Listening on port 80\n", "not a line of afterfin's log" },
        { "afterfinish version=1\n", "not a line of afterfin's log" },
        { "{}\n", "not a line of afterfin's log" },
        { "{\"version\":\"1\"}\n", "not a line of afterfin's log" },
        { "{\"version\":1,\n", "broken" },
        { "afterfin version=1 event\n", "broken" },
        { with(good, "version=1", "version=2"), "a line of another version" },
        { with(json, "\"version\":1", "\"version\":2"), "a line of another version" },
        { with(good, "pid=7", "pid=0"), "no event, program or pid" },
        { with(good, "pid=7 ", ""), "no event, program or pid" },
        { with(good, "10:00:10.500Z", "yesterday"), "no time or elapsed_s" },
        { with(good, "elapsed_s=10.000", "elapsed_s=1e99"), "no time or elapsed_s" },
        { with(good, "elapsed_s=10.000", "elapsed_s=-1"), "broken" },
        { with(good, "accepts=0", "accepts=x"), "no count of accepts" },
        { with(good, "accepts=0", "accepts=-1"), "no count of accepts" },
        { with(good, "accepts=0", "accepts=99999999999999999999"), "no count of accepts" },
        { with(good, "accepts=0", "pid=9"), "broken" },
        { with(good, "open=0", "open=1"), "its counts do not add up" },
        { with(json, "\"passive\":0", "\"passive\":1"), "its counts do not add up" },
        { with(good, " errors= ", " errors=x "), "broken" },
        { with(good, "\"linger=off\"", "\"linger=off"), "broken" },
        { with(good, "\"linger=off\"", "\"\\q\""), "broken" },
        { with(json, "\"errors\":{}", "\"errors\":{\"a\":\"b\"}"), "its errors or time_wait_to are none" },
        { with(json, "\"errors\":{}", "\"errors\":[]"), "its errors or time_wait_to are none" },
        { "afterfin version=1 event=exit time=2026-11-23T10:00:00.123Z pid=4\n", "no event, program or pid" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const char *lines[] = { logfmt("exit", "10:00:10.500", 100, "a", "1.000", 1), rows[i][0],
                                logfmt("exit", "10:00:10.500", 101, "a", "1.000", 1) };
        const char *path = file_with(joined(lines, 3));
        struct ended e = command(NULL, "report", "--json", path, NULL);
        json_t *report = report_of(e);
        cr_expect_eq(json_number(report, "totals.processes"), 2);
        cr_expect_eq(json_number(report, "skipped_lines"), 1);
        char wanted[256];
        snprintf(wanted, sizeof wanted, "afterfin: report: %s:2: %s\n", path, rows[i][1]);
        cr_expect_str_eq(e.err, wanted);
    }
}

Test(report, of_many_lines_that_are_not_ours_names_the_first) {
    enum { N = 1000, NAMED = 10 };
    const char *path = scratch_path();
    FILE *file = fopen(path, "we");
    for (unsigned i = 0; i < N; i++)
        fprintf(file, "line %u of some program\n%s", i, i ? "" : logfmt("exit", "10:00:10.500", 7, "a", "1.000", 1));
    fclose(file);
    struct ended e = command(NULL, "report", "--json", path, NULL);
    json_t *report = report_of(e);
    cr_expect_eq(json_number(report, "totals.processes"), 1);
    cr_expect_eq(json_number(report, "skipped_lines"), N);
    unsigned lines = 0;
    for (const char *at = e.err; (at = strchr(at, '\n')); at++)
        lines++;
    cr_expect_eq(lines, NAMED + 1, "%s", e.err);
    cr_expect(strstr(e.err, text_of(": and %zu more lines", N - NAMED)), "%s", e.err);
}

Test(report, what_has_no_end_of_a_line_is_no_log) {
    struct ended e = command(NULL, "report", "/dev/zero", NULL);
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "/dev/zero:1: a line of more than 1048576 bytes"), "%s", e.err);
}

/* A disk that was full has cut the first off, wherever, and the others stand behind it. */
Test(report, a_line_that_was_cut_off_does_not_swallow_the_next) {
    const char *const first[] = { logfmt("exit", "10:00:10.500", 7, "\"a\\x01 b\"", "10.000", 3),
                                  json_line("exit", "10:00:10.500", 8, "a", "10.000", 3) };
    const char *const second[] = { logfmt("exit", "10:00:11.500", 9, "b", "10.000", 5),
                                   json_line("exit", "10:00:11.500", 10, "b", "10.000", 5) };
    for (size_t kind = 0; kind < 4; kind++) {
        const char *path = scratch_path(), *cut = first[kind & 1], *whole = second[kind >> 1];
        FILE *file = fopen(path, "we");
        size_t n = 0;
        for (size_t len = 1; len < strlen(cut) - 1; len += 7, n++)
            fprintf(file, "%.*s%s", (int)len, cut,
                    with(whole, kind >> 1 ? "\"pid\":10" : "pid=9",
                         text_of(kind >> 1 ? "\"pid\":%zu" : "pid=%zu", 1000 + n)));
        fclose(file);
        struct ended e = command(NULL, "report", "--json", path, NULL);
        json_t *json = report_of(e);
        cr_expect_eq(count_of(json, "b", "processes"), (long)n, "kind %zu: each is counted", kind);
        cr_expect_eq(count_of(json, "b", "time_wait"), 5 * (long)n, "kind %zu", kind);
        cr_expect_geq(json_number(json, "skipped_lines"), (long)n - 2, "kind %zu", kind);
        cr_expect(strstr(e.err, ":2: ") && strstr(e.err, "left out, 8 bytes"), "kind %zu: %.400s", kind, e.err);
    }
    /* Only the newline is missing; and a program may be called so. */
    const char *glued[] = { with(first[0], "\n", ""), second[1],
                            logfmt("exit", "10:00:12.500", 11, "\"c afterfin version=1\"", "1.000", 2) };
    struct ended e = command(NULL, "report", "--json", file_with(joined(glued, 3)), NULL);
    cr_expect_eq(json_number(report_of(e), "totals.time_wait"), 10, "%s", e.err);
    cr_expect_str_empty(e.err);
}

/* What a ledger, a logfmt line and a JSON line tell of one process. */
Test(report, a_program_of_any_name_is_one_process) {
    static const char *const names[] = {
        "caf\xe9",
        "na\u00efve",
        "x\xff\xfe\xfdy",
        "\xe2\x82",
        "a-name-of-sixty-three-bytes-is-as-much-as-a-ledger-can-hold-of-it-and-then-no-more",
        "a-name-whose-sixty-third-byte-is-the-first-of-two-bytes-or-moree\xc3\xa9\xc3\xa9\xc3\xa9",
        "\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e",
        "a-name-whose-sixty-third-byte-is-one-byte-of-three-or-anotherx\u65e5\u672c\u8a9e",
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS(names); i++)
        for (int json = 0; json < 2; json++) {
            const char *home = new_directory(), *log = scratch_path();
            char *program, *settings;
            cr_assert_gt(asprintf(&program, "%s/%s", home, names[i]), 0);
            cr_assert_gt(asprintf(&settings, "LEDGER=%s|LOG=%s%s", home, log, json ? "|LOG_FORMAT=json" : ""), 0);
            cr_assert_eq(shell("cp %s '%s'", victim_path("connect_close"), program).status, 0);
            leave(settings, 0, (const char *[]){ program, "127.0.0.1", number(peer.port), "-n", "3", NULL });
            struct ended e = command(NULL, "report", "-d", home, "--json", log, NULL);
            json_t *report = report_of(e);
            cr_expect_eq(json_number(report, "totals.processes"), 1, "%s: %s", names[i], e.out);
            cr_expect_eq(json_number(report, "totals.established"), 3, "%s", names[i]);
            cr_expect_eq(json_number(report, "log_lines"), 1, "%s", names[i]);
        }
}

/* A log has the whole of a name, a ledger as much as it can hold: here not the last two bytes of a character. */
Test(report, a_name_that_a_ledger_cuts_is_one_process) {
    static const char whole[] = "a-name-whose-sixty-third-byte-is-one-byte-of-three-or-another\u65e5\u672c\u8a9e";
    const uint64_t started = UINT64_C(1606125600500000000); /* 2020-11-23T10:00:00.500Z */
    for (int kind = 0; kind < 2; kind++) {
        const char *directory = new_directory();
        struct af_ledger *ledger = make_ledger(directory, "a.ledger");
        memcpy(ledger->program, whole, AF_PROGRAM_SIZE - 1);
        const uint32_t slot = make_process(ledger, 7);
        af_ledger_process(made_map(ledger), slot)->started = started;
        make_count(ledger, slot, AF_COUNT_established, 3);
        make_count(ledger, slot, AF_COUNT_time_wait, 3);
        const char *line = (kind ? json_line : logfmt)("exit", "10:00:10.500", 7, whole, "10.000", 3);
        struct ended e = command(NULL, "report", "-d", directory, "--json", file_with(with(line, "2026", "2020")),
                                 NULL);
        json_t *json = report_of(e);
        cr_expect_eq(json_number(json, "totals.processes"), 1, "kind %d: %s", kind, e.out);
        cr_expect_eq(json_number(json, "log_lines"), 1, "kind %d: %s", kind, e.err);
    }
}

Test(report, survives_a_log_that_is_cut_anywhere) {
    const char *line[] = { logfmt("exit", "10:00:10.500", 7, "\"a\\x01 b\"", "10.000", 3),
                           json_line("exit", "10:00:10.500", 8, "a", "10.000", 3) };
    const char *path = scratch_path();
    for (int which = 0; which < 2; which++) {
        FILE *file = fopen(path, which ? "ae" : "we");
        for (size_t len = 1; len < strlen(line[which]) - 1; len++)
            cr_assert_gt(fprintf(file, "%.*s\n", (int)len, line[which]), 0);
        fclose(file);
    }
    struct ended e = command(NULL, "report", "--json", path, NULL);
    json_t *json = report_of(e);
    /* Without the end of its policy a logfmt line may still be whole to look at; a JSON one never is. */
    cr_expect_leq(json_number(json, "totals.processes"), 1);
    cr_expect_geq(json_number(json, "skipped_lines"), (long)(strlen(line[0]) + strlen(line[1])) - 60);
}

Test(report, says_what_is_wrong_with_the_question) {
    static const struct {
        const char *first, *second;
        int status;
        const char *says;
    } rows[] = {
        { "--json", "--prometheus", 2, "exclude each other" },
        { "-d", "/nonexistent", 1, "/nonexistent: No such file or directory" },
        { "--clean=x", NULL, 2, "--clean needs a number from 0 to 31622400, not 'x'" },
        { "--clean=-1", NULL, 2, "not '-1'" },
        { "--clean=99999999999999999999", NULL, 2, "not '9999" },
        { "--clean=", NULL, 2, "--clean= needs SECONDS" },
        { "/nonexistent", NULL, 1, "/nonexistent: No such file or directory" },
        { "/", NULL, 1, "/: Is a directory" },
        { "--jsn", NULL, 2, "did you mean --json" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = command(NULL, "report", rows[i].first, rows[i].second, NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
    }
}
