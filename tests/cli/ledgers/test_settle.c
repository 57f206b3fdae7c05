/* Collected ledgers against made-up kernels: the latest record counts, and who is shown what. */
#include "cli/ledgers/settle.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/harness.h"
#include "tests/harness/shell.h"

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

/* What `time_wait_to` adds up to, as long as nothing is beyond its end. */
static unsigned to_endpoints(const struct af_row *row) {
    unsigned sum = 0;
    for (uint32_t i = 0; i < row->n_top; i++)
        sum += row->top[i].count;
    return sum;
}

static uint64_t settle(struct af_collection *c, const struct af_kernel_socket *sockets, size_t n) {
    const struct af_kernel_sockets kernel = { (struct af_kernel_socket *)sockets, n,
                                              AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2 };
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
        { "handed over", { 1, AF_END_PASSED }, { 2, AF_END_TIME_WAIT }, false, "1 0 0 0 0 1 0 0", "1 1 0 0 0 0 0 1" },
        { "sent, and thought to be ended",
          { 1, AF_END_TIME_WAIT },
          { 2, AF_END_TIME_WAIT },
          false,
          "1 0 0 0 0 1 0 0",
          "1 1 0 0 0 0 0 1" },
        { "the receiver let go first",
          { 5, AF_END_TIME_WAIT },
          { 2, AF_END_PASSIVE },
          false,
          "1 1 0 0 0 0 0 1",
          "0 0 0 0 0 0 0 0" },
        { "handed over and ended in one moment",
          { 2, AF_END_PASSED },
          { 2, AF_END_AVOIDED },
          false,
          "1 0 0 0 0 1 0 0",
          "1 0 1 0 0 0 0 1" },
        { "ended, but still open", { 1, AF_END_TIME_WAIT }, { 0, 0 }, true, "1 0 0 0 0 1 0 0", "0 0 0 0 0 0 0 0" },
        { "handed to a stranger, or to nobody",
          { 1, AF_END_PASSED },
          { 0, 0 },
          false,
          "1 1 0 0 0 0 0 1",
          "0 0 0 0 0 0 0 0" },
        { "handed on twice, the second time to nobody",
          { 1, AF_END_PASSED },
          { 2, AF_END_PASSED },
          false,
          "1 0 0 0 0 1 0 0",
          "1 1 0 0 0 0 0 1" },
        { "handed to a stranger who has it",
          { 1, AF_END_PASSED },
          { 0, 0 },
          true,
          "1 0 0 0 0 1 0 0",
          "0 0 0 0 0 0 0 0" },
        { "aborted, the kernel says otherwise",
          { 1, AF_END_ABORTED },
          { 0, 0 },
          false,
          "1 0 0 0 1 0 0 1",
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
        if (rows[i].opener.counted == AF_END_TIME_WAIT)
            af_ledger_count_endpoint(made_map(a), opener, &made_peer, false, 1);
        if (rows[i].other.counted == AF_END_TIME_WAIT)
            af_ledger_count_endpoint(made_map(b), other, &made_peer, false, 1);
        if (rows[i].other.at) {
            const int own = rows[i].other.counted !=
                            AF_END_PASSED; /* to pass on what came from elsewhere counts nothing */
            make_count(b, other, AF_COUNT_established, own);
            make_count(b, other, counter[rows[i].other.counted], own);
            make_closed(b, COOKIE, rows[i].other.at, other, AF_NO_SLOT, rows[i].other.counted);
        }
        struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        if (rows[i].open)
            socket = (struct af_kernel_socket){ .cookie = COOKIE, .state = AF_IN_ESTABLISHED, .inode = 1 };
        struct af_collection c = collected(directory);
        settle(&c, &socket, 1);
        cr_expect_str_eq(summary(&c, OPENER), rows[i].opener_is, "%s: %s", rows[i].name, summary(&c, OPENER));
        cr_expect_str_eq(summary(&c, OTHER), rows[i].other_is, "%s: %s", rows[i].name, summary(&c, OTHER));
        for (size_t n = 0; n < c.n_rows; n++)
            cr_expect_eq(to_endpoints(&c.rows[n]), c.rows[n].seen.count[AF_COUNT_time_wait], "%s: process %d: %u",
                         rows[i].name, c.rows[n].seen.pid, to_endpoints(&c.rows[n]));
        af_collection_free(&c);
    }
}

/* Who only passes it on may be the last to let go of it: the receiver's end becomes his, with or without a TIME_WAIT. */
Test(settle, leaves_the_end_to_a_middleman_who_let_go_last) {
    enum { MIDDLEMAN = 30 };
    static const enum af_ending ends[] = { AF_END_AVOIDED, AF_END_PASSIVE, AF_END_ABORTED, AF_END_TIME_WAIT };
    static const char *const becomes[] = { "1 0 1 0 0 0 0 0", "1 0 0 1 0 0 0 0", "1 0 0 0 1 0 0 0", "1 1 0 0 0 0 0 1" };
    static const enum af_counter counter[] = { AF_COUNT_avoided, AF_COUNT_passive, AF_COUNT_aborted,
                                               AF_COUNT_time_wait };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const bool waits = ends[i] == AF_END_TIME_WAIT;
        const struct af_kernel_socket left = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger"), *b = make_ledger(directory, "b.ledger"),
                         *m = make_ledger(directory, "m.ledger");
        const uint32_t opener = make_process(a, OPENER), other = make_process(b, OTHER);
        const uint32_t middleman = make_process(m, MIDDLEMAN);
        make_count(a, opener, AF_COUNT_established, 1);
        make_count(a, opener, AF_COUNT_passed, 1);
        make_count(b, other, AF_COUNT_established, 1);
        make_count(b, other, counter[i], 1);
        if (waits)
            af_ledger_count_endpoint(made_map(b), other, &made_peer, false, 1);
        make_closed(a, COOKIE, 1, opener, opener, AF_END_PASSED);
        make_closed(b, COOKIE, 2, other, AF_NO_SLOT, ends[i]);
        make_closed(m, COOKIE, 3, middleman, AF_NO_SLOT, AF_END_PASSED);
        struct af_collection c = collected(directory);
        settle(&c, &left, waits);
        cr_expect_str_eq(summary(&c, OPENER), "1 0 0 0 0 1 0 0", "%zu: %s", i, summary(&c, OPENER));
        cr_expect_str_eq(summary(&c, OTHER), "0 0 0 0 0 0 0 0", "%zu: %s", i, summary(&c, OTHER));
        cr_expect_str_eq(summary(&c, MIDDLEMAN), becomes[i], "%zu: %s", i, summary(&c, MIDDLEMAN));
        cr_expect_eq(to_endpoints(row_of(&c, MIDDLEMAN)), (unsigned)waits);
        af_collection_free(&c);
    }
}

/* Beside nine others that are its own to keep. */
Test(settle, moves_an_endpoint_with_the_end_however_many_there_are) {
    const char *directory = new_directory();
    struct af_ledger *a = make_ledger(directory, "a.ledger"), *b = make_ledger(directory, "b.ledger");
    uint32_t opener = make_process(a, OPENER), other = make_process(b, OTHER);
    for (uint8_t i = 0; i < 10; i++) {
        const struct af_addr peer = i == 9 ? made_peer : (struct af_addr){ .ip = { 10, 0, 1, i }, .port = 80 };
        for (int n = i == 9 ? 3 : i + 4; n > 0; n--)
            af_ledger_count_endpoint(made_map(a), opener, &peer, false, 1);
    }
    make_count(a, opener, AF_COUNT_established, 75);
    make_count(a, opener, AF_COUNT_time_wait, 75);
    make_count(b, other, AF_COUNT_established, 3);
    make_count(b, other, AF_COUNT_time_wait, 3);
    af_ledger_count_endpoint(made_map(b), other, &made_peer, false, 3);
    for (uint64_t i = 1; i <= 3; i++) {
        make_closed(a, i, 1, opener, opener, AF_END_TIME_WAIT);
        make_closed(b, i, 2, other, AF_NO_SLOT, AF_END_TIME_WAIT);
    }
    struct af_collection c = collected(directory);
    cr_assert_eq(row_of(&c, OPENER)->n_endpoints, 10);
    settle(&c, NULL, 0);
    const struct af_row *row = row_of(&c, OPENER);
    cr_expect_str_eq(summary(&c, OPENER), "75 72 0 0 0 3 0 0", "%s", summary(&c, OPENER));
    cr_expect_eq(row->n_endpoints, 9, "%u", row->n_endpoints);
    cr_expect_eq(row->n_top, 8);
    cr_expect_eq(row->top[0].count, 12, "%u", row->top[0].count);
    cr_expect_eq(row->top[7].count, 5, "%u", row->top[7].count);
    cr_expect_eq(to_endpoints(row_of(&c, OTHER)), 3);
    af_collection_free(&c);
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

/* ---- whatever cookies there are ----------------------------------------------------------------------------- */

static uint64_t in_turn(size_t i) {
    return i + 1;
}

static uint64_t by_processors(size_t i) {
    return 1 + 1000 * (i % 1000) + i / 1000 + (i > 2000) * UINT64_C(5000000);
}

static uint64_t squares(size_t i) {
    return (uint64_t)i * i * i + 1;
}

static uint64_t doubling(size_t i) {
    return i < 63 ? UINT64_C(2) << i : UINT64_MAX - 5000 + i;
}

static uint64_t forged(size_t i) {
    return i ? UINT64_MAX - 9000 + 2 * i : 3;
}

static uint64_t alike(size_t i) {
    return 8 + i / 1000;
}

static int ascending(const void *a, const void *b) {
    const struct af_closing *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

Test(settle, finds_each_connection_whatever_the_cookies_are) {
    static uint64_t (*const kinds[])(size_t) = { in_turn, by_processors, squares, doubling, forged, alike };
    enum { N = 3000 };
    for (size_t kind = 0; kind < ROWS(kinds); kind++) {
        struct af_row rows[N] = { 0 };
        struct af_closing closings[N];
        struct af_collection c = { .rows = rows, .n_rows = N, .closings = closings, .n_closings = N };
        for (size_t i = 0; i < N; i++)
            closings[i] = (struct af_closing){ .cookie = kinds[kind](i), .counted = AF_END_TIME_WAIT };
        qsort(closings, N, sizeof *closings, ascending);
        for (size_t i = 0; i < N; i++)
            closings[i].row = i;
        for (size_t i = 0; i < N; i++) {
            const uint64_t cookie = closings[i].cookie;
            const size_t row = af_settle_owner(&c, cookie).row;
            cr_assert(row < N && closings[row].cookie == cookie && (!row || closings[row - 1].cookie < cookie),
                      "kind %zu: cookie %llu, row %zu", kind, (unsigned long long)cookie, row);
            if (i + 1 < N && closings[i + 1].cookie > cookie + 1)
                cr_assert_eq(af_settle_owner(&c, cookie + 1).row, AF_NO_ROW, "kind %zu: %zu", kind, i);
        }
        cr_expect_eq(af_settle_owner(&c, closings[0].cookie - 1).row, AF_NO_ROW, "kind %zu", kind);
        cr_expect_eq(af_settle_owner(&c, closings[N - 1].cookie + 1).row, AF_NO_ROW, "kind %zu", kind);
    }
}

/* ---- who was killed ------------------------------------------------------------------------------------------ */

/* Connection 7 is in no ring: whoever had it was killed. */
static void make_live(struct af_ledger *ledger, uint32_t owner, uint32_t holder, enum af_conn_state state,
                      uint32_t flags) {
    struct af_connection *conn = af_ledger_connection(made_map(ledger), af_ledger_take_block(made_map(ledger)));
    conn->cookie = COOKIE;
    conn->owner = owner;
    conn->holder = holder;
    conn->state = state;
    conn->flags = flags;
    conn->peer = (struct af_addr){ .ip = { 10, 0, 0, 5 }, .port = 443 };
}

/* Of the same process; whatever became of it is in no dump. */
static void make_another(struct af_ledger *ledger, uint32_t owner, enum af_conn_state state) {
    struct af_connection *conn = af_ledger_connection(made_map(ledger), af_ledger_take_block(made_map(ledger)));
    conn->cookie = COOKIE + 1;
    conn->owner = conn->holder = owner;
    conn->state = state;
}

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
        { "never connected", AF_CONN_NEW, OPENER, OPENER, "1 0 0 0 0 0 1 0", "0 0 0 0 0 0 0 0" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t opener = make_process(a, OPENER), other = make_process(a, OTHER);
        make_count(a, opener, AF_COUNT_established, 1);
        make_live(a, rows[i].owner == OPENER ? opener : AF_NO_SLOT, rows[i].holder == OPENER ? opener : other,
                  rows[i].state, 0);
        const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        struct af_collection c = collected(directory);
        cr_expect_eq(settle(&c, &socket, 1), rows[i].state != AF_CONN_NEW, "%s", rows[i].name);
        cr_expect_str_eq(summary(&c, OPENER), rows[i].opener_is, "%s: %s", rows[i].name, summary(&c, OPENER));
        cr_expect_str_eq(summary(&c, OTHER), rows[i].other_is, "%s: %s", rows[i].name, summary(&c, OTHER));
        af_collection_free(&c);
    }
}

/* Killed before its end was counted; after that, but before its record went; or later, with one that another process had of
 * the same connection still there. It has another that is open beside it, or none. */
Test(settle, counts_an_end_once_whenever_its_process_was_killed) {
    enum { KILLED = 4000000, CASES = 6 };
    for (uint32_t i = 0; i < CASES; i++) {
        const uint32_t beside = i % 2, counted = i / 2 > 0, gone = i / 2 > 1;
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t killed = make_process(a, KILLED), other = make_process(a, OTHER);
        af_ledger_process(made_map(a), killed)->ended = AF_RUNNING;
        make_count(a, killed, AF_COUNT_established, 1 + beside);
        make_count(a, killed, AF_COUNT_time_wait, counted);
        make_live(a, killed, gone ? other : killed, gone ? AF_CONN_INHERITED : AF_CONN_OPEN, 0);
        if (beside)
            make_another(a, killed, AF_CONN_OPEN);
        const struct af_closed closed = { .cookie = COOKIE,
                                          .at = 1,
                                          .slot = killed,
                                          .owner = killed,
                                          .peer = made_peer,
                                          .counted = AF_END_TIME_WAIT,
                                          .record = gone ? 77 : 1 };
        af_ledger_append(made_map(a), &closed);
        const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        struct af_collection c = collected(directory);
        cr_expect_eq(settle(&c, &socket, 1), 1);
        const char *is = beside ? "2 1 0 0 0 0 1 1" : "1 1 0 0 0 0 0 1";
        cr_expect_str_eq(summary(&c, KILLED), is, "case %u: %s", i, summary(&c, KILLED));
        cr_expect_str_eq(summary(&c, OTHER), "0 0 0 0 0 0 0 0", "case %u: %s", i, summary(&c, OTHER));
        af_collection_free(&c);
    }
}

/* Killed after it was counted and before its record says so, or before both; it has another that is open, or none. */
Test(settle, counts_a_connection_once_whenever_its_process_was_killed) {
    enum { KILLED = 4000000, CASES = 4 };
    for (uint32_t i = 0; i < CASES; i++) {
        const uint32_t beside = i % 2, counted = i / 2;
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t killed = make_process(a, KILLED);
        af_ledger_process(made_map(a), killed)->ended = AF_RUNNING;
        make_count(a, killed, AF_COUNT_established, counted + beside);
        make_live(a, killed, killed, AF_CONN_PENDING, 0);
        if (beside)
            make_another(a, killed, AF_CONN_OPEN);
        const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
        struct af_collection c = collected(directory);
        cr_expect_eq(settle(&c, &socket, 1), 1);
        const char *is = beside ? "2 1 0 0 0 0 1 1" : "1 1 0 0 0 0 0 1";
        cr_expect_str_eq(summary(&c, KILLED), is, "case %u: %s", i, summary(&c, KILLED));
        af_collection_free(&c);
    }
}

/* What is not in TIME_WAIT: the kernel's state, or its silence, and what was set on the connection. */
Test(settle, tells_how_a_killed_programs_connection_ended_from_the_kernel_and_its_flags) {
    static const struct {
        const char *name;
        uint32_t flags, state, inode; /* state 0: the kernel has forgotten it */
        bool partly;                  /* the dump is not of all states */
        const char *is;
        unsigned guessed;
    } rows[] = {
        { "in nobody's sight", 0, 0, 0, false, "1 0 0 1 0 0 0 0", 1 },
        { "perhaps in a state not asked for", 0, 0, 0, true, "1 0 0 0 0 0 1 0", 0 },
        { "linger=ack", AF_FLAG_ACK, 0, 0, false, "1 0 1 0 0 0 0 0", 0 },
        { "linger=ack, FINs crossed", AF_FLAG_ACK, AF_IN_TIME_WAIT, 0, false, "1 1 0 0 0 0 0 1", 0 },
        { "linger=ack, on its way", AF_FLAG_ACK, AF_IN_FIN_WAIT1, 0, false, "1 0 1 0 0 0 0 0", 0 },
        { "linger=ack, crossing", AF_FLAG_ACK, AF_IN_CLOSING, 0, false, "1 1 0 0 0 0 0 0", 0 },
        { "the program's own linger 0", AF_FLAG_ABORTS, 0, 0, false, "1 0 0 0 1 0 0 0", 0 },
        { "shut down after the peer", AF_FLAG_FIN_SECOND | AF_FLAG_ACK, 0, 0, false, "1 0 0 1 0 0 0 0", 0 },
        { "shut down first, and expired", AF_FLAG_FIN_FIRST, 0, 0, false, "1 1 0 0 0 0 0 0", 0 },
        { "still closing", 0, AF_IN_FIN_WAIT1, 0, false, "1 1 0 0 0 0 0 0", 0 },
        { "the peer went first", 0, AF_IN_LAST_ACK, 0, false, "1 0 0 1 0 0 0 0", 0 },
        { "an orphan in FIN_WAIT2", 0, AF_IN_FIN_WAIT2, 0, false, "1 1 0 0 0 0 0 1", 0 },
        { "open in another program", 0, AF_IN_ESTABLISHED, 9, false, "1 0 0 0 0 1 0 0", 0 },
        { "MPTCP has another cookie", AF_FLAG_MPTCP, 0, 0, false, "1 0 0 0 0 0 1 0", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct af_ledger *a = make_ledger(directory, "a.ledger");
        uint32_t opener = make_process(a, OPENER);
        make_count(a, opener, AF_COUNT_established, 1);
        make_live(a, opener, opener, AF_CONN_OPEN, rows[i].flags);
        struct af_kernel_socket socket = { .cookie = COOKIE, .state = rows[i].state, .inode = rows[i].inode };
        struct af_kernel_sockets kernel = { &socket, rows[i].state != 0, rows[i].partly ? AF_IN_TIME_WAIT : AF_IN_ANY };
        struct af_collection c = collected(directory);
        af_settle_records(&c);
        af_settle_kernel(&c, &kernel, 0);
        cr_expect_str_eq(summary(&c, OPENER), rows[i].is, "%s: %s", rows[i].name, summary(&c, OPENER));
        cr_expect_eq(row_of(&c, OPENER)->guessed, rows[i].guessed, "%s", rows[i].name);
        af_collection_free(&c);
    }
}

/* A program opened it and started another, which inherited it; then one after the other was killed. */
Test(settle, lets_the_youngest_of_several_killed_programs_have_left_it) {
    const char *directory = new_directory();
    struct af_ledger *a = make_ledger(directory, "a.ledger"), *b = make_ledger(directory, "b.ledger");
    uint32_t opener = make_process(a, OPENER), other = make_process(b, OTHER);
    b->started = a->started + 1;
    make_count(a, opener, AF_COUNT_established, 1);
    make_live(a, opener, opener, AF_CONN_OPEN, 0);
    make_live(b, AF_NO_SLOT, other, AF_CONN_INHERITED, 0);
    const struct af_kernel_socket socket = { .cookie = COOKIE, .state = AF_IN_TIME_WAIT };
    struct af_collection c = collected(directory);
    cr_assert_eq(settle(&c, &socket, 1), 1);
    cr_assert_str_eq(summary(&c, OPENER), "1 0 0 0 0 1 0 0", "%s", summary(&c, OPENER));
    cr_assert_str_eq(summary(&c, OTHER), "1 1 0 0 0 0 0 1", "%s", summary(&c, OTHER));
    cr_assert_eq(row_of(&c, OTHER)->n_top, 1);
    cr_assert_eq(row_of(&c, OTHER)->top[0].addr.port, 443);
    af_collection_free(&c);

    make_count(b, other, AF_COUNT_established, 1);
    make_count(b, other, AF_COUNT_passive, 1);
    make_closed(b, COOKIE, 9, other, AF_NO_SLOT, AF_END_PASSIVE);
    c = collected(directory);
    cr_assert_eq(settle(&c, &socket, 0), 0);
    cr_assert_str_eq(summary(&c, OPENER), "1 0 0 0 0 1 0 0", "the heir closed it: %s", summary(&c, OPENER));
    cr_assert_str_eq(summary(&c, OTHER), "1 0 0 1 0 0 0 0", "%s", summary(&c, OTHER));
    af_collection_free(&c);
}

Test(settle, leaves_open_what_a_living_program_has_unless_the_kernel_says_that_it_has_ended) {
    static const struct {
        struct af_kernel_socket socket;
        const char *is;
    } rows[] = {
        { { .cookie = COOKIE, .state = AF_IN_ESTABLISHED, .inode = 9 }, "1 0 0 0 0 0 1 0" },
        { { .cookie = COOKIE + 1, .state = AF_IN_TIME_WAIT }, "1 0 0 0 0 0 1 0" }, /* closed since we read */
        { { .cookie = COOKIE, .state = AF_IN_TIME_WAIT }, "1 1 0 0 0 0 0 1" },
    };
    const char *directory = new_directory();
    struct af_ledger *a = make_ledger(directory, "a.ledger");
    uint32_t slot = make_process(a, getpid());
    af_ledger_process(made_map(a), slot)->ended = AF_RUNNING;
    make_count(a, slot, AF_COUNT_established, 1);
    make_live(a, slot, slot, AF_CONN_OPEN, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct af_kernel_sockets kernel = { (struct af_kernel_socket *)&rows[i].socket, 1, AF_IN_ANY };
        struct af_collection c = collected(directory);
        cr_assert(af_collection_runs(&c));
        af_settle_records(&c);
        af_settle_kernel(&c, &kernel, 0);
        cr_expect_str_eq(summary(&c, getpid()), rows[i].is, "row %zu: %s", i, summary(&c, getpid()));
        af_collection_free(&c);
    }
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
        { AF_EXITED, getpid(), 0, AF_FATE_EXIT },
        { AF_EXECED, getpid(), 0, AF_FATE_EXEC },
        { AF_RUNNING, getpid(), 0, AF_FATE_RUNNING },
        { AF_RUNNING, getpid(), 1, AF_FATE_SIGNAL },
        { AF_RUNNING, getpid(), UINT64_MAX, AF_FATE_RUNNING },
        { AF_RUNNING, zombie, 0, AF_FATE_SIGNAL },
        { AF_RUNNING, 0x3ffffff, 0, AF_FATE_SIGNAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int foreign = 0; foreign < 2; foreign++) { /* by /proc/PID, and by searching */
            const char *directory = new_directory();
            struct af_ledger *a = make_ledger(directory, "a.ledger");
            struct af_process *p = af_ledger_process(made_map(a), make_process(a, rows[i].pid));
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
