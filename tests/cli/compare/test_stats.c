/* The arithmetic of compare: what it claims, and above all what it does not. */
#include "cli/compare/stats.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 128 };

static void expect_near(const char *name, const char *what, double got, double wanted) {
    cr_expect(got == wanted || fabs(got - wanted) <= 1e-6 * fabs(wanted), "%s: %s is %.9f, not %.9f", name, what, got,
              wanted);
}

Test(stats, median_least_and_most_are_what_they_are) {
    static const struct {
        double values[5];
        size_t n;
        double median, min, max;
    } rows[] = {
        { { 3, 1, 2 }, 3, 2, 1, 3 },
        { { 4, 1, 3, 2 }, 4, 2.5, 1, 4 },
        { { 7 }, 1, 7, 7, 7 },
        { { 0 }, 0, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_spread spread = af_spread_of(rows[i].values, rows[i].n);
        cr_expect(spread.median == rows[i].median && spread.min == rows[i].min && spread.max == rows[i].max,
                  "row %zu: %f %f %f", i, spread.median, spread.min, spread.max);
    }
}

/* p by hand: 2 / 2^n where all go one way; from tables of the signed-rank distribution otherwise. */
Test(stats, the_test_is_exact) {
    static const struct {
        const char *name;
        double a[8], b[8];
        size_t n;
        double p;
    } rows[] = {
        { "all up", { 1, 1, 1, 1, 1 }, { 2, 3, 4, 5, 6 }, 5, 2.0 / 32 },
        { "all down by the same", { 5, 5, 5, 5, 5, 5 }, { 0 }, 6, 2.0 / 64 },
        { "the least one the other way", { 10, 10, 10, 10, 10 }, { 9, 12, 13, 14, 15 }, 5, 2 * 2.0 / 32 },
        { "one of three", { 0, 0, 0 }, { 1, -2, 3 }, 3, 2 * 3.0 / 8 },
        { "rounds without a change do not count", { 1, 1, 1, 7 }, { 2, 3, 4, 7 }, 4, 2.0 / 8 },
        { "no change", { 1, 2 }, { 1, 2 }, 2, 1 },
        { "two tied, against each other", { 0, 0 }, { 1, -1 }, 2, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_near(rows[i].name, "p", af_difference_of(rows[i].a, rows[i].b, rows[i].n, 1).p, rows[i].p);
}

Test(stats, ratios_and_intervals_are_those_of_medians) {
    static const struct {
        const char *name;
        double a, b, step; /* round i: a + i * step, b + i * step */
        double ratio;
        bool differs;
    } rows[] = {
        { "half", 1000, 500, 0, 0.5, true },
        { "to nothing", 1000, 0, 0, 0, true },
        { "from nothing", 0, 1000, 0, INFINITY, true },
        { "nothing at all", 0, 0, 0, 1, false },
        { "the same", 1000, 1000, 0, 1, false },
        { "a little more, always", 1000, 1010, 0, 1.01, true },
        { "drift on both sides", 1000, 1100, 1, 1104.5 / 1004.5, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double a[10], b[10];
        for (int r = 0; r < 10; r++) {
            a[r] = rows[i].a + r * rows[i].step;
            b[r] = rows[i].b + r * rows[i].step;
        }
        struct af_difference d = af_difference_of(a, b, 10, 10);
        expect_near(rows[i].name, "ratio", d.ratio, rows[i].ratio);
        cr_expect(d.low <= d.ratio && d.ratio <= d.high, "%s: %f in %f to %f", rows[i].name, d.ratio, d.low, d.high);
        cr_expect_eq(d.differs, rows[i].differs, "%s: p %f, %f to %f", rows[i].name, d.p, d.low, d.high);
    }
}

Test(stats, few_rounds_carry_no_claim_and_it_says_how_many_would) {
    for (size_t metrics = 1; metrics <= 16; metrics++) {
        const size_t needed = af_rounds_needed(metrics);
        double a[MOST], b[MOST];
        for (size_t r = 0; r < MOST; r++) {
            a[r] = 100;
            b[r] = 200;
        }
        cr_expect(!af_difference_of(a, b, needed - 1, metrics).differs, "%zu metrics, %zu rounds", metrics, needed - 1);
        cr_expect(af_difference_of(a, b, needed, metrics).differs, "%zu metrics, %zu rounds", metrics, needed);
    }
}

/* ---- a thing compared with itself --------------------------------------------------------------------------- */

static double uniform(void) {
    return (double)(1 + random()) / (1 + (double)RAND_MAX + 1);
}

static double normal(void) {
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

/* What rounds of one program look like: quiet, skewed, with outliers, in two modes, as counts that hardly vary. */
static double quiet(void) {
    return 10 + 0.1 * normal();
}
static double skewed(void) {
    return exp(normal());
}
static double outliers(void) {
    return uniform() < 0.1 ? 100 * uniform() : 10 + 0.1 * normal();
}
static double modes(void) {
    return (uniform() < 0.5 ? 10 : 16) + 0.01 * normal();
}
static double flag(void) {
    return uniform() < 0.5;
}
static double rare(void) {
    return uniform() < 0.9 ? 0 : floor(5 * uniform());
}
static double count(void) {
    return floor(1000 + 3 * normal());
}
static double cauchy(void) {
    return fabs(tan(M_PI * (uniform() - 0.5)));
}

static double (*const kinds[])(void) = { quiet, skewed, outliers, modes, flag, rare, count, cauchy, quiet, skewed };
enum { METRICS = sizeof kinds / sizeof *kinds };

/* Is any difference claimed? `drift` goes up over the rounds on both sides. */
static bool claims_any(size_t n, double drift) {
    static double a[METRICS][MOST], b[METRICS][MOST];
    size_t vary = 0;
    bool claims = false;
    for (size_t m = 0; m < METRICS; m++) {
        for (size_t r = 0; r < n; r++) {
            a[m][r] = kinds[m]() + drift * (double)r;
            b[m][r] = kinds[m]() + drift * (double)r;
        }
        vary += af_varies(a[m], b[m], n);
    }
    for (size_t m = 0; m < METRICS; m++)
        claims |= af_difference_of(a[m], b[m], n, vary).differs;
    return claims;
}

Test(stats, of_a_thousand_comparisons_with_itself_at_most_7_percent_claim_a_difference) {
    static const struct {
        size_t rounds;
        double drift;
        int times;
    } rows[] = { { 10, 0, 1000 }, { 3, 0, 200 }, { 10, 1, 200 }, { 30, 0, 200 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int claimed = 0;
        srandom((unsigned)i + 1);
        for (int t = 0; t < rows[i].times; t++)
            claimed += claims_any(rows[i].rounds, rows[i].drift);
        cr_expect_leq(claimed * 100, 7 * rows[i].times, "%zu rounds: %d of %d", rows[i].rounds, claimed, rows[i].times);
        cr_log_info("%zu rounds, drift %g: %d of %d claim a difference", rows[i].rounds, rows[i].drift, claimed,
                    rows[i].times);
    }
}

/* And it does see what is there: 30 % more under noise of 5 %, nearly always. */
Test(stats, what_differs_is_claimed) {
    int claimed = 0;
    srandom(1);
    for (int t = 0; t < 200; t++) {
        double a[10], b[10];
        for (int r = 0; r < 10; r++) {
            a[r] = 10 * (1 + 0.05 * normal());
            b[r] = 13 * (1 + 0.05 * normal());
        }
        claimed += af_difference_of(a, b, 10, METRICS).differs;
    }
    cr_expect_geq(claimed, 190, "%d of 200", claimed);
}
