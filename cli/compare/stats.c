/* See stats.h. */
#include "cli/compare/stats.h"
#include "cli/output/memory.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 4000, EXACT_UP_TO = 100 };
static const double ALPHA = 0.05;

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct af_spread af_spread_of(const double *values, size_t n) {
    if (!n)
        return (struct af_spread){ 0 };
    double *sorted = af_array(NULL, n, sizeof *sorted);
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    const struct af_spread spread = { (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0], sorted[n - 1] };
    free(sorted);
    return spread;
}

bool af_varies(const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return true;
    return false;
}

/* ---- the interval ------------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea and Flood 2014): one word of state, good enough to pick rounds. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double ratio_of(double a, double b) {
    return a == b ? 1 : b / a;
}

/* One side's rounds, and how often each is in the present draw, by rank: its median is then a walk along them. */
struct side {
    double *sorted;
    size_t *rank; /* of each round */
    unsigned *drawn;
};

static struct side rank_rounds(const double *values, size_t n) {
    struct side side = { af_array(NULL, n, sizeof(double)), af_array(NULL, n, sizeof(size_t)),
                         af_array(NULL, n, sizeof(unsigned)) };
    memcpy(side.sorted, values, n * sizeof *values);
    qsort(side.sorted, n, sizeof *side.sorted, by_value);
    for (size_t i = 0; i < n; i++) { /* equal values may share a place */
        const double *found = bsearch(&values[i], side.sorted, n, sizeof *values, by_value);
        side.rank[i] = (size_t)(found - side.sorted);
    }
    return side;
}

static void free_side(struct side *side) {
    free(side->sorted);
    free(side->rank);
    free(side->drawn);
}

static double drawn_median(const struct side *side, size_t n) {
    size_t seen = 0, at = 0;
    while ((seen += side->drawn[at]) <= (n - 1) / 2)
        at++;
    const double lower = side->sorted[at];
    if (n % 2 || seen > n / 2)
        return lower;
    while (!side->drawn[++at])
        ;
    return (lower + side->sorted[at]) / 2;
}

/* Ratios of medians of rounds drawn with replacement, in order. */
static void resample(const double *a, const double *b, size_t n, double ratios[RESAMPLES]) {
    struct side side_a = rank_rounds(a, n), side_b = rank_rounds(b, n);
    uint64_t state = 1;
    for (int r = 0; r < RESAMPLES; r++) {
        memset(side_a.drawn, 0, n * sizeof *side_a.drawn);
        memset(side_b.drawn, 0, n * sizeof *side_b.drawn);
        for (size_t i = 0; i < n; i++) {
            const size_t round = (next_random(&state) >> 32) * n >> 32;
            side_a.drawn[side_a.rank[round]]++;
            side_b.drawn[side_b.rank[round]]++;
        }
        ratios[r] = ratio_of(drawn_median(&side_a, n), drawn_median(&side_b, n));
    }
    qsort(ratios, RESAMPLES, sizeof *ratios, by_value);
    free_side(&side_a);
    free_side(&side_b);
}

/* ---- the test ----------------------------------------------------------------------------------------------- */

struct change {
    double size; /* absolute */
    bool up;
    unsigned rank; /* doubled, so that shared ranks are whole */
};

static int by_size(const void *a, const void *b) {
    return by_value(&((const struct change *)a)->size, &((const struct change *)b)->size);
}

/* Rounds that changed, ranked by how much; equal ones share their mean rank. */
static size_t rank_changes(const double *a, const double *b, size_t n, struct change *out) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            out[kept++] = (struct change){ .size = fabs(b[i] - a[i]), .up = b[i] > a[i] };
    if (kept)
        qsort(out, kept, sizeof *out, by_size);
    for (size_t i = 0, end; i < kept; i = end) {
        for (end = i; end < kept && out[end].size == out[i].size; end++)
            ;
        for (size_t k = i; k < end; k++)
            out[k].rank = (unsigned)(i + end + 1);
    }
    return kept;
}

/* Probability that the ranks of rounds that went up add to `sum` or less, each going up or down by a coin. */
static double at_most(const struct change *changes, size_t n, size_t sum) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += changes[i].rank;
    double *ways = af_array(NULL, total + 1, sizeof *ways), below = 0;
    memset(ways, 0, (total + 1) * sizeof *ways);
    ways[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t s = total + 1; s-- > 0;)
            ways[s] = (ways[s] + (s >= changes[i].rank ? ways[s - changes[i].rank] : 0)) / 2;
    for (size_t s = 0; s <= sum && s <= total; s++)
        below += ways[s];
    free(ways);
    return below;
}

/* Of many rounds the sum is as good as normal. */
static double normal_at_most(const struct change *changes, size_t n, double sum) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++) {
        mean += changes[i].rank / 2.0;
        variance += (double)changes[i].rank * changes[i].rank / 4;
    }
    return erfc((mean - sum - 1) / sqrt(2 * variance)) / 2;
}

static double signed_rank_p(const double *a, const double *b, size_t n) {
    struct change *changes = af_array(NULL, n, sizeof *changes);
    const size_t kept = rank_changes(a, b, n, changes);
    size_t up = 0, down = 0;
    for (size_t i = 0; i < kept; i++)
        *(changes[i].up ? &up : &down) += changes[i].rank;
    const size_t less = up < down ? up : down;
    double p = !kept                 ? 1
               : kept <= EXACT_UP_TO ? 2 * at_most(changes, kept, less)
                                     : 2 * normal_at_most(changes, kept, (double)less);
    free(changes);
    return p < 1 ? p : 1;
}

size_t af_rounds_needed(size_t metrics) {
    size_t n = 1;
    for (double least = 1; least > ALPHA / (double)(metrics ? metrics : 1); least /= 2)
        n++;
    return n;
}

/* ---- both --------------------------------------------------------------------------------------------------- */

struct af_difference af_difference_of(const double *a, const double *b, size_t n, size_t metrics) {
    static double ratios[RESAMPLES];
    const double alpha = ALPHA / (double)(metrics ? metrics : 1);
    struct af_difference d = { .ratio = 1, .low = 1, .high = 1, .p = 1 };
    if (!n || !af_varies(a, b, n))
        return d;
    resample(a, b, n, ratios);
    d.ratio = ratio_of(af_spread_of(a, n).median, af_spread_of(b, n).median);
    d.low = ratios[(size_t)(RESAMPLES * (ALPHA / 2))];
    d.high = ratios[(size_t)(RESAMPLES * (1 - ALPHA / 2)) - 1];
    d.p = signed_rank_p(a, b, n);
    const double low = ratios[(size_t)(RESAMPLES * (alpha / 2))];
    const double high = ratios[RESAMPLES - 1 - (size_t)(RESAMPLES * (alpha / 2))];
    d.differs = (low > 1 || high < 1) && d.p <= alpha;
    return d;
}
