/* See rank.h. */
#include "cli/compare/rank.h"
#include "cli/output/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_BLOCKS = 40, MOST_SUM = AF_BLOCK_RUNS * (AF_BLOCK_RUNS + 1) };

static const double TAIL = 0.025, TAIL_AT = 1.959964; /* of an interval of 95 %; and where it begins if normal */

/* How likely each sum of one side's doubled ranks is: p[i] is that of least + i. Of many blocks only mean and variance
 * are kept. */
struct sums {
    double *p;
    size_t least, n;
    double mean, variance;
};

struct ranked {
    double value;
    size_t run;
};

static int by_value(const void *a, const void *b) {
    const double x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
    return x < y ? -1 : x > y;
}

static size_t made_end(const struct af_order *order, size_t begin) {
    const size_t end = af_block_end(order, begin);
    return end < order->done ? end : order->done;
}

void af_ranks_of(const struct af_order *order, const double *values, unsigned *doubled) {
    for (size_t begin = 0, end; begin < order->done; begin = end) {
        struct ranked sorted[AF_BLOCK_RUNS];
        end = made_end(order, begin);
        const size_t n = end - begin;
        for (size_t i = 0; i < n; i++)
            sorted[i] = (struct ranked){ values[begin + i], begin + i };
        qsort(sorted, n, sizeof *sorted, by_value);
        for (size_t i = 0, tied; i < n; i = tied) {
            for (tied = i; tied < n && sorted[tied].value == sorted[i].value; tied++)
                ;
            for (size_t k = i; k < tied; k++)
                doubled[sorted[k].run] = (unsigned)(i + tied + 1);
        }
    }
}

bool af_ranks_agree(const struct af_order *order, const unsigned *x, const unsigned *y) {
    bool same = true, mirrored = true;
    for (size_t begin = 0, end; begin < order->done && (same || mirrored); begin = end) {
        end = made_end(order, begin);
        for (size_t i = begin; i < end; i++) {
            same &= x[i] == y[i];
            mirrored &= x[i] + y[i] == 2 * (end - begin + 1);
        }
    }
    return same || mirrored;
}

/* ---- the distribution --------------------------------------------------------------------------------------- */

/* Of all choices of k among n ranks, the share that adds up to each sum. */
static void of_block(const unsigned *ranks, size_t n, size_t k, struct sums *out) {
    static double ways[AF_BLOCK_RUNS + 1][MOST_SUM + 1];
    size_t total = 0;
    double all = 0;
    for (size_t i = 0; i <= k; i++)
        memset(ways[i], 0, sizeof ways[i]);
    ways[0][0] = 1;
    for (size_t i = 0; i < n; i++) {
        total += ranks[i];
        for (size_t chosen = i < k ? i + 1 : k; chosen > 0; chosen--)
            for (size_t s = total; s >= ranks[i]; s--)
                ways[chosen][s] += ways[chosen - 1][s - ranks[i]];
    }
    const double *found = ways[k];
    size_t first = 0, last = total;
    while (first < total && !found[first])
        first++;
    while (last > first && !found[last])
        last--;
    *out = (struct sums){ .p = af_array(NULL, last - first + 1, sizeof *out->p),
                          .least = first,
                          .n = last - first + 1 };
    for (size_t i = 0; i < out->n; i++)
        all += found[first + i];
    for (size_t i = 0; i < out->n; i++) {
        const double sum = (double)(first + i), p = out->p[i] = found[first + i] / all;
        out->mean += p * sum;
        out->variance += p * sum * sum;
    }
    out->variance -= out->mean * out->mean;
}

/* The sum of two that are independent. */
static void add(struct sums *to, struct sums *more, bool exact) {
    const struct sums was = *to;
    to->mean += more->mean;
    to->variance += more->variance;
    to->least += more->least;
    to->p = NULL;
    if (exact) {
        to->n += more->n - 1;
        to->p = af_array(NULL, to->n, sizeof *to->p);
        memset(to->p, 0, to->n * sizeof *to->p);
        for (size_t i = 0; i < was.n; i++)
            for (size_t k = 0; k < more->n; k++)
                to->p[i + k] += was.p[i] * more->p[k];
    }
    free(was.p);
    free(more->p);
}

static bool is_exact(const struct af_order *order) {
    return order->done <= (size_t)EXACT_BLOCKS * AF_BLOCK_RUNS / 2;
}

/* Sums of A's ranks; `doubled` NULL: of ranks without ties. */
static struct sums sums_of(const struct af_order *order, const unsigned *doubled) {
    struct sums all = { .p = af_array(NULL, 1, sizeof *all.p), .n = 1 };
    all.p[0] = 1;
    for (size_t begin = 0, end; begin < order->done; begin = end) {
        unsigned ranks[AF_BLOCK_RUNS];
        struct sums block;
        size_t of_a = 0;
        end = made_end(order, begin);
        for (size_t i = begin; i < end; i++) {
            ranks[i - begin] = doubled ? doubled[i] : 2 * (unsigned)(i - begin + 1);
            of_a += !order->side[i];
        }
        of_block(ranks, end - begin, of_a, &block);
        add(&all, &block, is_exact(order));
    }
    return all;
}

/* ---- the test ----------------------------------------------------------------------------------------------- */

/* The smaller of both tails at this sum, doubled. */
static double two_sided(const struct sums *sums, size_t sum) {
    double below = 0, above = 0;
    for (size_t i = 0; i < sums->n; i++) {
        below += sums->least + i <= sum ? sums->p[i] : 0;
        above += sums->least + i >= sum ? sums->p[i] : 0;
    }
    const double p = 2 * (below < above ? below : above);
    return p < 1 ? p : 1;
}

static struct af_rank_test normal(const struct sums *sums, size_t sum) {
    if (sums->variance < 0.5)
        return (struct af_rank_test){ 1, 1 };
    const double off = fabs((double)sum - sums->mean) - 1; /* a sum stands for one step */
    return (struct af_rank_test){ erfc((off > 0 ? off : 0) / sqrt(2 * sums->variance)), 0 };
}

struct af_rank_test af_rank_test(const struct af_order *order, const unsigned *doubled) {
    struct sums sums = sums_of(order, doubled);
    struct af_rank_test test;
    size_t sum = 0;
    for (size_t i = 0; i < order->done; i++)
        sum += order->side[i] ? 0 : doubled[i];
    if (is_exact(order)) {
        const double lowest = two_sided(&sums, sums.least), highest = two_sided(&sums, sums.least + sums.n - 1);
        test = (struct af_rank_test){ two_sided(&sums, sum), lowest < highest ? lowest : highest };
    } else {
        test = normal(&sums, sum);
    }
    free(sums.p);
    return test;
}

/* The pairs in which B is lower are as many as half of what the sum of A's doubled ranks is above its least. */
bool af_rank_pairs(const struct af_order *order, size_t *left_out) {
    struct sums sums = sums_of(order, NULL);
    double below = 0;
    size_t rejected = 0; /* so many numbers of pairs are too few for a ratio of 1 */
    if (is_exact(order)) {
        while (2 * rejected < sums.n && below + sums.p[2 * rejected] <= TAIL)
            below += sums.p[2 * rejected++];
    } else {
        const double least = (sums.mean - TAIL_AT * sqrt(sums.variance) - (double)sums.least) / 2;
        rejected = least > 0 ? (size_t)least : 0;
    }
    free(sums.p);
    *left_out = rejected ? rejected - 1 : 0;
    return rejected > 0;
}
