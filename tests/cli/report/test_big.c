/* report of large logs: what it takes grows with the processes, and not with the lines. */
#include "tests/cli/who/who.h"
#include "tests/harness/shell.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* `rounds` intervals of each of `processes`, 1,000 of which have each program; all of them are pid 7 where they are told
 * apart by time. */
static const char *log_of(unsigned processes, unsigned rounds, bool json, bool one_pid) {
    const char *path = scratch_path();
    FILE *file = fopen(path, "we");
    cr_assert(file);
    for (unsigned i = 0; i < processes * rounds; i++) {
        const unsigned p = i % processes, round = 1 + i / processes, ms = round * 1000 + (one_pid ? p * 40 : 0);
        const unsigned n = round * 10;
        fprintf(
            file,
            json ? "{\"version\":1,\"event\":\"interval\",\"time\":\"2026-11-23T%02u:%02u:%02u.%03uZ\",\"pid\":%u,"
                   "\"ppid\":1,\"program\":\"worker-%u\",\"elapsed_s\":%u.000,\"sockets\":%u,\"binds\":0,"
                   "\"bind_errors\":0,\"connects\":%u,\"connect_errors\":0,\"accepts\":0,\"established\":%u,"
                   "\"time_wait\":%u,\"avoided\":0,\"passive\":0,\"aborted\":0,\"passed\":0,\"open\":0,\"errors\":{},"
                   "\"time_wait_to\":{\"10.0.0.%u:443\":%u},\"policy\":{\"linger\":\"off\"}}\n"
                 : "afterfin version=1 event=interval time=2026-11-23T%02u:%02u:%02u.%03uZ pid=%u ppid=1 "
                   "program=worker-%u elapsed_s=%u.000 sockets=%u binds=0 bind_errors=0 connects=%u connect_errors=0 "
                   "accepts=0 established=%u time_wait=%u avoided=0 passive=0 aborted=0 passed=0 open=0 errors= "
                   "time_wait_to=\"10.0.0.%u:443=%u\" policy=\"linger=off\"\n",
            10 + ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000, one_pid ? 7 : 1 + p, p / 1000, round, n, n,
            n, n, p % 200, n);
    }
    cr_assert_eq(fclose(file), 0);
    return path;
}

/* The most memory that it had, in KB. */
static long peak_of(const char *log, long processes, long time_wait) {
    char out[64];
    snprintf(out, sizeof out, "%s", scratch_path());
    struct ended e = shell("python3 -c 'import resource,subprocess,sys\n"
                           "subprocess.run(sys.argv[1:], check=True)\n"
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' %s report --json=%s %s",
                           command_path(), out, log);
    cr_assert_eq(e.status, 0, "%s", e.err);
    json_t *json = json_load_file(out, 0, NULL);
    cr_expect_eq(json_number(json, "totals.processes"), processes, "%ld", json_number(json, "totals.processes"));
    cr_expect_eq(json_number(json, "totals.time_wait"), time_wait, "%ld", json_number(json, "totals.time_wait"));
    json_decref(json);
    unlink(out);
    return strtol(e.out, NULL, 10);
}

Test(report_big, takes_memory_by_processes_and_not_by_lines) {
    enum { PROCESSES = 5000, ROUNDS = 20 };
    for (int json = 0; json < 2; json++) {
        const char *once = log_of(PROCESSES, 1, json, false), *often = log_of(PROCESSES, ROUNDS, json, false);
        const long few = peak_of(once, PROCESSES, PROCESSES * 10);
        const long many = peak_of(often, PROCESSES, PROCESSES * 10 * ROUNDS);
        cr_expect_lt(many, few + 512, "%d times the lines take %ld KB, once %ld KB", ROUNDS, many, few);
        unlink(once);
        unlink(often);
    }
}

/* 1 KB a process would do; it has some 260 bytes. */
Test(report_big, a_process_takes_little) {
    enum { FEW = 5000, MANY = 50000, MOST_BYTES = 512 };
    const char *small = log_of(FEW, 1, false, false), *large = log_of(MANY, 1, false, false);
    const long less = peak_of(small, FEW, FEW * 10), more = peak_of(large, MANY, MANY * 10);
    cr_expect_lt((more - less) * 1024 / (MANY - FEW), MOST_BYTES, "%ld KB, %ld KB", less, more);
    unlink(small);
    unlink(large);
}

/* In user space, by callgrind: what a line takes, however many came before it. */
static long instructions(const char *log) {
    long collected = -1;
    struct ended e = shell("valgrind --tool=callgrind --callgrind-out-file=/dev/null %s report --json=/dev/null %s",
                           command_path(), log);
    const char *at = strstr(e.err, "Collected : ");
    cr_assert(e.status == 0 && at && sscanf(at, "Collected : %ld", &collected) == 1, "%s%s", e.out, e.err);
    return collected;
}

/* Some 450 MB/s; by way of JSON it is 13 to 25 times as many. Half of the processes are one pid, as in containers: to tell them
 * apart by the time takes no longer. */
Test(report_big, a_line_takes_so_many_instructions) {
    enum { N = 4000, MOST = 6000 };
    if (access("/usr/bin/valgrind", X_OK) != 0)
        cr_skip_test("valgrind is not there");
    for (int kind = 0; kind < 4; kind++) {
        const char *less = log_of(N, 1, kind & 1, kind & 2), *more = log_of(2 * N, 1, kind & 1, kind & 2);
        const char *again = log_of(N, 2, kind & 1, kind & 2);
        const long few = instructions(less), fresh = (instructions(more) - few) / N,
                   known = (instructions(again) - few) / N;
        cr_expect_lt(fresh, MOST, "kind %d: %ld of a process that is new", kind, fresh);
        cr_expect_lt(known, MOST, "kind %d: %ld of one that is known", kind, known);
        unlink(less);
        unlink(more);
        unlink(again);
    }
}

/* Blocks end anywhere in a line, and a pipe brings less than one. */
Test(report_big, lines_are_whole_wherever_a_block_ends) {
    enum { PROCESSES = 3000 };
    const char *log = log_of(PROCESSES, 1, false, false);
    for (unsigned first = 1; first < 4000; first += 333) {
        struct ended e = shell("{ yes filler | head -c %u; echo; cat %s; } | %s report --json - 2>/dev/null", first,
                               log, command_path());
        json_t *json = json_loads(e.out, 0, NULL);
        cr_expect_eq(json_number(json, "totals.time_wait"), PROCESSES * 10, "behind %u bytes", first);
    }
    struct ended e = shell("tr '\\n' '\\0' <%s | head -c 100000 | tr '\\0' '\\n' | dd bs=77 2>/dev/null | "
                           "%s report --json -",
                           log, command_path());
    cr_expect_gt(json_number(json_loads(e.out, 0, NULL), "totals.processes"), 200, "%s", e.err);
    unlink(log);
}

/* The longest line that may be one of ours, and a byte more. */
Test(report_big, a_line_may_be_so_long) {
    enum { LONGEST = 1 << 20 };
    const char *log = log_of(3, 1, false, false);
    for (int more = 0; more < 2; more++) {
        struct ended e = shell("{ head -c %d /dev/zero | tr '\\0' x; echo; cat %s; } | %s report --json -",
                               LONGEST - 1 + more, log, command_path());
        cr_expect_eq(e.status, more, "%s", e.err);
        cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "totals.processes"), more ? 0 : 3, "%s", e.err);
        cr_expect(strstr(e.err, more ? "stdin:1: a line of more than" : "stdin:1: not a line"), "%s", e.err);
    }
    unlink(log);
}
