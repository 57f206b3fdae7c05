/* Metrics of ledgers that are gone: counters never fall, and nothing counts twice, whoever removes them and whenever
 * he is killed. */
#include "tests/cli/report/metrics.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two programs; of the first two ledgers. All ended long ago. No name comes twice, as with those of the library. */
static void make_three(const char *directory) {
    static int serial;
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%d-%d.ledger", (int)getpid(), serial++);
        struct af_ledger *ledger = make_ledger(directory, name);
        uint32_t slot = make_process(ledger, 4000 + i);
        ledger->pid = 4000 + i;
        strcpy(ledger->program, i == 2 ? "other" : "plain");
        make_count(ledger, slot, AF_COUNT_established, 10);
        make_count(ledger, slot, AF_COUNT_time_wait, 10);
        for (int n = 0; n < 4; n++)
            af_ledger_count_error(af_ledger_process(ledger, slot), AF_CALL_connect, 99);
        munmap(ledger, ledger->size);
    }
}

static const struct {
    const char *sample;
    double value;
} expected[] = {
    { "afterfin_time_wait_total{program=\"plain\"}", 20 },
    { "afterfin_established_total{program=\"plain\"}", 20 },
    { "afterfin_time_wait_total{program=\"other\"}", 10 },
    { "afterfin_errors_total{program=\"plain\",call=\"connect\",errno=\"EADDRNOTAVAIL\"}", 8 },
    { "afterfin_errors_total{program=\"other\",call=\"connect\",errno=\"EADDRNOTAVAIL\"}", 4 },
};

static void expect_all(const char *directory, const char *when) {
    struct ended e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    cr_expect_eq(e.status, 0, "%s: %s", when, e.err);
    for (size_t i = 0; i < ROWS(expected); i++)
        cr_expect_eq(metric(e.out, expected[i].sample), expected[i].value, "%s: %s is %g", when, expected[i].sample,
                     metric(e.out, expected[i].sample));
}

Test(report_past, counters_stay_when_ledgers_go_and_gauges_do_not) {
    ns_enter();
    const char *directory = new_directory();
    make_three(directory);
    expect_all(directory, "at first");
    struct ended e = command(NULL, "report", "-d", directory, "--clean", "--prometheus", NULL);
    cr_expect_eq(metric(e.out, "afterfin_processes{program=\"plain\"}"), 2);
    cr_expect_eq(entries(directory, ""), 1, "but for metrics.json");
    expect_all(directory, "cleaned");
    e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    cr_expect_eq(metric(e.out, "afterfin_processes{program=\"plain\"}"), 0, "%s", e.out);
    make_three(directory);
    e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    cr_expect_eq(metric(e.out, expected[0].sample), 40, "new ones add to them");
    cr_expect_eq(json_number(json_loads(command(NULL, "report", "-d", directory, "--json", NULL).out, 0, NULL),
                             "totals.time_wait"),
                 30, "what is not for Prometheus tells of what is there");
}

Test(report_past, counters_stand_still_where_ledgers_went_otherwise) {
    ns_enter();
    const char *directory = new_directory();
    make_three(directory);
    expect_all(directory, "at first");
    cr_assert_eq(shell("rm %s/*.ledger", directory).status, 0);
    expect_all(directory, "removed by hand");
}

Test(report_past, nothing_is_kept_where_nobody_has_asked_for_metrics) {
    ns_enter();
    const char *directory = new_directory();
    make_three(directory);
    command(NULL, "report", "-d", directory, "--clean", NULL);
    cr_expect_eq(rmdir(directory), 0, "%s", shell("ls -a %s", directory).out);
}

/* ---- killed in the middle ---------------------------------------------------------------------------------------- */

/* At its nth call of one kind; false: it came to its end. */
static bool killed_at(const char *directory, const char *call, int n) {
    struct ended e = shell("strace -f -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%d build/afterfin report "
                           "-d %s --clean --prometheus",
                           call, call, n, directory);
    if (strstr(e.err, "strace: ") || e.status == 127)
        cr_skip_test("no strace to kill it with: %s", e.err);
    return e.status != 0;
}

Test(report_past, a_command_killed_at_any_step_has_lost_nothing_and_doubled_nothing) {
    static const char *const calls[] = { "unlinkat", "renameat", "flock", "write" };
    ns_enter();
    for (size_t i = 0; i < ROWS(calls); i++) {
        bool killed = true;
        int n = 0;
        while (killed && n < 30) {
            char when[64];
            const char *directory = new_directory();
            make_three(directory);
            snprintf(when, sizeof when, "killed at %s %d", calls[i], ++n);
            expect_all(directory, "before");
            killed = killed_at(directory, calls[i], n);
            expect_all(directory, when);
            command(NULL, "report", "-d", directory, "--clean", NULL);
            cr_expect_eq(entries(directory, ""), 1, "%s: %s", when, shell("ls %s", directory).out);
            expect_all(directory, when);
        }
        cr_expect_gt(n, 1, "%s: never killed", calls[i]);
        cr_expect_lt(n, 30, "%s: always killed", calls[i]);
    }
}

Test(report_past, commands_at_once_count_each_ledger_once) {
    enum { AT_ONCE = 4, ROUNDS = 10 };
    ns_enter();
    const char *directory = new_directory();
    command(NULL, "report", "-d", directory, "--prometheus", NULL);
    for (int round = 1; round <= ROUNDS; round++) {
        struct victim v[AT_ONCE];
        make_three(directory);
        for (int i = 0; i < AT_ONCE; i++)
            v[i] = command_start(NULL, "report", "-d", directory, "--prometheus", i % 2 ? "--clean" : NULL, NULL);
        for (int i = 0; i < AT_ONCE; i++) {
            struct ended e = victim_wait(&v[i]);
            double told = metric(e.out, expected[0].sample);
            cr_expect_eq(e.status, 0, "%s", e.err);
            cr_expect_eq(told, 20 * round, "round %d: %g", round, told);
        }
    }
}

/* ---- other ways to go ------------------------------------------------------------------------------------------ */

Test(report_past, the_default_directory_is_tidied_without_a_loss) {
    ns_enter();
    const char *directory = own_default();
    make_three(directory);
    expect_all(directory, "at first");
    command(NULL, "who", NULL);
    cr_expect_eq(entries(directory, ""), 1, "they ended long ago: %s", shell("ls %s", directory).out);
    expect_all(directory, "tidied");
}

/* What run keeps for its own table is in the report while it runs, and so it stays there. */
Test(report_past, a_run_without_a_ledger_leaves_its_counts) {
    static const char sample[] = "afterfin_time_wait_total{program=\"connect_close\"}";
    ns_enter();
    const char *directory = own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = command_start(NULL, "run", "sh", "-c",
                                    "trap 'exit 5' USR1; \"$0\" 127.0.0.1 $1 -n 6; echo left; "
                                    "while :; do sleep 0.02; done",
                                    victim_path("connect_close"), number(peer.port), NULL);
    victim_wait_out(&v, "left");
    ns_settle();
    cr_expect_eq(metric(command(NULL, "report", "--prometheus", NULL).out, sample), 6);
    cr_expect_eq(victim_kill(&v, SIGUSR1).status, 5);
    cr_expect_eq(entries(directory, ""), 1, "%s", shell("ls %s", directory).out);
    cr_expect_eq(metric(command(NULL, "report", "--prometheus", NULL).out, sample), 6);
    command("AFTERFIN_LEDGER=on", "run", victim_path("connect_close"), "127.0.0.1", number(peer.port), NULL);
    cr_expect_eq(entries(directory, ""), 2, "one that asks for a ledger keeps it");
    cr_expect_eq(metric(command(NULL, "report", "--prometheus", NULL).out, sample), 7);
}

Test(report_past, what_was_told_before_a_reboot_is_the_ground_for_what_comes) {
    ns_enter();
    const char *directory = new_directory();
    make_three(directory);
    expect_all(directory, "at first");
    cr_assert_eq(shell("sed -i 's/\"boot\":\"......../\"boot\":\"01234567/' %s/metrics.json && rm %s/*.ledger",
                       directory, directory)
                     .status,
                 0);
    expect_all(directory, "rebooted");
    make_three(directory);
    struct ended e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    cr_expect_eq(metric(e.out, expected[0].sample), 40);
}

/* A process with a log and a ledger that is gone: no line tells that it is that one. */
Test(report_past, logs_that_are_named_are_not_counted_twice) {
    static const char sample[] = "afterfin_time_wait_total{program=\"connect_close\"}";
    ns_enter();
    const char *directory = new_directory(), *log = scratch_path();
    char both[256];
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    snprintf(both, sizeof both, "LEDGER=%s|LOG=%s", directory, log);
    leave(both, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "5", NULL });
    ns_settle();
    cr_expect_eq(metric(command(NULL, "report", "-d", directory, "--prometheus", log, NULL).out, sample), 5);
    cr_expect_eq(metric(command(NULL, "report", "-d", directory, "--clean", "--prometheus", NULL).out, sample), 5);
    struct ended e = command(NULL, "report", "-d", directory, "--prometheus", log, NULL);
    cr_expect_eq(metric(e.out, sample), 5, "%s", e.out);
    cr_expect(strstr(e.err, "counts of ledgers that are gone are left out"), "%s", e.err);
}

/* ---- what is no file of ours ------------------------------------------------------------------------------------- */

Test(report_past, a_broken_file_is_named_and_begun_anew) {
    static const struct {
        const char *content, *why;
    } rows[] = {
        { "", NULL },
        { "x", "broken" },
        { "{", "broken" },
        { "[]", "not written by this version" },
        { "{}", "not written by this version" },
        { "{\"version\":2,\"programs\":{}}", "not written by this version" },
        { "{\"version\":1}", "no programs" },
        { "{\"version\":1,\"programs\":[]}", "no programs" },
        { "{\"version\":1,\"programs\":{\"a\":1}}", "its counts are none" },
        { "{\"version\":1,\"programs\":{\"a\":{\"removed\":{}}}}", "its counts are none" },
        { "{\"version\":1,\"programs\":{\"a\":{\"removed\":{\"binds\":-1},\"told\":{}}}}", "its counts are none" },
        { "{\"version\":1,\"programs\":{\"a\":{\"removed\":{\"binds\":9000000000000000000},\"told\":{}}}}",
          "its counts are none" },
        { "{\"version\":1,\"programs\":{\"a\":{\"removed\":{\"binds\":1.5},\"told\":{}}}}", "its counts are none" },
        { "{\"version\":1,\"programs\":{},\"gone\":[1]}", "its names are none" },
        { "{\"version\":1,\"version\":1,\"programs\":{}}", "broken" },
        { "{\"version\":1,\"programs\":{},\"gone\":[\"../../x\",\"\",\".\"],\"boot\":7}", NULL },
        { "{\"version\":1,\"programs\":{\"\":{\"removed\":{\"what\":1,\"a:b\":2},\"told\":{\":\":3}}}}", NULL },
    };
    ns_enter();
    for (size_t i = 0; i < ROWS(rows); i++) {
        char path[512];
        const char *directory = new_directory();
        make_three(directory);
        snprintf(path, sizeof path, "%s/metrics.json", directory);
        FILE *file = fopen(path, "we");
        cr_assert(file && fputs(rows[i].content, file) >= 0 && fclose(file) == 0);
        struct ended e = command(NULL, "report", "-d", directory, "--clean", "--prometheus", NULL);
        cr_expect_eq(e.status, 0, "row %zu: %d: %s", i, e.status, e.err);
        cr_expect_eq(metric(e.out, expected[0].sample), 20, "row %zu", i);
        cr_expect(rows[i].why ? strstr(e.err, rows[i].why) != NULL : !strstr(e.err, "anew"), "row %zu: %s", i, e.err);
        expect_all(directory, rows[i].content);
    }
}

Test(report_past, says_what_stands_in_the_way) {
    static const struct {
        const char *command; /* in the directory */
        int status;
        const char *says;
    } rows[] = {
        { "mkdir metrics.json", 1, "metrics.json in the ledgers' directory: Is a directory" },
        { "ln -s /etc/passwd metrics.json", 1, "Too many levels of symbolic links" },
        { "mkfifo metrics.json", 0, "not a file of our own; metrics begin anew" },
        { "truncate -s 17M metrics.json", 0, "too large; metrics begin anew" },
        { "mkdir metrics.json.new", 1, "metrics.json in the ledgers' directory: File exists" },
    };
    ns_enter();
    for (size_t i = 0; i < ROWS(rows); i++) {
        const char *directory = new_directory();
        make_three(directory);
        cr_assert_eq(shell("cd %s && %s", directory, rows[i].command).status, 0);
        struct ended e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
        cr_expect_eq(e.status, rows[i].status, "%s: %d", rows[i].command, e.status);
        cr_expect(strstr(e.err, rows[i].says), "%s: %s", rows[i].command, e.err);
        e = command(NULL, "report", "-d", directory, "--clean", NULL);
        cr_expect_eq(shell("ls %s/*.ledger", directory).status, 2, "%s: they go all the same", rows[i].command);
    }
}
