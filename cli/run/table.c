/* The table that run prints when CMD has ended. */
#include "cli/kernel/sysctl.h"
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"
#include "cli/output/text.h"
#include "cli/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum column {
    PID,
    PROGRAM,
    USER,
    ENDED,
    CONNECTS,
    ACCEPTS,
    ESTABLISHED,
    TIME_WAIT,
    CONFIRMED,
    AVOIDED,
    PASSIVE,
    ABORTED,
    PASSED,
    OPEN,
    COLUMNS
};

static const struct af_column columns[COLUMNS] = {
    [PID] = { "PID", .rank = 9 },
    [PROGRAM] = { "PROGRAM", .text = true },
    [USER] = { "USER", .text = true, .optional = true, .rank = 12 },
    [ENDED] = { "ENDED", .text = true, .optional = true, .rank = 8 },
    [CONNECTS] = { "CONNECTS", .optional = true, .rank = 7 },
    [ACCEPTS] = { "ACCEPTS", .optional = true, .rank = 6 },
    [ESTABLISHED] = { "ESTAB", .rank = 3 },
    [TIME_WAIT] = { "TIME_WAIT", .rank = 0 },
    [CONFIRMED] = { "CONFIRMED", .rank = 1 },
    [AVOIDED] = { "AVOIDED", .optional = true, .rank = 2 },
    [PASSIVE] = { "PASSIVE", .optional = true, .rank = 4 },
    [ABORTED] = { "ABORTED", .optional = true, .rank = 5 },
    [PASSED] = { "PASSED", .optional = true, .rank = 11 },
    [OPEN] = { "OPEN", .optional = true, .rank = 10 },
};

static bool is_idle(const struct af_row *row) {
    for (int i = 0; i < AF_COUNTERS; i++)
        if (row->seen.count[i])
            return false;
    return row->seen.n_errors == 0 && row->confirmed == 0;
}

static char *number(uint64_t n) {
    return af_format("%llu", (unsigned long long)n);
}

static char *count(const struct af_counts *counts, enum af_counter which) {
    return counts->known & 1u << which ? number(counts->count[which]) : af_format("-");
}

static void put_counts(char **cells, const struct af_counts *counts) {
    cells[CONNECTS] = count(counts, AF_COUNT_connects);
    cells[ACCEPTS] = count(counts, AF_COUNT_accepts);
    cells[ESTABLISHED] = count(counts, AF_COUNT_established);
    cells[TIME_WAIT] = count(counts, AF_COUNT_time_wait);
    cells[AVOIDED] = count(counts, AF_COUNT_avoided);
    cells[PASSIVE] = count(counts, AF_COUNT_passive);
    cells[ABORTED] = count(counts, AF_COUNT_aborted);
    cells[PASSED] = count(counts, AF_COUNT_passed);
    cells[OPEN] = counts->known & AF_KNOWS_open ? number((uint64_t)counts->open) : af_format("-");
}

/* Adds one word, and frees what it is added to. */
static char *join(char *text, char *word) {
    char *both = af_format("%s %s", text, word);
    free(text);
    free(word);
    return both;
}

static void add_notes(struct af_table *table, const struct af_row *row) {
    if (row->seen.n_errors) {
        char *note = af_format("errors:");
        for (uint32_t i = 0; i < row->seen.n_errors; i++) {
            const struct af_seen_error *e = &row->seen.errors[i];
            note = join(note, af_format("%s:%s=%u", af_call_name(e->call), af_errno_name(e->error), e->count));
        }
        af_table_note(table, note);
    }
    if (row->n_top) {
        char *note = af_format("TIME_WAIT to:"), text[AF_ADDR_TEXT];
        for (uint32_t i = 0; i < row->n_top; i++) {
            af_endpoint_text(&row->top[i], text);
            note = join(note, af_format("%s=%u", text, row->top[i].count));
        }
        if (row->n_endpoints > row->n_top)
            note = join(note, af_format("and %u more", row->n_endpoints - row->n_top));
        af_table_note(table, note);
    }
    if (row->seen.sealed)
        af_table_note(table, af_format("installed a seccomp filter: its later closes were not looked at"));
    if (row->seen.sharers)
        af_table_note(table, af_format("counts %u more process%s: its ledger has no room for a row each",
                                       row->seen.sharers, af_plural(row->seen.sharers, "", "es")));
    if (row->seen.lost)
        af_table_note(table, af_format("%u connection%s found no room in its ledger", row->seen.lost,
                                       af_plural(row->seen.lost, " or endpoint", "s or endpoints")));
}

static void add_row(struct af_table *table, const struct af_result *r, const struct af_row *row) {
    struct af_counts counts = { .known = 0 };
    char **cells = af_table_row(table);
    af_counts_add(&counts, row->seen.count, af_seen_knows(&row->seen));
    cells[PID] = af_format("%d", (int)row->seen.pid);
    cells[PROGRAM] = af_format("%s", r->found.images[row->image].program);
    cells[USER] = af_user_name(r->found.images[row->image].uid);
    const bool unknown = row->seen.outside && row->fate == AF_FATE_SIGNAL && row->seen.pid != r->child.pid;
    cells[ENDED] = af_format("%s", row->fate == AF_FATE_EXIT || unknown ? "" : af_fate_name(row->fate));
    put_counts(cells, &counts);
    cells[CONFIRMED] = r->dumped && row->confirmable ? number(row->confirmed) : af_format("-");
    add_notes(table, row);
}

static void add_sum(struct af_table *table, char *name, const struct af_counts *counts, uint64_t confirmed,
                    bool confirmable) {
    char **cells = af_table_row(table);
    cells[PID] = af_format("%s", "");
    cells[PROGRAM] = name;
    cells[USER] = af_format("%s", "");
    cells[ENDED] = af_format("%s", "");
    put_counts(cells, counts);
    cells[CONFIRMED] = confirmable ? number(confirmed) : af_format("-");
}

static void add_total(struct af_table *table, const struct af_result *r) {
    struct af_counts counts;
    uint64_t confirmed;
    bool confirmable = false;
    af_result_totals(r, &counts, &confirmed);
    for (size_t i = 0; i < r->found.n_rows; i++)
        confirmable |= r->dumped && r->found.rows[i].confirmable;
    add_sum(table, af_format("total"), &counts, confirmed, confirmable);
}

/* ---- below the table -------------------------------------------------------------------------------------- */

static void say(size_t width, char *text) {
    af_print_wrapped(stderr, width, 0, text);
    free(text);
}

/* Their TIME_WAIT carries the cookie of a subflow, which no program can read. */
static unsigned long long count_mptcp(const struct af_result *r) {
    unsigned long long n = 0;
    for (size_t i = 0; i < r->found.n_closings; i++)
        n += r->found.closings[i].mptcp && r->found.closings[i].counted == AF_END_TIME_WAIT;
    return n;
}

/* What is to be seen from here; from malloc. What connects took over the kernel has counted, whoever's it was. */
static char *likely_cause(const struct af_result *r, unsigned long long missing) {
    enum { TIME_WAIT_S = 60 };
    const long most = (long)af_sysctl_value("net.ipv4.tcp_max_tw_buckets");
    if (r->taken_over > 0 && (unsigned long long)r->taken_over >= missing)
        return af_format("connects took over the ports of %lld (net.ipv4.tcp_tw_reuse), by the kernel's count",
                         (long long)r->taken_over);
    if (r->child.elapsed_s > TIME_WAIT_S)
        return af_format("they end after %d s, and the run took %.0f", TIME_WAIT_S, r->child.elapsed_s);
    if (most >= 0 && r->after >= (uint64_t)most)
        return af_format("no more are made than tcp_max_tw_buckets (%ld)", most);
    if (r->taken_over > 0)
        return af_format("connects took over the ports of %lld (net.ipv4.tcp_tw_reuse), by the kernel's count; of the "
                         "others both sides closed at once or the peer resets what is closed, most likely",
                         (long long)r->taken_over);
    if (r->resets > 0)
        return af_format("the peer resets what is closed, most likely");
    return af_format("both sides closed at once, most likely, or a peer elsewhere resets what is closed");
}

static void say_missing(const struct af_result *r, size_t width, unsigned long long missing) {
    unsigned long long mptcp = count_mptcp(r);
    mptcp = mptcp < missing ? mptcp : missing;
    if (mptcp)
        say(width, af_format("note: %llu in TIME_WAIT %s, which cannot be confirmed: the kernel keeps %s under another "
                             "cookie",
                             mptcp, af_plural(mptcp, "is an MPTCP connection", "are MPTCP connections"),
                             af_plural(mptcp, "it", "them")));
    if (missing > mptcp) {
        char *why = likely_cause(r, missing - mptcp);
        say(width, af_format("note: %llu counted in TIME_WAIT but not seen in the kernel's table: %s; afterfin(5) "
                             "has every cause",
                             missing - mptcp, why));
        free(why);
    }
}

/* Closed connections that a ring had no room for: of these nobody can say what became. */
static unsigned long long forgotten(const struct af_result *r) {
    unsigned long long lost = 0;
    for (size_t i = 0; i < r->found.n_images; i++)
        lost += r->found.images[i].lost;
    return lost;
}

static void say_difference(const struct af_result *r, size_t width) {
    unsigned long long missing = 0, extra = 0, elsewhere = 0;
    const unsigned long long lost = forgotten(r);
    for (size_t i = 0; i < r->found.n_rows; i++) {
        const struct af_row *row = &r->found.rows[i];
        uint64_t counted = row->seen.count[AF_COUNT_time_wait];
        if (!row->confirmable)
            elsewhere += counted;
        else if (counted > row->confirmed)
            missing += counted - row->confirmed;
        else
            extra += row->confirmed - counted;
    }
    say_missing(r, width, missing > lost ? missing - lost : 0);
    if (extra)
        say(width, af_format("note: %llu more in the kernel's table than were counted: FINs that crossed, both sides "
                             "having closed at once, or connections whose end the library could not see (raw system "
                             "calls, io_uring, dlmopen, libraries with a libc of their own: doctor PROGRAM names them)",
                             extra));
    if (r->contested)
        say(width, af_format("note: %llu TIME_WAIT %s claimed by ledgers of several users: confirmed for none of them",
                             (unsigned long long)r->contested, af_plural(r->contested, "is", "are")));
    if (elsewhere)
        say(width, af_format("note: %llu counted in another network namespace, which was not looked into", elsewhere));
}

/* "EFBIG (File too large)" */
static char *explain(const char *why) {
    for (int error = 1; error < 134; error++)
        if (strcmp(af_errno_name((uint32_t)error), why) == 0)
            return af_format("%s (%s)", why, strerror(error));
    return af_format("%s", why);
}

static void say_unkept(const struct af_result *r, size_t width) {
    char *why = r->found.n_unkept ? explain(r->found.unkept_why) : NULL;
    if (why)
        say(width, af_format("note: %zu process%s could not keep a ledger, and what %s left is not counted here: %s",
                             r->found.n_unkept, af_plural(r->found.n_unkept, "", "es"),
                             af_plural(r->found.n_unkept, "it", "they"), why));
    free(why);
}

static void say_rest(const struct af_result *r, size_t width) {
    if (r->child.unsupervised)
        say(width, af_format("note: the supervisor was killed: what came after that was neither treated nor counted"));
    unsigned long long lost = forgotten(r), guessed = 0;
    for (size_t i = 0; i < r->found.n_rows; i++)
        guessed += r->found.rows[i].guessed;
    if (guessed)
        say(width, af_format("note: %llu connection%s open when their process was killed, and the kernel has "
                             "them no more: counted as passive, though some may have been reset",
                             guessed, af_plural(guessed, " was", "s were")));
    if (lost)
        say(width, af_format("note: %llu closed connection%s too many for the ledger and cannot be confirmed", lost,
                             af_plural(lost, " was", "s were")));
    if (r->found.bad)
        say(width, af_format("note: %u record%s made no sense and %s left out", r->found.bad,
                             af_plural(r->found.bad, "", "s"), af_plural(r->found.bad, "was", "were")));
    for (size_t i = 0; i < r->found.n_complaints && i < AF_MOST_TOLD; i++)
        say(width, af_format("note: a ledger was left out: %s", r->found.complaints[i]));
    if (af_collection_untold(&r->found))
        say(width, af_format("note: and %zu more", af_collection_untold(&r->found)));
}

/* What is treated leaves no TIME_WAIT, and ends none of those that stand there. */
static void say_full(const struct af_result *r, size_t width) {
    char to[AF_ADDR_TEXT];
    if (!r->full.range)
        return;
    af_addr_text(&r->full.to.peer, to);
    say(width,
        af_format("note: connect found no port (EADDRNOTAVAIL): %u TIME_WAIT towards %s that others left hold the %u "
                  "local ports. A policy helps once they are gone: in 60 s at most, or by 'afterfin reap --peer "
                  "%s' (root)",
                  r->full.others, to, r->full.range, to));
}

static void say_kernel(const struct af_result *r, size_t width) {
    if (!r->dumped) {
        say(width, af_format("note: not confirmed, the kernel's table cannot be read: %s", r->why));
        return;
    }
    say(width,
        af_format("kernel: %llu TIME_WAIT before, %llu now, %llu of them left by these processes",
                  (unsigned long long)r->before, (unsigned long long)r->after, (unsigned long long)r->attributed));
    if (r->expired)
        say(width, af_format("kernel: %llu more %s seen in TIME_WAIT while CMD ran, and %s gone",
                             (unsigned long long)r->expired, af_plural(r->expired, "was", "were"),
                             af_plural(r->expired, "is", "are")));
    if (!r->settled)
        say(width, af_format("note: some connections are still closing"));
    say_difference(r, width);
    say_full(r, width);
}

static size_t count_listening(const struct af_result *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->found.n_rows; i++)
        n += r->found.rows[i].seen.listening;
    return n;
}

/* A CMD that only or skip leaves alone did perhaps use sockets; nobody looked. */
static void say_nothing(const struct af_result *r, size_t width) {
    const char *name = strrchr(r->command[0], '/');
    name = name ? name + 1 : r->command[0];
    const size_t listening = count_listening(r);
    say_unkept(r, width);
    if (!af_policy_touches(&r->settings->policy, name))
        say(width, af_format("afterfin: %s is left alone by only or skip, and no other process reported a TCP "
                             "socket",
                             name));
    else if (listening)
        say(width,
            af_format("afterfin: %zu process%s listened and made no connection; what was accepted is not counted "
                      "where a program is static",
                      listening, af_plural(listening, "", "es")));
    else if (!r->found.n_unkept)
        say(width,
            af_format("afterfin: no process reported a TCP socket%s",
                      r->settings->supervised ? "; what a static program accepts by a socket that it was started "
                                                "with is not seen"
                                              : ""));
    if (r->dumped && r->after > r->before)
        say(width,
            af_format("note: the kernel has %llu TIME_WAIT more than before: left by %s",
                      (unsigned long long)(r->after - r->before),
                      r->found.n_unkept ? "processes that could not keep a ledger, or by others"
                      : r->settings->supervised
                          ? "what was accepted, of which nothing is known where a program is static, or by others"
                          : "others, or by what the library cannot reach (static and setuid programs, sudo, "
                            "env -i, dlmopen, libraries with a libc of their own: doctor PROGRAM names them)"));
    if (r->dir.closed && !r->found.n_unkept)
        say(width, af_format("note: only root can reach %s: what has become another user before its first TCP socket "
                             "could not report there",
                             r->dir.path));
    say_rest(r, width);
}

/* ---- a screen of rows --------------------------------------------------------------------------------------- */

enum { MOST_ROWS = 40 };

static int by_start(const void *a, const void *b) {
    const struct af_row *x = *(const struct af_row *const *)a, *y = *(const struct af_row *const *)b;
    return x->seen.started < y->seen.started ? -1 : x->seen.started > y->seen.started;
}

static int by_weight(const void *a, const void *b) {
    const struct af_row *x = *(const struct af_row *const *)a, *y = *(const struct af_row *const *)b;
    static const int order[] = { AF_COUNT_time_wait, AF_COUNT_established, AF_COUNT_connect_errors };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (x->seen.count[order[i]] != y->seen.count[order[i]])
            return x->seen.count[order[i]] > y->seen.count[order[i]] ? -1 : 1;
    return by_start(a, b);
}

/* All that are not idle, by start; where they are more than MOST_ROWS those first that left most behind. */
static const struct af_row **rows_to_print(const struct af_result *r, size_t *n) {
    const struct af_row **rows = af_array(NULL, r->found.n_rows, sizeof *rows);
    *n = 0;
    for (size_t i = 0; i < r->found.n_rows; i++)
        if (!is_idle(&r->found.rows[r->order[i]]))
            rows[(*n)++] = &r->found.rows[r->order[i]];
    if (*n > MOST_ROWS) {
        qsort(rows, *n, sizeof *rows, by_weight);
        qsort(rows, MOST_ROWS, sizeof *rows, by_start);
    }
    return rows;
}

static void add_others(struct af_table *table, const struct af_result *r, const struct af_row **rows, size_t n) {
    struct af_counts counts = { .known = 0 };
    uint64_t confirmed = 0;
    bool confirmable = false;
    for (size_t i = 0; i < n; i++) {
        af_counts_add(&counts, rows[i]->seen.count, af_seen_knows(&rows[i]->seen));
        confirmed += rows[i]->confirmed;
        confirmable |= r->dumped && rows[i]->confirmable;
    }
    add_sum(table, af_format("%zu other%s", n, af_plural(n, "", "s")), &counts, confirmed, confirmable);
    af_table_note(table, af_format("those that left least behind; --json has a row each"));
}

void af_result_print(const struct af_result *r) {
    struct af_table table = { .columns = columns, .n_columns = COLUMNS };
    const size_t width = af_width_of(STDERR_FILENO);
    size_t n;
    const struct af_row **rows = rows_to_print(r, &n);
    for (size_t i = 0; i < n && i < MOST_ROWS; i++)
        add_row(&table, r, rows[i]);
    if (n > MOST_ROWS)
        add_others(&table, r, rows + MOST_ROWS, n - MOST_ROWS);
    free(rows);
    if (!table.n_lines) {
        say_nothing(r, width);
        return;
    }
    add_total(&table, r);
    af_table_print(&table, stderr, width, af_colour_on(STDERR_FILENO));
    say_kernel(r, width);
    say_unkept(r, width);
    say_rest(r, width);
    af_table_free(&table);
}
