/* What compare says of the differences, in words: for the table and for the picture. */
#include "cli/compare/experiment.h"
#include "cli/output/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char *af_compare_number(double x) {
    if (!isfinite(x))
        return af_format("-");
    return af_format("%.*f", x == floor(x) || x >= 1000 ? 0 : x >= 100 ? 1 : x >= 10 ? 2 : 3, x);
}

char *af_compare_join(char *text, const char *between, char *more) {
    char *both = af_format("%s%s%s", text, *text ? between : "", more);
    free(text);
    free(more);
    return both;
}

void af_compare_judge(struct af_experiment *e) {
    double *values[AF_METRICS];
    for (int m = 0; m < AF_METRICS; m++) {
        values[m] = af_array(NULL, e->order.done, sizeof *values[m]);
        for (size_t r = 0; r < e->order.done; r++)
            values[m][r] = af_compare_knows(e, m) ? e->runs[r].value[m] : 0;
    }
    e->varying = af_differences_of(&e->order, AF_METRICS, values, e->difference);
    for (int m = 0; m < AF_METRICS; m++) {
        e->difference[m].plain &= !af_metrics[m].is_time; /* times of a histogram are alike for coarseness */
        free(values[m]);
    }
}

/* ---- lists of metrics --------------------------------------------------------------------------------------- */

static bool differs(const struct af_difference *d) {
    return d->differs;
}
static bool is_plain(const struct af_difference *d) {
    return d->plain && !d->differs;
}
static bool is_neither(const struct af_difference *d) {
    return !d->differs && !d->plain;
}

/* "1000 to 0"; where medians are the same, "0 (0-12) to 0 (0-0)". */
static char *change(const struct af_spread *a, const struct af_spread *b) {
    char *part[] = { af_compare_number(a->median), af_compare_number(a->min), af_compare_number(a->max),
                     af_compare_number(b->median), af_compare_number(b->min), af_compare_number(b->max) };
    char *text = strcmp(part[0], part[3]) != 0
                     ? af_format("%s to %s", part[0], part[3])
                     : af_format("%s (%s-%s) to %s (%s-%s)", part[0], part[1], part[2], part[3], part[4], part[5]);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        free(part[i]);
    return text;
}

/* Metrics that are nothing but 0 are not worth a word. */
static char *list(const struct af_experiment *e, bool (*wanted)(const struct af_difference *), bool changes) {
    char *text = af_format("%s", "");
    for (int m = 0; m < AF_METRICS; m++) {
        const struct af_spread a = af_compare_spread(e, 0, m), b = af_compare_spread(e, 1, m);
        if (!wanted(&e->difference[m]) || !af_compare_knows(e, m) || (!a.max && !b.max))
            continue;
        char *how = changes ? change(&a, &b) : af_format("%s", "");
        text = af_compare_join(text, ", ", af_format("%s%s%s", af_metrics[m].title, changes ? " " : "", how));
        free(how);
    }
    return text;
}

/* ---- the sentence ------------------------------------------------------------------------------------------- */

static char *too_few(const struct af_experiment *e, const char *what) {
    const unsigned needed = af_rounds_needed(e->varying);
    char *extent = af_compare_extent(e); /* of more that were asked for, where it was interrupted */
    char *cure = e->rounds < needed ? af_format("-r %u could", needed) : af_format("%u could", needed);
    char *text = af_format("%s: too few to tell %s from noise where %zu thing%s; %s.", extent, what, e->varying,
                           e->varying == 1 ? " varies" : "s vary", cure);
    free(extent);
    free(cure);
    return text;
}

/* What was the same in every run of a side needs no test to be seen. */
static char *say_plain(const struct af_experiment *e, char *plain, bool few) {
    char *text = af_format("One value in every run of A, another in every run of B: %s.", plain);
    free(plain);
    return few ? af_compare_join(text, " ", too_few(e, "anything else")) : text;
}

char *af_compare_verdict(const struct af_experiment *e) {
    const size_t a = af_order_made(&e->order, 0), b = af_order_made(&e->order, 1);
    const bool few = e->varying && (a < b ? a : b) < af_rounds_needed(e->varying);
    char *yes = list(e, differs, true), *plain = list(e, is_plain, true), *no = list(e, is_neither, false), *text;
    if (*yes)
        text = af_format("B differs from A beyond noise: %s%s%s.", yes, *no ? "; not in " : "", no);
    else if (*plain || few)
        text = af_format("%s", "");
    else
        text = af_format("B does not differ from A beyond noise%s%s.", *no ? ": not in " : "", no);
    if (*plain)
        text = af_compare_join(text, " ", say_plain(e, af_format("%s", plain), few && !*yes));
    else if (few && !*yes)
        text = af_compare_join(text, " ", too_few(e, "anything"));
    free(yes);
    free(plain);
    free(no);
    return text;
}
