/* What report writes, and what it and the other commands remove. */
#include "ledger/reader.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- JSON, columns, metrics ------------------------------------------------------------------------------------ */

/* Two programs, one of them with a name that no format takes as it is. */
static const char *two_programs(void) {
    const char *directory = new_directory();
    for (int i = 0; i < 2; i++) {
        struct af_ledger *ledger = make_ledger(directory, i ? "b.ledger" : "a.ledger");
        uint32_t slot = make_process(ledger, 4000 + i);
        strcpy(ledger->program, i ? "q\"\\\n\xff" : "plain");
        make_count(ledger, slot, AF_COUNT_established, 10);
        make_count(ledger, slot, AF_COUNT_time_wait, (uint64_t)(7 - i));
        make_count(ledger, slot, AF_COUNT_passive, (uint64_t)(3 + i));
        for (int n = 0; n < 12; n++)
            af_ledger_count_error(af_ledger_process(made_map(ledger), slot), AF_CALL_connect, 99);
        munmap(ledger, ledger->size);
    }
    return directory;
}

Test(report_write, has_every_field_of_its_manual_and_no_other) {
    static const char *const top[] = { "version", "programs", "totals", "ledgers", "log_lines", "skipped_lines", NULL };
    static const char *const counts[] = { "processes", "running",
#define COUNTER(name, help) #name,
#define DERIVED COUNTER
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
                                          "errors", NULL };
    ns_enter();
    struct ended e = command(NULL, "report", "-d", two_programs(), "--json", NULL);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(json, "%s%s", e.out, e.err);
    const struct {
        const char *path;
        const char *const *names;
        size_t more;
    } objects[] = { { "", top, 0 }, { "totals", counts, 0 }, { "programs.0", counts, 2 } };
    for (size_t i = 0; i < ROWS(objects); i++) {
        const json_t *object = json_find(json, objects[i].path);
        size_t n = 0;
        for (; objects[i].names[n]; n++)
            cr_expect(json_object_get(object, objects[i].names[n]), "%s: no %s", objects[i].path, objects[i].names[n]);
        cr_expect_eq(json_object_size(object), n + objects[i].more, "%s has others too", objects[i].path);
    }
    cr_expect_str_eq(json_string_value(json_find(json, "programs.0.program")), "plain");
    cr_expect_str_eq(json_string_value(json_find(json, "programs.1.program")), "q\"\\\n\\xff");
    cr_expect_eq(json_number(json, "totals.time_wait"), 13);
    cr_expect_eq(json_integer_value(json_object_get(json_find(json, "totals.errors"), "connect:EADDRNOTAVAIL")), 24);
}

Test(report_write, prints_columns_with_a_row_a_program) {
    ns_enter();
    struct ended e = command("LC_ALL=C", "report", "-d", two_programs(), NULL);
    /* Bytes that are no character are shown as such, in every locale. */
    cr_expect_str_eq(e.out,
                     "PROGRAM     PROCESSES ESTAB TIME_WAIT PASSIVE\n"
                     "plain               1    10         7       3\n"
                     "        errors: connect:EADDRNOTAVAIL=12\n"
                     "q\"\\\\x0a\\xff         1    10         6       4\n"
                     "        errors: connect:EADDRNOTAVAIL=12\n"
                     "total               2    20        13       7\n"
                     "note: how connections ended is what was predicted at each close; of these\n"
                     "processes the kernel has 0 in TIME_WAIT now\n",
                     "%s", e.out);
    e = command(NULL, "report", "-d", new_directory(), NULL);
    cr_expect_str_eq(e.out, "no process with a TCP socket is recorded\n");
}

Test(report_write, writes_metrics_that_prometheus_takes) {
    ns_enter();
    const char *directory = two_programs(), *path = scratch_path();
    struct ended e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    static const char *const lines[] = {
        "# TYPE afterfin_time_wait_total counter\n",
        "# HELP afterfin_time_wait_total connections ended by this side first, whose TIME_WAIT the kernel keeps here; "
        "as predicted at each close\n",
        "\nafterfin_time_wait_total{program=\"plain\"} 7\n",
        "\nafterfin_time_wait_total{program=\"q\\\"\\\\\\n\\\\xff\"} 6\n",
        "# TYPE afterfin_open gauge\n",
        "\nafterfin_processes{program=\"plain\"} 1\n",
        "\nafterfin_errors_total{program=\"plain\",call=\"connect\",errno=\"EADDRNOTAVAIL\"} 12\n",
    };
    cr_expect_eq(e.status, 0, "%s", e.err);
    for (size_t i = 0; i < ROWS(lines); i++)
        cr_expect(strstr(e.out, lines[i]), "%s in\n%s", lines[i], e.out);
#define COUNTER(name, help) cr_expect(strstr(e.out, "\nafterfin_" #name "_total{program=\"plain\"} "), "%s", #name);
#define DERIVED(name, help)
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
    char option[256];
    snprintf(option, sizeof option, "--prometheus=%s", path);
    cr_expect_eq(command(NULL, "report", "-d", directory, option, NULL).status, 0);
    cr_expect_str_eq(file_text(path), e.out);
    if (shell("command -v promtool").status != 0)
        cr_skip_test("no promtool (Debian: prometheus) to check the metrics with");
    e = shell("promtool check metrics <%s", path);
    cr_expect_eq(e.status, 0, "%s%s", e.out, e.err);
    cr_expect_str_empty(e.err);
}

/* ---- what is over ---------------------------------------------------------------------------------------------- */

static uint64_t seconds_ago(unsigned s) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec - s) * 1000000000u;
}

static pid_t gone_pid(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

enum how { ENDED, KILLED, LIVES, NONE };

/* A ledger that any process has mapped stays, whatever directory it is in: names of this test's own. */
static const char *own(const char *name) {
    char *text;
    cr_assert_gt(asprintf(&text, "%d-%s", (int)getpid(), name), 0);
    return text;
}

/* A ledger of one process, which began an hour ago. */
static void make(const char *directory, const char *name, enum how how, unsigned ended_s, bool mapped,
                 bool other_boot) {
    struct af_ledger *ledger = make_ledger(directory, own(name));
    ledger->pid = how == LIVES ? getpid() : gone_pid();
    ledger->started = seconds_ago(3600);
    if (how != NONE) {
        struct af_process *p = af_ledger_process(made_map(ledger), make_process(ledger, ledger->pid));
        p->started = ledger->started;
        p->ended = how == ENDED ? AF_EXITED : AF_RUNNING;
        p->ended_at = how == ENDED ? seconds_ago(ended_s) : 0;
    }
    if (other_boot)
        memcpy(ledger->boot_id, "01234567", 8);
    if (!mapped)
        munmap(ledger, ledger->size);
}

static const struct {
    const char *name;
    enum how how;
    unsigned ended_s;
    bool mapped, other_boot, aged_goes, clean_goes;
} ledgers[] = {
    { "old.ledger", ENDED, 301, false, false, true, true },
    { "young.ledger", ENDED, 200, false, false, false, true },
    { "lives.ledger", LIVES, 0, false, false, false, false },
    { "killed.ledger", KILLED, 0, false, false, false, true },
    { "mapped.ledger", ENDED, 301, true, false, false, false },
    { "boot.ledger", LIVES, 0, false, true, true, true },
    { "empty.ledger", NONE, 0, false, false, true, true },
};

static bool is_there(const char *directory, const char *name) {
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return lstat(path, &st) == 0;
}

/* Beside the ledgers: what nobody may touch. */
static void fill(const char *directory) {
    char path[512];
    const char *elsewhere = new_directory();
    for (size_t i = 0; i < ROWS(ledgers); i++)
        make(directory, ledgers[i].name, ledgers[i].how, ledgers[i].ended_s, ledgers[i].mapped, ledgers[i].other_boot);
    make(elsewhere, "old.ledger", ENDED, 301, false, false);
    snprintf(path, sizeof path, "ln -s %s/%s %s/link.ledger; ln -s %s %s/run-1-0", elsewhere, own("old.ledger"),
             directory, elsewhere, directory);
    cr_assert_eq(shell("%s; cd %s && cp %s ledger.txt && echo notes >notes.ledger && mkdir dir.ledger && "
                       "mkfifo fifo.ledger",
                       path, directory, own("young.ledger"))
                     .status,
                 0);
}

static void expect_left(const char *directory, bool clean, const char *what) {
    static const char *const others[] = { "link.ledger", "ledger.txt", "notes.ledger", "dir.ledger", "fifo.ledger" };
    char below[64];
    for (size_t i = 0; i < ROWS(ledgers); i++)
        cr_expect_eq(is_there(directory, own(ledgers[i].name)), !(clean ? ledgers[i].clean_goes : ledgers[i].aged_goes),
                     "%s: %s", what, ledgers[i].name);
    for (size_t i = 0; i < ROWS(others); i++)
        cr_expect(is_there(directory, others[i]), "%s: %s", what, others[i]);
    snprintf(below, sizeof below, "run-1-0/%s", own("old.ledger"));
    cr_expect(is_there(directory, below), "%s: %s", what, below);
}

Test(report_write, clean_removes_ledgers_of_the_gone_and_nothing_else) {
    ns_enter();
    const char *directory = new_directory();
    fill(directory);
    struct ended e = command(NULL, "report", "-d", directory, NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    for (size_t i = 0; i < ROWS(ledgers); i++)
        cr_expect(is_there(directory, own(ledgers[i].name)), "%s: only --clean does", ledgers[i].name);
    e = command(NULL, "report", "-d", directory, "--clean", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect(strstr(e.err, "report: removed 5 ledgers\n"), "%s", e.err);
    expect_left(directory, true, "clean");
}

/* The default directory is cleaned, and counted only where no log is named. */
Test(report_write, clean_with_a_log_counts_that_log_alone) {
    const char *log = scratch_path();
    char *home;
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_assert_gt(asprintf(&home, "%s.d", log), 0);
    struct ended e =
        shell("mkdir -m 700 %s; export XDG_RUNTIME_DIR=%s; AFTERFIN_LEDGER=on AFTERFIN_LOG=%s build/afterfin "
              "run -q -- %s 127.0.0.1 %u -n 3; build/afterfin report --json; "
              "AFTERFIN_LEDGER=on build/afterfin run -q -- %s 127.0.0.1 %u -n 5; "
              "build/afterfin report --json --clean %s; build/afterfin report --json; rm -r %s",
              home, home, log, victim_path("connect_close"), peer.port, victim_path("connect_close"), peer.port, log,
              home);
    cr_expect(strstr(command(NULL, "report", "--help", NULL).out, "with LOG too"), "and that is said");
    static const long expected[] = { 3, 3, 0 };
    const char *at = e.out;
    for (size_t i = 0; i < 3; i++) {
        at = strstr(at, "\"totals\"");
        cr_assert(at, "%zu: %s%s", i, e.out, e.err);
        const char *connects = strstr(at, "\"connects\": ");
        cr_expect(connects && atol(connects + 12) == expected[i], "report %zu: %s", i, at);
        at++;
    }
    unlink(log);
}

Test(report_write, clean_after_some_seconds_leaves_what_is_younger) {
    ns_enter();
    const char *directory = new_directory();
    fill(directory);
    struct ended e = command(NULL, "report", "-d", directory, "--clean=300", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    expect_left(directory, false, "clean=300");
}

Test(report_write, every_command_tidies_the_default_directory) {
    static const char *const commands[][3] = { { "who", NULL, NULL },
                                               { "report", NULL, NULL },
                                               { "run", "-q", "true" } };
    ns_enter();
    const char *directory = own_default();
    for (size_t i = 0; i < ROWS(commands); i++) {
        cr_assert_eq(shell("rm -rf %s; mkdir -m 700 %s", directory, directory).status, 0);
        fill(directory);
        const char *json = strcmp(commands[i][0], "run") == 0 ? "--json=/dev/null" : NULL;
        struct ended e = json ? command(NULL, "run", "-q", json, "true", NULL) : command(NULL, commands[i][0], NULL);
        cr_expect_eq(e.status, 0, "%s: %s", commands[i][0], e.err);
        expect_left(directory, false, commands[i][0]);
    }
}

/* Nobody wrote down when it died: five minutes from being found dead, by the file's own times. */
Test(report_write, a_killed_process_has_five_minutes_from_being_found) {
    ns_enter();
    const char *directory = own_default();
    char path[256];
    struct stat st;
    make(directory, "killed.ledger", KILLED, 0, false, false);
    cr_assert_eq(command(NULL, "report", NULL).status, 0);
    snprintf(path, sizeof path, "%s/%s", directory, own("killed.ledger"));
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0222, 0, "found dead: nobody is to write there any more");
    cr_assert_eq(command(NULL, "report", NULL).status, 0);
    cr_expect(is_there(directory, own("killed.ledger")));
}
