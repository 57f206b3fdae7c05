/* A failure of ours is never the program's: each system call that the library makes is made to fail, whenever it makes it,
 * in each way that it can, and a filter's ways. What the program prints of its own calls, and its end, stay as they are
 * without the library. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"
#include "tests/shim/fault_numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_ERRORS = 8 };

static const struct call {
    const char *name;
    long number;
    int errors[MOST_ERRORS];
} calls[] = {
#define CALL(name, ...) { #name, SYS_##name, { __VA_ARGS__ } },
#define LEFT(name) { #name, -1, { 0 } },
#include "tests/shim/fault_calls.def"
#undef LEFT
#undef CALL
};

/* %s: a log file, then a directory for ledgers. Only policies that change nothing of what is printed. */
static const char *const settings[] = {
    "LOG=%s|LOG_INTERVAL=off",
    "LOG=stderr|LOG_FORMAT=json",
    "LOG=%s|LEDGER=%s",
    "LOG=%s|LEDGER=/nonexistent/run-1",
    "LOG=%s|LINGER=ack|KEEPALIVE=60:10:3|USER_TIMEOUT=90s|SYN_RETRIES=9",
    "SOURCE=127.0.0.1,::1,10.1.2.3|LOG=%s", /* what the kernel would choose itself */
    "LINGER=1|OVERRIDE=on",
    "LOG=%s|PORT_SEARCH=cycle|PORT_RANGE=40000-49999",
    "RULES=connect * linger=ack; listen * linger=ack; bind * bind_no_port=on",
};

static long number_of(const struct call *call) {
    return call->number >= 0 && victims_are("i386") ? number_in_i386(call->name) : call->number;
}

static const char *shown(const struct call *call) {
    return text(" %s\n", victims_are("i386") ? name_in_i386(call->name) : call->name);
}

static struct ended play(const char *with, const char *victim) {
    ns_enter();
    ns_port_range(30000, 60000);
    return run(with, "%s 5000", victim);
}

/* What was printed, from the first line in which the two differ. */
static const char *difference(const char *a, const char *b) {
    const char *line = a;
    for (; *a && *a == *b; a++, b++)
        if (*a == '\n')
            line = a + 1;
    return text("%.200s", line);
}

static void expect_same(const char *with, const struct call *call, int error, const char *victim,
                        const struct ended *bare) {
    const char *fault = text("%s|$LD_PRELOAD=%s:%s|$FAULT_CALL=%ld|$FAULT_ERROR=%d", with, library_path(),
                             victim_path("faults.so"), number_of(call), error);
    struct ended e = play(fault, victim);
    cr_expect_eq(e.status, bare->status, "%s, %s %s: status %d", with, call->name, strerrorname_np(error), e.status);
    cr_expect(strcmp(e.out, bare->out) == 0, "%s, %s %s: %s", with, call->name, strerrorname_np(error),
              difference(e.out, bare->out));
}

/* Does it make the call at all, or its children? strace's table, which names no other. */
static const char *calls_of(const char *with, const char *victim) {
    const char *report = scratch_path();

    ns_enter();
    run(with, "strace -f -c -o %s %s 5000", report, victim_path(victim));
    const char *table = file_text(report);
    cr_assert(table && strstr(table, "total"), "strace: %s", table);
    unlink(report);
    return table;
}

/* Every `step`th setting, one of a filter's ways and one of the call's own; all of them with FAULTS in the environment of
 * the runner. */
static void expect_all_same(const char *victim, size_t step) {
    static const int filters[] = { EPERM, ENOSYS };
    const size_t ways = getenv("FAULTS") ? MOST_ERRORS : 1;

    if (access("/usr/bin/strace", X_OK) != 0)
        cr_skip_test("strace is not there");
    struct ended bare = play(NULL, victim);
    cr_assert_gt(strlen(bare.out), 100, "%s: %d %s", victim, bare.status, bare.err);
    for (size_t i = ways == 1 ? step - 1 : 0; i < ROWS(settings); i += ways == 1 ? step : 1) {
        const char *log = scratch_path(), *directory = directory_made(), *with = text(settings[i], log, directory);
        const char *made = calls_of(with, victim);
        for (size_t k = 0; k < ROWS(calls); k++) {
            if (calls[k].number < 0 || !strstr(made, shown(&calls[k])))
                continue;
            for (size_t j = 0; j < ROWS(filters) && j < ways; j++)
                expect_same(with, &calls[k], filters[j], victim, &bare);
            for (size_t j = 0; j < MOST_ERRORS && j < ways && calls[k].errors[j]; j++)
                expect_same(with, &calls[k], calls[k].errors[j], victim, &bare);
        }
        unlink(log);
        directory_removed(directory);
    }
}

Test(faults, a_call_of_ours_that_fails_changes_no_call_on_sockets) {
    expect_all_same("show_sockets", 1);
}

Test(faults, nor_one_on_descriptors) {
    expect_all_same("show_descriptors", 3);
}

Test(faults, nor_a_fork_or_an_exec) {
    expect_all_same("show_children", 3);
}

static void serve(unsigned n) {
    struct client_result r = client_run(&(struct client_options){ .port = 10000, .n = n, .send = 1 });
    cr_assert_eq(r.clean, n, "%u clean: %s", r.clean, strerror(r.error));
}

/* `afterfin set` posts a letter, which the library copies before it believes it. By then sockets have the option from
 * outside: each that is closed before the letter is read loses it again, and is counted so. */
Test(faults, a_letter_for_which_there_is_no_memory_is_read_later) {
    enum { BEFORE = 20, WITHOUT_MEMORY = 5, AFTER = 15, ALL = BEFORE + WITHOUT_MEMORY + AFTER };
    const struct rlimit nothing = { 1, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
    const char *log = scratch_path();
    ns_enter();
    struct victim v = victim_start(text("LOG=%s", log), "server_close 127.0.0.1 10000 -n %d -q 1 -b 100", ALL);
    ns_wait_listen(10000);
    serve(BEFORE);
    cr_assert_eq(prlimit(v.pid, RLIMIT_AS, &nothing, NULL), 0);
    struct ended e = command(NULL, "set", "--pid", text("%d", (int)v.pid), "linger=ack", NULL);
    serve(WITHOUT_MEMORY);
    cr_assert_eq(prlimit(v.pid, RLIMIT_AS, &all, NULL), 0);
    serve(AFTER);
    cr_assert_eq(victim_wait(&v).status, 0, "%s", e.err);
    const struct tally counted = tally_log("all", log);
    cr_expect_eq(counted.established, ALL);
    cr_expect_eq(counted.avoided, AFTER, "%ld: %s", counted.avoided, file_text(log));
    const struct books books = books_of("all", 10000);
    cr_expect_eq(counted.time_wait, books.made, "%ld, the kernel made %ld", counted.time_wait, books.made);
    cr_expect(strstr(log_text(log_line(file_text(log), 0), "policy"), "linger=ack"), "%s", file_text(log));
}

Test(faults, every_call_of_the_sources_has_its_row) {
    struct ended e =
        shell("grep -ohE '(AF_SYS[0-9]|af_sys)\\(SYS_[a-z0-9_]+' shim/*.[ch] | sed 's/.*SYS_//' | sort -u");
    char *rest = NULL;

    for (char *name = strtok_r(strdup(e.out), "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        bool found = false;
        for (size_t k = 0; k < ROWS(calls); k++)
            found |= strcmp(calls[k].name, name) == 0;
        cr_expect(found, "%s", name);
    }
}
