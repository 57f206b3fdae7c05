/* The arithmetic of compare: what it claims, and above all what it does not. */
#include "cli/compare/order.h"
#include "cli/compare/rank.h"
#include "cli/compare/stats.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 };

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

/* An order that is given: "abba". */
static struct af_order order_of(const char *sides) {
    static uint8_t side[MOST];
    const size_t n = strlen(sides);
    for (size_t i = 0; i < n; i++)
        side[i] = sides[i] == 'b';
    return (struct af_order){ .rounds = (unsigned)(n + 1) / 2, .side = side, .done = n };
}

/* splitmix64 (Steele, Lea and Flood 2014), seeded by each test. */
static uint64_t seed;
static uint64_t random_bits(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- the order of runs -------------------------------------------------------------------------------------- */

Test(stats, runs_come_in_blocks_with_as_many_of_a_as_of_b) {
    for (unsigned rounds = 1; rounds <= 40; rounds++) {
        struct af_order order;
        size_t blocks = 0;
        seed = rounds;
        af_order_make(&order, rounds, random_bits);
        for (size_t begin = 0, end; begin < 2 * (size_t)rounds; begin = end, blocks++) {
            size_t of_b = 0;
            end = af_block_end(&order, begin);
            for (size_t i = begin; i < end; i++) {
                of_b += order.side[i];
                cr_expect_eq(af_block_end(&order, i), end, "%u rounds, run %zu", rounds, i);
            }
            cr_expect_eq(2 * of_b, end - begin, "%u rounds, block at %zu", rounds, begin);
            cr_expect(end - begin <= AF_BLOCK_RUNS && (rounds < 5 || end - begin >= 10), "%u rounds: %zu runs", rounds,
                      end - begin);
        }
        cr_expect_eq(blocks, rounds < 5 ? 1 : rounds / 5, "%u rounds: %zu blocks", rounds, blocks);
        af_order_free(&order);
    }
}

/* 20 arrangements of 3 rounds, 1,000 times each; their chi-square with 19 degrees is below 43.8 but for 1 in 1,000. */
Test(stats, every_arrangement_of_a_block_is_as_likely_as_any_other) {
    unsigned seen[1 << 6] = { 0 }, different = 0;
    double chi = 0;
    seed = 1;
    for (int t = 0; t < 20000; t++) {
        struct af_order order;
        unsigned code = 0;
        af_order_make(&order, 3, random_bits);
        for (int i = 0; i < 6; i++)
            code = 2 * code + order.side[i];
        seen[code]++;
        af_order_free(&order);
    }
    for (unsigned code = 0; code < 1 << 6; code++)
        if (seen[code]) {
            different++;
            chi += (seen[code] - 1000.0) * (seen[code] - 1000.0) / 1000;
        }
    cr_expect_eq(different, 20, "%u", different);
    cr_expect_lt(chi, 43.8, "%f", chi);
}

/* ---- the test ----------------------------------------------------------------------------------------------- */

/* p by hand: twice the share of arrangements in which the ranks of A add up to so little, or to so much. */
Test(stats, the_test_is_exact) {
    static const struct {
        const char *name, *order;
        double values[20];
        double p, least;
    } rows[] = {
        { "3 and 3, apart", "aaabbb", { 1, 2, 3, 4, 5, 6 }, 2.0 / 20, 2.0 / 20 },
        { "5 and 5, apart, in any order", "abbabaabab", { 1, 6, 7, 2, 8, 3, 4, 9, 5, 10 }, 2.0 / 252, 2.0 / 252 },
        { "the other way round", "abbabaabab", { 9, 2, 3, 8, 1, 7, 6, 4, 10, 5 }, 2.0 / 252, 2.0 / 252 },
        { "one pair out of order", "aaaabbbb", { 1, 2, 3, 5, 4, 6, 7, 8 }, 2 * 2.0 / 70, 2.0 / 70 },
        { "one value each", "aaaabbbb", { 7, 7, 7, 7, 0, 0, 0, 0 }, 2.0 / 70, 2.0 / 70 },
        { "one odd run", "aaaabbbb", { 7, 7, 7, 7, 7, 7, 7, 0 }, 1, 1 },
        { "two odd runs of one side", "aaaabbbb", { 7, 7, 7, 7, 7, 7, 0, 0 }, 2 * 15.0 / 70, 2 * 15.0 / 70 },
        { "interrupted", "aaabb", { 1, 2, 3, 4, 5 }, 2.0 / 10, 2.0 / 10 },
        { "one of each", "ab", { 1, 2 }, 1, 1 },
        { "two blocks, each apart",
          "aaaaabbbbbbbbbbaaaaa",
          { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 60, 70, 80, 90, 99, 11, 12, 13, 14, 15 },
          2.0 / 252 / 252,
          2.0 / 252 / 252 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct af_order order = order_of(rows[i].order);
        unsigned ranks[MOST];
        af_ranks_of(&order, rows[i].values, ranks);
        const struct af_rank_test test = af_rank_test(&order, ranks);
        expect_near(rows[i].name, "p", test.p, rows[i].p);
        expect_near(rows[i].name, "the least p", test.least, rows[i].least);
    }
}

/* 201 rounds, the first that are too many for sums: A is the lower in all blocks, or in every other one. */
Test(stats, of_many_rounds_it_is_as_good_as_exact) {
    struct af_order order;
    static double values[2 * 201];
    static unsigned ranks[2 * 201];
    seed = 1;
    af_order_make(&order, 201, random_bits);
    order.done = 2 * 201;
    for (int alternate = 0; alternate < 2; alternate++) {
        for (size_t i = 0, block = 0, end = 0; i < order.done; i++) {
            if (i == end) {
                end = af_block_end(&order, i);
                block++;
            }
            values[i] = (double)i + 1000 * (order.side[i] ^ (alternate && block % 2));
        }
        af_ranks_of(&order, values, ranks);
        const double p = af_rank_test(&order, ranks).p;
        cr_expect(alternate ? p > 0.5 : p < 1e-20, "%g", p);
    }
    af_order_free(&order);
}

Test(stats, metrics_with_the_same_ranks_or_their_mirror_image_are_one_thing) {
    const struct af_order order = order_of("abbabaabab");
    double one[10], twice[10], less[10], shuffled[10], still[10] = { 0 };
    double *const values[] = { one, twice, less, shuffled, still };
    struct af_difference d[5];
    for (int i = 0; i < 10; i++) {
        one[i] = order.side[i] ? 20 : 10 + i;
        twice[i] = 2 * one[i];
        less[i] = 1000 - one[i];
        shuffled[i] = i * 7 % 10;
    }
    cr_expect_eq(af_differences_of(&order, 5, values, d), 2);
    for (int m = 0; m < 3; m++) {
        cr_expect(d[m].differs, "%d", m);
        expect_near("counted once", "p of all", d[m].holm, 2 * d[0].p);
    }
    cr_expect(!d[3].differs && d[3].holm == d[3].p && d[4].p == 1);
}

/* Holm: the least p counts for all, the next one for all but one; and what no order could tell is not counted. */
Test(stats, metrics_share_5_percent) {
    const struct af_order order = order_of("aaaaabbbbb");
    double apart[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, nearly[10] = { 1, 2, 3, 4, 6, 5, 7, 8, 9, 10 };
    double noise[10] = { 1, 10, 2, 9, 3, 8, 4, 7, 5, 6 }, odd[10] = { 0, 0, 1, 0 };
    double *const values[] = { noise, nearly, odd, apart };
    struct af_difference d[4];
    cr_expect_eq(af_differences_of(&order, 4, values, d), 4);
    expect_near("apart", "p of all", d[3].holm, 3 * 2.0 / 252);
    expect_near("nearly", "p of all", d[1].holm, 2 * 4.0 / 252);
    cr_expect(d[3].differs && d[1].differs && !d[0].differs && !d[2].differs && d[2].holm == 1);
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
        { "drift on both sides", 1000, 1100, 1, 1109.5 / 1009.5, true },
    };
    struct af_order order;
    seed = 1;
    af_order_make(&order, 10, random_bits);
    order.done = 20;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double values[20], *const all[] = { values };
        struct af_difference d;
        for (int r = 0; r < 20; r++)
            values[r] = (order.side[r] ? rows[i].b : rows[i].a) + r * rows[i].step;
        af_differences_of(&order, 1, all, &d);
        cr_expect(d.ratio == rows[i].ratio || fabs(d.ratio - rows[i].ratio) < 0.005, "%s: %f", rows[i].name, d.ratio);
        cr_expect(d.low <= d.ratio && d.ratio <= d.high, "%s: %f in %f to %f", rows[i].name, d.ratio, d.low, d.high);
        cr_expect_eq(d.differs, rows[i].differs, "%s: p %f, %f to %f", rows[i].name, d.p, d.low, d.high);
    }
    af_order_free(&order);
}

/* Each of 3 runs or more has one value: that is seen without a test, which of 3 rounds can claim nothing. */
Test(stats, what_is_plain_needs_no_test) {
    static const struct {
        const char *order;
        double a, b, last;
        bool plain, differs;
    } rows[] = {
        { "ab", 200, 0, 0, false, false },         { "abba", 200, 0, 0, false, false },
        { "abbaba", 200, 0, 200, true, false },    { "abbabaab", 200, 0, 0, true, true },
        { "abbabaabab", 200, 0, 0, true, true },   { "abbaba", 200, 200, 200, false, false },
        { "abbaba", 200, 0, 199, false, false },   { "abbabab", 200, 0, 0, true, false },
        { "abbabaabab", 0, 200, 200, true, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct af_order order = order_of(rows[i].order);
        double values[10], *const all[] = { values };
        struct af_difference d;
        for (size_t r = 0; r < order.done; r++)
            values[r] = order.side[r] ? rows[i].b : rows[i].a;
        values[order.done - 1] = rows[i].last;
        af_differences_of(&order, 1, all, &d);
        cr_expect_eq(d.plain, rows[i].plain, "row %zu", i);
        cr_expect_eq(d.differs, rows[i].differs, "row %zu: %f", i, d.holm);
    }
}

Test(stats, few_rounds_carry_no_claim_and_it_says_how_many_would) {
    for (size_t metrics = 1; metrics <= 16; metrics++)
        for (int enough = 0; enough < 2; enough++) {
            const unsigned rounds = af_rounds_needed(metrics) - !enough;
            struct af_order order;
            struct af_difference d[16];
            double *values[16];
            seed = metrics;
            af_order_make(&order, rounds, random_bits);
            order.done = 2 * (size_t)rounds;
            for (size_t m = 0; m < metrics; m++) {
                values[m] = malloc(order.done * sizeof *values[m]);
                for (size_t r = 0; r < order.done; r++) /* all apart, each in an order of its own */
                    values[m][r] = 1000.0 * order.side[r] + (double)(random_bits() % 997);
            }
            const size_t varying = af_differences_of(&order, metrics, values, d);
            cr_expect(varying == metrics || rounds < 3, "%zu metrics, %u rounds: %zu", metrics, rounds, varying);
            for (size_t m = 0; m < metrics; m++) {
                cr_expect_eq(d[m].differs, enough, "%zu metrics, %u rounds: %f", metrics, rounds, d[m].holm);
                free(values[m]);
            }
            af_order_free(&order);
        }
}

/* ---- a thing compared with itself --------------------------------------------------------------------------- */

static double uniform(void) {
    return ((double)(random_bits() >> 11) + 0.5) / 9007199254740992.0;
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

/* Is anything said to differ, by the test or as plain? `drift` is added with every run. */
static bool claims_any(unsigned rounds, double drift) {
    static double all[METRICS][MOST];
    double *values[METRICS];
    struct af_difference d[METRICS];
    struct af_order order;
    bool claims = false;
    af_order_make(&order, rounds, random_bits);
    order.done = 2 * (size_t)rounds;
    for (size_t m = 0; m < METRICS; m++) {
        values[m] = all[m];
        for (size_t r = 0; r < order.done; r++)
            all[m][r] = kinds[m]() + drift * (double)r;
    }
    af_differences_of(&order, METRICS, values, d);
    for (size_t m = 0; m < METRICS; m++)
        claims |= d[m].differs || d[m].plain;
    af_order_free(&order);
    return claims;
}

Test(stats, of_a_thousand_comparisons_with_itself_at_most_7_percent_claim_a_difference) {
    static const struct {
        unsigned rounds;
        double drift;
    } rows[] = { { 3, 0 }, { 5, 0 }, { 10, 0 }, { 30, 0 }, { 10, 1 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int claimed = 0;
        seed = i + 1;
        for (int t = 0; t < 1000; t++)
            claimed += claims_any(rows[i].rounds, rows[i].drift);
        cr_expect_leq(claimed, 70, "%u rounds: %d of 1000", rows[i].rounds, claimed);
        cr_log_info("%u rounds, drift %g: %d of 1000 claim a difference", rows[i].rounds, rows[i].drift, claimed);
    }
}

/* ---- and what is there is seen: the table in afterfin(1) ---------------------------------------------------- */

/* Of 500 comparisons, how many in 100 claim the difference, where 6 things vary by 5 % and B is `factor` times A in one. */
static double power(unsigned rounds, double factor) {
    enum { TIMES = 500, THINGS = 6 };
    static double all[THINGS][MOST];
    int claimed = 0;
    for (int t = 0; t < TIMES; t++) {
        double *values[THINGS];
        struct af_difference d[THINGS];
        struct af_order order;
        af_order_make(&order, rounds, random_bits);
        order.done = 2 * (size_t)rounds;
        for (size_t m = 0; m < THINGS; m++) {
            values[m] = all[m];
            for (size_t r = 0; r < order.done; r++)
                all[m][r] = 10 * (1 + 0.05 * normal()) * (m == 0 && order.side[r] ? factor : 1);
        }
        af_differences_of(&order, THINGS, values, d);
        claimed += d[0].differs;
        af_order_free(&order);
    }
    return claimed * 100.0 / TIMES;
}

/* 500 comparisons are 2 % off one time in three, 6 % one in 300. */
Test(stats, the_manual_says_how_often_a_difference_is_seen) {
    static const struct {
        unsigned rounds;
        double tenth, third, twice;
    } rows[] = {
        { 5, 34, 99.8, 100 }, { 10, 85, 100, 100 }, { AF_ROUNDS_FOR_A_TENTH, 91, 100, 100 }, { 20, 99, 100, 100 }
    };
    seed = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double wanted[] = { rows[i].tenth, rows[i].third, rows[i].twice }, factor[] = { 1.1, 1.3, 2 };
        for (int k = 0; k < 3; k++) {
            const double got = power(rows[i].rounds, factor[k]);
            cr_expect(fabs(got - wanted[k]) <= 6, "%u rounds, %g times: %g %%, not %g %%", rows[i].rounds, factor[k],
                      got, wanted[k]);
        }
    }
}
