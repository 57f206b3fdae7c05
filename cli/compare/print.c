/* What compare prints: a table, what failed, and the sentence that says what may be believed. */
#include "cli/compare/experiment.h"
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"

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

/* Four digits that count. */
static char *number(double x) {
    if (!isfinite(x))
        return af_format("-");
    return af_format("%.*f", x == floor(x) || x >= 1000 ? 0 : x >= 100 ? 1 : x >= 10 ? 2 : 3, x);
}

static char *span(const char *before, double low, double high, const char *after) {
    char *from = number(low), *to = number(high);
    char *text = low == high && *before ? af_format("%s", "") : af_format("%s%s-%s%s", before, from, to, after);
    free(from);
    free(to);
    return text;
}

static struct af_spread spread_of(const struct af_experiment *e, int side, enum af_metric metric) {
    double *values = af_compare_values(e, side, metric);
    const struct af_spread spread = af_spread_of(values, e->done);
    free(values);
    return spread;
}

static void add_row(struct af_table *table, const struct af_experiment *e, enum af_metric metric) {
    const struct af_spread a = spread_of(e, 0, metric), b = spread_of(e, 1, metric);
    const struct af_difference *d = &e->difference[metric];
    if (!a.max && !b.max)
        return;
    char **cells = af_table_row(table);
    cells[METRIC] = af_format("%s", af_metrics[metric].title);
    cells[A] = number(a.median);
    cells[A_RANGE] = span("(", a.min, a.max, ")");
    cells[B] = number(b.median);
    cells[B_RANGE] = span("(", b.min, b.max, ")");
    cells[RATIO] = isfinite(d->ratio) ? af_format("%.3f", d->ratio) : af_format("-");
    cells[INTERVAL] = isfinite(d->high) ? af_format("%.3f-%.3f", d->low, d->high) : af_format("-");
    cells[DIFFERS] = af_format("%s", d->differs ? "*" : "");
}

/* ---- below the table ---------------------------------------------------------------------------------------- */

/* Puts `more`, from malloc, behind `text`, with `between` where there is something already. */
static char *join(char *text, const char *between, char *more) {
    char *both = af_format("%s%s%s", text, *text ? between : "", more);
    free(text);
    free(more);
    return both;
}

static void say(char *text) {
    af_print_wrapped(stdout, af_width_of(STDOUT_FILENO), 0, text);
    free(text);
}

static void say_failures(const struct af_experiment *e, int side) {
    char *text = af_format("%s", "");
    for (unsigned call = 0; call < AF_CALLS; call++)
        for (unsigned error = 0; error < AF_ERRNOS; error++) {
            const double median = af_compare_failed(e, side, call, error);
            if (median > 0)
                text = join(text, ", ", af_format("%s:%s=%g", af_call_name(call), af_errno_name(error), median));
        }
    if (*text)
        say(join(af_format("failures under %s:", e->side[side].name), " ", text));
    else
        free(text);
}

static void say_statuses(const struct af_experiment *e, int side) {
    char *text = af_format("%s", "");
    for (int status = 1; status < 256; status++) {
        unsigned n = 0;
        for (unsigned r = 0; r < e->done; r++)
            n += e->side[side].runs[r].status == status;
        if (n)
            text = join(text, ", ", af_format("%d in %u of %u rounds", status, n, e->done));
    }
    if (*text)
        say(join(af_format("exit status under %s:", e->side[side].name), " ", text));
    else
        free(text);
}

/* One round's TIME_WAITs stand in the way of the next one's connects. */
static void say_leftovers(const struct af_experiment *e) {
    double *before[2], most = 0;
    for (int s = 0; s < 2; s++) {
        before[s] = af_array(NULL, e->done, sizeof **before);
        for (unsigned r = 0; r < e->done; r++) {
            before[s][r] = (double)e->side[s].runs[r].tw_before;
            most = before[s][r] > most ? before[s][r] : most;
        }
    }
    if (most > 0)
        say(af_format("note: runs began with TIME_WAITs already there, of earlier runs or of others: A %.0f, B %.0f "
                      "(medians), %.0f at most. --netns or --settle keeps runs apart.",
                      af_spread_of(before[0], e->done).median, af_spread_of(before[1], e->done).median, most));
    free(before[0]);
    free(before[1]);
}

/* ---- the sentence ------------------------------------------------------------------------------------------- */

static char *list(const struct af_experiment *e, bool differs) {
    char *text = af_format("%s", "");
    for (int m = 0; m < AF_METRICS; m++) {
        const struct af_spread a = spread_of(e, 0, m), b = spread_of(e, 1, m);
        if (e->difference[m].differs != differs || (!a.max && !b.max))
            continue;
        char *from = number(a.median), *to = number(b.median);
        text = join(text, ", ",
                    differs ? af_format("%s %s to %s", af_metrics[m].title, from, to)
                            : af_format("%s", af_metrics[m].title));
        free(from);
        free(to);
    }
    return text;
}

static void say_verdict(const struct af_experiment *e) {
    const size_t needed = af_rounds_needed(e->varying);
    char *yes = list(e, true), *no = list(e, false);
    if (e->varying && e->done < needed)
        say(af_format("%u round%s cannot carry a claim where %zu metric%s; -r %zu could, if all go one way.", e->done,
                      e->done == 1 ? "" : "s", e->varying, e->varying == 1 ? " varies" : "s vary", needed));
    else if (*yes)
        say(af_format("B differs from A beyond noise: %s%s%s.", yes, *no ? "; not in " : "", no));
    else
        say(af_format("B does not differ from A beyond noise%s%s.", *no ? ": not in " : "", no));
    free(yes);
    free(no);
}

void af_compare_print(const struct af_experiment *e) {
    struct af_table table = { .columns = columns, .n_columns = COLUMNS };
    const size_t width = af_width_of(STDOUT_FILENO);
    for (int s = 0; s < 2; s++) {
        char *policy = af_compare_policy(&e->side[s]);
        say(af_format("%s: %s", e->side[s].name, *policy ? policy : "nothing set"));
        free(policy);
    }
    printf("medians of %u round%s\n\n", e->done, e->done == 1 ? "" : "s");
    for (int m = 0; m < AF_METRICS; m++)
        add_row(&table, e, m);
    af_table_print(&table, stdout, width, af_colour_on(STDOUT_FILENO));
    af_table_free(&table);
    for (int s = 0; s < 2; s++) {
        say_failures(e, s);
        say_statuses(e, s);
    }
    say_leftovers(e);
    putchar('\n');
    say_verdict(e);
}
