/* What compare prints: a table, what failed, and the sentence that says what may be believed. */
#include "cli/compare/experiment.h"
#include "cli/compare/rank.h"
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"
#include "cli/output/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { METRIC, A, A_RANGE, B, B_RANGE, RATIO, INTERVAL, DIFFERS, COLUMNS };
static const struct af_column columns[COLUMNS] = {
    [METRIC] = { "METRIC", .text = true, .rank = 0 },
    [A] = { "A", .rank = 0 },
    [A_RANGE] = { "(MIN-MAX)", .text = true, .optional = true, .rank = 2 },
    [B] = { "B", .rank = 0 },
    [B_RANGE] = { "(MIN-MAX)", .text = true, .optional = true, .rank = 3 },
    [RATIO] = { "B/A", .rank = 0 },
    [INTERVAL] = { "95 %", .text = true, .rank = 1 },
    [DIFFERS] = { "", .text = true, .optional = true },
};

static char *span(const char *before, double low, double high, const char *after) {
    char *from = af_compare_number(low), *to = af_compare_number(high);
    char *text = low == high && *before ? af_format("%s", "") : af_format("%s%s-%s%s", before, from, to, after);
    free(from);
    free(to);
    return text;
}

static void add_row(struct af_table *table, const struct af_experiment *e, enum af_metric metric) {
    const struct af_spread a = af_compare_spread(e, 0, metric), b = af_compare_spread(e, 1, metric);
    const struct af_difference *d = &e->difference[metric];
    if (!af_compare_knows(e, metric) || (!a.max && !b.max))
        return;
    char **cells = af_table_row(table);
    cells[METRIC] = af_format("%s", af_metrics[metric].title);
    cells[A] = af_compare_number(a.median);
    cells[A_RANGE] = span("(", a.min, a.max, ")");
    cells[B] = af_compare_number(b.median);
    cells[B_RANGE] = span("(", b.min, b.max, ")");
    cells[RATIO] = isfinite(d->ratio) ? af_format("%.3f", d->ratio) : af_format("-");
    cells[INTERVAL] = isfinite(d->high) ? af_format("%.3f-%.3f", d->low, d->high) : af_format("-");
    cells[DIFFERS] = af_format("%s", d->differs ? "*" : "");
}

/* ---- below the table ---------------------------------------------------------------------------------------- */

static void say(char *text) {
    af_print_wrapped(stdout, af_width_of(STDOUT_FILENO), 0, text);
    free(text);
}

static void say_failures(const struct af_experiment *e, int side) {
    char *text = af_format("%s", "");
    for (unsigned call = 0; call < AF_CALLS; call++)
        for (unsigned error = 0; error < AF_ERRNOS; error++) {
            double *values = af_compare_failures(e, side, call, error);
            const double median = af_spread_of(values, af_order_made(&e->order, side)).median;
            free(values);
            if (median > 0)
                text = af_compare_join(text, ", ",
                                       af_format("%s:%s=%g", af_call_name(call), af_errno_name(error), median));
        }
    if (*text)
        say(af_compare_join(af_format("failures under %s:", e->side[side].name), " ", text));
    else
        free(text);
}

static void say_statuses(const struct af_experiment *e, int side) {
    char *text = af_format("%s", "");
    const size_t of = af_order_made(&e->order, side);
    for (int status = 1; status < 256; status++) {
        size_t n = 0;
        for (size_t r = 0; r < e->order.done; r++)
            n += e->order.side[r] == side && e->runs[r].status == status;
        if (n)
            text = af_compare_join(text, ", ",
                                   af_format("%d in %zu of %zu run%s", status, n, of, af_plural(of, "", "s")));
    }
    if (*text)
        say(af_compare_join(af_format("exit status under %s:", e->side[side].name), " ", text));
    else
        free(text);
}

static void say_again(const struct af_experiment *e) {
    if (!af_compare_knows(e, AF_METRIC_connects_again))
        return;
    if (af_compare_spread(e, 0, AF_METRIC_connects_again).median > 0 ||
        af_compare_spread(e, 1, AF_METRIC_connects_again).median > 0)
        say(af_format("note: connects again are calls for a connection that was under way, as a client makes that does "
                      "not block, or that was given up; times inside connect are of these, too."));
}

/* Names of what is left out; from malloc. */
static char *unknown_metrics(const struct af_experiment *e) {
    char *text = af_format("%s", "");
    for (int m = 0; m < AF_METRICS; m++)
        if (!af_compare_knows(e, m))
            text = af_compare_join(text, ", ", af_format("%s", af_metrics[m].title));
    return text;
}

/* A count that nobody has made is no 0. */
static void say_unknown(const struct af_experiment *e) {
    size_t outside = 0, reported = 0, unkept = 0, unkept_runs = 0;
    const char *why = "";
    for (size_t r = 0; r < e->order.done; r++) {
        const struct af_measure *m = &e->runs[r];
        outside += m->outside;
        reported += m->reported;
        unkept += m->unkept;
        unkept_runs += m->unkept > 0;
        why = m->unkept && !*why ? m->unkept_why : why;
    }
    char *left_out = unknown_metrics(e);
    if (unkept)
        say(af_format("note: %zu process%s in %zu of %zu runs could not keep a ledger (%s): not compared are %s.",
                      unkept, unkept == 1 ? "" : "es", unkept_runs, e->order.done, why, left_out));
    if (outside)
        say(af_format("note: static programs were reached from outside in %zu of %zu runs, where less is seen: not "
                      "compared are %s.",
                      outside, e->order.done, left_out));
    if (!reported && !unkept)
        say(af_format(
            "note: no process reported a TCP socket in any run: CMD opens none, or is not reached (static and "
            "setuid programs, sudo, env -i, dlmopen, libraries with a libc of their own: doctor PROGRAM names "
            "them)."));
    free(left_out);
}

/* One run's TIME_WAITs stand in the way of the next one's connects. In namespaces of their own --prepare left them. */
static void say_leftovers(const struct af_experiment *e) {
    double *before[2], most = 0;
    size_t n[2] = { 0 };
    for (int s = 0; s < 2; s++)
        before[s] = af_array(NULL, e->order.done, sizeof **before);
    for (size_t r = 0; r < e->order.done; r++) {
        const int s = e->order.side[r];
        const double there = before[s][n[s]++] = (double)e->runs[r].tw_before;
        most = there > most ? there : most;
    }
    const char *from = e->netns ? "left by --prepare" : "of earlier runs or of others";
    const char *cure = e->netns || e->settling ? "" : " --netns or --settle keeps runs apart.";
    if (most > 0)
        say(af_format("note: runs began with TIME_WAITs already there, %s: A %.0f, B %.0f (medians), %.0f at most.%s",
                      from, af_spread_of(before[0], n[0]).median, af_spread_of(before[1], n[1]).median, most, cure));
    free(before[0]);
    free(before[1]);
}

void af_compare_print(const struct af_experiment *e) {
    struct af_column titled[COLUMNS];
    struct af_table table = { .columns = titled, .n_columns = COLUMNS };
    size_t left_out;
    memcpy(titled, columns, sizeof titled);
    if (!af_rank_pairs(&e->order, &left_out))
        titled[INTERVAL].title = "RANGE";
    const size_t width = af_width_of(STDOUT_FILENO);
    for (int s = 0; s < 2; s++) {
        char *policy = af_compare_policy(&e->side[s]);
        say(af_format("%s: %s", e->side[s].name, policy));
        free(policy);
    }
    char *extent = af_compare_extent(e);
    printf("medians of %s\n\n", extent);
    free(extent);
    for (int m = 0; m < AF_METRICS; m++)
        add_row(&table, e, m);
    af_table_print(&table, stdout, width, af_colour_on(STDOUT_FILENO));
    af_table_free(&table);
    for (int s = 0; s < 2; s++) {
        say_failures(e, s);
        say_statuses(e, s);
    }
    say_again(e);
    say_unknown(e);
    say_leftovers(e);
    putchar('\n');
    say(af_compare_verdict(e));
}
