/* See stats.h. */
#include "cli/compare/stats.h"
#include "cli/compare/rank.h"
#include "cli/output/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ALPHA = 0.05;
enum { PLAIN_FROM = 3 };

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(const double *sorted, size_t n) {
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

/* How many of n values may be left out at each end so that the median of all there could be lies between the others:
 * each is below it or above by a coin. */
static size_t outside_median(size_t n) {
    double below = 0;
    size_t rejected = 0;
    for (; rejected < n; rejected++) {
        const double k = (double)rejected, all = (double)n;
        below += exp(lgamma(all + 1) - lgamma(k + 1) - lgamma(all - k + 1) - all * M_LN2);
        if (below > ALPHA / 2)
            break;
    }
    return rejected ? rejected - 1 : 0;
}

struct af_spread af_spread_of(const double *values, size_t n) {
    if (!n)
        return (struct af_spread){ 0 };
    const size_t outside = outside_median(n);
    double *sorted = af_array(NULL, n, sizeof *sorted);
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    const struct af_spread spread = { median_of(sorted, n), sorted[0], sorted[n - 1], sorted[outside],
                                      sorted[n - 1 - outside] };
    free(sorted);
    return spread;
}

/* ---- how much ----------------------------------------------------------------------------------------------- */

static double ratio_of(double a, double b) {
    return a == b ? 1 : b / a;
}

/* Ratios of all runs of B to all of A in the same block, in order; from malloc. */
static double *ratios_of(const struct af_order *order, const double *values, size_t *n) {
    double *ratios = NULL;
    *n = 0;
    for (size_t begin = 0, end; begin < order->done; begin = end) {
        end = af_block_end(order, begin);
        end = end < order->done ? end : order->done;
        for (size_t a = begin; a < end; a++)
            for (size_t b = begin; b < end; b++)
                if (!order->side[a] && order->side[b]) {
                    ratios = af_room_for_one(ratios, *n, sizeof *ratios);
                    ratios[(*n)++] = ratio_of(values[a], values[b]);
                }
    }
    if (*n)
        qsort(ratios, *n, sizeof *ratios, by_value);
    return ratios;
}

static struct af_spread side_of(const struct af_order *order, const double *values, int side) {
    double *own = af_array(NULL, order->done, sizeof *own);
    size_t n = 0;
    for (size_t i = 0; i < order->done; i++)
        if (order->side[i] == side)
            own[n++] = values[i];
    const struct af_spread spread = af_spread_of(own, n);
    free(own);
    return spread;
}

/* Of the interval: it may be that medians have another ratio than most runs. */
static void measure(const struct af_order *order, const double *values, struct af_difference *d) {
    const struct af_spread a = side_of(order, values, 0), b = side_of(order, values, 1);
    size_t n, outside;
    double *ratios = ratios_of(order, values, &n);
    af_rank_pairs(order, &outside);
    d->ratio = d->low = d->high = ratio_of(a.median, b.median);
    if (n > 2 * outside) {
        d->low = fmin(d->ratio, ratios[outside]);
        d->high = fmax(d->ratio, ratios[n - 1 - outside]);
    }
    d->plain = a.min == a.max && b.min == b.max && a.min != b.min && af_order_made(order, 0) >= PLAIN_FROM &&
               af_order_made(order, 1) >= PLAIN_FROM;
    free(ratios);
}

/* ---- is it there -------------------------------------------------------------------------------------------- */

/* One thing that varies, under one metric or several. */
struct thing {
    const unsigned *ranks;
    double p, holm;
    bool told; /* in some order of runs it could be told from noise */
};

static int by_p(const void *a, const void *b) {
    const struct thing *x = *(struct thing *const *)a, *y = *(struct thing *const *)b;
    return x->p < y->p ? -1 : x->p > y->p;
}

/* What p each comes to where all have 5 % together: the least counts as often as there are things, and so on. */
static void share(struct thing *things, size_t n) {
    struct thing **sorted = af_array(NULL, n, sizeof *sorted);
    size_t told = 0;
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        if (things[i].told)
            sorted[told++] = &things[i];
    if (told)
        qsort(sorted, told, sizeof *sorted, by_p);
    for (size_t i = 0; i < told; i++) {
        worst = fmax(worst, fmin(1, sorted[i]->p * (double)(told - i)));
        sorted[i]->holm = worst;
    }
    free(sorted);
}

static bool varies(const double *values, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (values[i] != values[0])
            return true;
    return false;
}

/* The thing with these ranks: a new one where there is none. */
static size_t find_thing(const struct af_order *order, struct thing *things, size_t *n, const unsigned *ranks) {
    for (size_t i = 0; i < *n; i++)
        if (af_ranks_agree(order, things[i].ranks, ranks))
            return i;
    const struct af_rank_test test = af_rank_test(order, ranks);
    things[*n] = (struct thing){ .ranks = ranks, .p = test.p, .holm = 1, .told = test.least <= ALPHA };
    return (*n)++;
}

size_t af_differences_of(const struct af_order *order, size_t metrics, double *const values[],
                         struct af_difference out[]) {
    unsigned *ranks = af_array(NULL, metrics * order->done, sizeof *ranks);
    struct thing *things = af_array(NULL, metrics, sizeof *things);
    size_t *which = af_array(NULL, metrics, sizeof *which), n = 0;
    for (size_t m = 0; m < metrics; m++) {
        out[m] = (struct af_difference){ .ratio = 1, .low = 1, .high = 1, .p = 1, .holm = 1 };
        which[m] = metrics;
        if (!varies(values[m], order->done))
            continue;
        measure(order, values[m], &out[m]);
        af_ranks_of(order, values[m], ranks + m * order->done);
        which[m] = find_thing(order, things, &n, ranks + m * order->done);
    }
    share(things, n);
    for (size_t m = 0; m < metrics; m++)
        if (which[m] < metrics) {
            out[m].p = things[which[m]].p;
            out[m].holm = things[which[m]].holm;
            out[m].differs = out[m].holm <= ALPHA;
        }
    free(ranks);
    free(things);
    free(which);
    return n;
}

unsigned af_rounds_needed(size_t varying) {
    const double level = ALPHA / (double)(varying ? varying : 1);
    double arrangements = 2; /* of n rounds in one block */
    unsigned n = 1;
    for (; 2 / arrangements > level; n++)
        arrangements *= (4.0 * n + 2) / (n + 1);
    return n;
}
