/* Collected ledgers against made-up kernels: the latest record counts, and who is shown what. */
#include "cli/settle.h"
#include "tests/fabricate.h"
#include "tests/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct af_collection collected(const char *directory) {
    struct af_collection c;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    af_collect(&c, fd);
    close(fd);
    return c;
}

static const struct af_row *row_of(const struct af_collection *c, int32_t pid) {
    for (size_t i = 0; i < c->n_rows; i++)
        if (c->rows[i].seen.pid == pid)
            return &c->rows[i];
    give_up("no process %d", pid);
    return NULL;
}

/* Counts as "established time_wait avoided passive aborted passed open confirmed". */
static const char *summary(const struct af_collection *c, int32_t pid) {
    static char text[128];
    const struct af_row *row = row_of(c, pid);
    const uint64_t *n = row->seen.count;
    snprintf(text, sizeof text, "%d %d %d %d %d %d %d %d", (int)n[AF_COUNT_established], (int)n[AF_COUNT_time_wait],
             (int)n[AF_COUNT_avoided], (int)n[AF_COUNT_passive], (int)n[AF_COUNT_aborted], (int)n[AF_COUNT_passed],
             (int)af_seen_open(n), (int)row->confirmed);
    return text;
}

static uint64_t settle(struct af_collection *c, const struct af_kernel_socket *sockets, size_t n) {
    const struct af_kernel_sockets kernel = { (struct af_kernel_socket *)sockets, n };
    af_settle_records(c);
    return af_settle_kernel(c, &kernel, 0);
}

/* Ten and twenty are processes of two programs; both had a hand in connection 7. */
enum { OPENER = 10, OTHER = 20, COOKIE = 7 };

Test(settle, lets_the_latest_of_several_records_count) {
    static const struct {
        const char *name;
        struct {
            uint64_t at;
            enum af_ending counted;
        } opener, other;
        bool open; /* the kernel shows it open, else in TIME_WAIT */
        const char *opener_is, *other_is;
    } rows[] = {
        { "ended by its opener", { 1, AF_END_TIME_WAIT }, { 0, 0 }, false, "1 1 0 0 0 0 0 1", "0 0 0 0 0 0 0 0" },
        { "handed over", { 1, AF_END_PASSED }, { 2, AF_END_TIME_WAIT }, false, "1 0 0 0 0 1 0 0",
          "1 1 0 0 0 0 0 1" },
        { "sent, and thought to be ended", { 1, AF_END_TIME_WAIT }, { 2, AF_END_TIME_WAIT }, false,
          "1 0 0 0 0 1 0 0", "1 1 0 0 0 0 0 1" },
        { "the receiver let go first", { 5, AF_END_TIME_WAIT }, { 2, AF_END_PASSIVE }, false, "1 1 0 0 0 0 0 1",
          "0 0 0 0 0 0 0 0" },
        { "handed over and ended in one moment", { 2, AF_END_PASSED }, { 2, AF_END_AVOIDED }, false,
          "1 0 0 0 0 1 0 0", "1 0 1 0 0 0 0 1" },
        { "ended, but still open", { 1, AF_END_TIME_WAIT }, { 0, 0 }, true, "1 0 0 0 0 1 0 0", "0 0 0 0 0 0 0 0" },
        { "handed to a stranger", { 1, AF_END_PASSED }, { 0, 0 }, false, "1 0 0 0 0 1 0 0", "0 0 0 0 0 0 0 0" },
        { "aborted, the kernel says otherwise", { 1, AF_END_ABORTED }, { 0, 0 }, false, "1 0 0 0 1 0 0 1",
          "0 0 0 0 0 0 0 0" },
    };
    static const enum af_counter counter[] = {
        [AF_END_TIME_WAIT] = AF_COUNT_time_wait, [AF_END_AVOIDED] = AF_COUNT_avoided,
        [AF_END_PASSIVE] = AF_COUNT_passive,     [AF_END_ABORTED] = AF_COUNT_aborted,
        [AF_END_PASSED] = AF_COUNT_passed,
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger"), *b = make_ledger(directory, "b.ledger");
        uint32_t opener = make_process(a, OPENER), other = make_process(b, OTHER);
        make_count(a, opener, AF_COUNT_established, 1);
        make_count(a, opener, counter[rows[i].opener.counted], 1);
        make_closed(a, COOKIE, rows[i].opener.at, opener, opener, rows[i].opener.counted);
        if (rows[i].other.at) {
            make_count(b, other, AF_COUNT_established, 1);
            make_count(b, other, counter[rows[i].other.counted], 1);
            make_closed(b, COOKIE, rows[i].other.at, other, AF_NO_SLOT, rows[i].other.counted);
        }
        struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        if (rows[i].open)
            socket = (struct af_kernel_socket){ .cookie = COOKIE, .state = AF_IN_ESTABLISHED, .inode = 1 };
        struct af_collection c = collected(directory);
        settle(&c, &socket, 1);
        cr_expect_str_eq(summary(&c, OPENER), rows[i].opener_is, "%s: %s", rows[i].name, summary(&c, OPENER));
        cr_expect_str_eq(summary(&c, OTHER), rows[i].other_is, "%s: %s", rows[i].name, summary(&c, OTHER));
        af_collection_free(&c);
    }
}

Test(settle, attributes_what_the_kernel_books_as_time_wait_and_nothing_else) {
    static const struct {
        const char *name;
        struct af_kernel_socket socket;
        uint64_t attributed;
    } rows[] = {
        { "TIME_WAIT", { .cookie = COOKIE, .state = AF_IN_TIME_WAIT }, 1 },
        { "an orphan in FIN_WAIT2", { .cookie = COOKIE, .state = AF_IN_FIN_WAIT2 }, 1 },
        { "FIN_WAIT2 that is held", { .cookie = COOKIE, .state = AF_IN_FIN_WAIT2, .inode = 3 }, 0 },
        { "an orphan in FIN_WAIT1", { .cookie = COOKIE, .state = AF_IN_FIN_WAIT1 }, 0 },
        { "of no recorded process", { .cookie = COOKIE + 1, .state = AF_IN_TIME_WAIT }, 0 },
        { "cookie never read", { .cookie = 0, .state = AF_IN_TIME_WAIT }, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t slot = make_process(a, OPENER);
        make_count(a, slot, AF_COUNT_established, 2);
        make_count(a, slot, AF_COUNT_time_wait, 2);
        make_closed(a, COOKIE, 1, slot, slot, AF_END_TIME_WAIT);
        make_closed(a, 0, 1, slot, slot, AF_END_TIME_WAIT);
        struct af_collection c = collected(directory);
        cr_expect_eq(settle(&c, &rows[i].socket, 1), rows[i].attributed, "%s", rows[i].name);
        cr_expect_eq(row_of(&c, OPENER)->confirmed, rows[i].attributed, "%s", rows[i].name);
        af_collection_free(&c);
    }
}

/* Connection 7 is in no ring: whoever had it was killed. */
Test(settle, counts_what_a_killed_program_left_for_its_last_holder) {
    static const struct {
        const char *name;
        enum af_conn_state state;
        int owner, holder; /* OPENER, OTHER; 0: not of this program */
        const char *opener_is, *other_is;
    } rows[] = {
        { "its own", AF_CONN_OPEN, OPENER, OPENER, "1 1 0 0 0 0 0 1", "0 0 0 0 0 0 0 0" },
        { "a parent's", AF_CONN_OPEN, OPENER, OTHER, "1 0 0 0 0 1 0 0", "1 1 0 0 0 0 0 1" },
        { "inherited", AF_CONN_INHERITED, 0, OTHER, "1 0 0 0 0 0 1 0", "1 1 0 0 0 0 0 1" },
        { "connecting when last seen", AF_CONN_PENDING, OPENER, OPENER, "2 1 0 0 0 0 1 1", "0 0 0 0 0 0 0 0" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t opener = make_process(a, OPENER), other = make_process(a, OTHER);
        make_count(a, opener, AF_COUNT_established, 1);
        struct af_connection *conn = af_ledger_connection(a, af_ledger_claim_connection(a, always_backed));
        conn->cookie = COOKIE;
        conn->owner = rows[i].owner == OPENER ? opener : AF_NO_SLOT;
        conn->holder = rows[i].holder == OPENER ? opener : other;
        conn->state = rows[i].state;
        const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        struct af_collection c = collected(directory);
        cr_expect_eq(settle(&c, &socket, 1), 1, "%s", rows[i].name);
        cr_expect_str_eq(summary(&c, OPENER), rows[i].opener_is, "%s: %s", rows[i].name, summary(&c, OPENER));
        cr_expect_str_eq(summary(&c, OTHER), rows[i].other_is, "%s: %s", rows[i].name, summary(&c, OTHER));
        af_collection_free(&c);
    }
}

Test(settle, leaves_the_connections_of_a_living_program_to_it) {
    const char *directory = new_directory();
    struct af_ledger *a = make_ledger(directory, "a.ledger");
    uint32_t slot = make_process(a, getpid());
    af_ledger_process(a, slot)->ended = AF_RUNNING;
    struct af_connection *conn = af_ledger_connection(a, af_ledger_claim_connection(a, always_backed));
    conn->cookie = COOKIE;
    conn->owner = slot;
    conn->holder = slot;
    conn->state = AF_CONN_OPEN;
    const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
    struct af_collection c = collected(directory);
    cr_assert(af_collection_runs(&c));
    cr_assert_eq(settle(&c, &socket, 1), 0);
}

/* ---- collecting --------------------------------------------------------------------------------------------- */

Test(settle, tells_a_running_process_from_an_ended_a_killed_and_a_later_one_of_its_pid) {
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(0);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
    const struct {
        enum af_ended ended;
        int32_t pid;
        uint64_t ticks;
        enum af_fate fate;
    } rows[] = {
        { AF_EXITED, getpid(), 0, AF_FATE_EXIT },    { AF_EXECED, getpid(), 0, AF_FATE_EXEC },
        { AF_RUNNING, getpid(), 0, AF_FATE_RUNNING }, { AF_RUNNING, getpid(), 1, AF_FATE_SIGNAL },
        { AF_RUNNING, zombie, 0, AF_FATE_SIGNAL },   { AF_RUNNING, 0x3ffffff, 0, AF_FATE_SIGNAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int foreign = 0; foreign < 2; foreign++) { /* by /proc/PID, and by searching */
            const char *directory = new_directory();
            struct af_ledger *a = make_ledger(directory, "a.ledger");
            struct af_process *p = af_ledger_process(a, make_process(a, rows[i].pid));
            a->pid_ns += (uint64_t)foreign;
            p->ended = rows[i].ended;
            p->start_ticks = rows[i].ticks;
            struct af_collection c = collected(directory);
            cr_expect_eq(c.rows[0].fate, rows[i].fate, "row %zu: %d", i, c.rows[0].fate);
            af_collection_free(&c);
        }
    waitpid(zombie, NULL, 0);
}

Test(settle, collects_what_can_be_read_and_complains_of_the_rest) {
    const char *directory = new_directory();
    char path[512], inner[512];
    make_process(make_ledger(directory, "a.ledger"), 1);
    make_process(make_ledger(directory, "not-a-ledger"), 2);
    make_ledger(directory, "broken.ledger")->version = 9;
    snprintf(inner, sizeof inner, "%s/run-1-2", directory);
    snprintf(path, sizeof path, "%s/else", directory);
    cr_assert_eq(run("", "mkdir %s %s", inner, path).status, 0);
    make_process(make_ledger(inner, "b.ledger"), 3);
    make_process(make_ledger(path, "c.ledger"), 4);
    struct af_collection c = collected(directory);
    cr_assert_eq(c.n_rows, 2);
    cr_assert_eq(row_of(&c, 1)->seen.pid + row_of(&c, 3)->seen.pid, 4);
    cr_assert_eq(c.n_complaints, 1);
    cr_assert(strstr(c.complaints[0], "broken.ledger: a ledger of version 9"), "%s", c.complaints[0]);
    cr_assert_str_eq(c.images[row_of(&c, 3)->image].program, "made");
}
