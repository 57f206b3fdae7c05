/* Do two sides differ? Pure arithmetic on paired rounds, the same for the same numbers.
 *
 * Rounds are paired (A and B of one round ran one after the other, in random order), so that what drifts over
 * an experiment is on both sides. Two things have to agree before a difference is claimed, each at 5 % divided by
 * the number of metrics (Bonferroni): the bootstrap interval of the ratio of medians, and an exact test of signed
 * ranks (Wilcoxon 1945), which the random order makes valid whatever the noise looks like. The interval alone claims
 * too much where rounds are few, the test alone says nothing of how much. */
#ifndef AFTERFIN_CLI_COMPARE_STATS_H
#define AFTERFIN_CLI_COMPARE_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* Of one side. */
struct af_spread {
    double median, min, max;
};
struct af_spread af_spread_of(const double *values, size_t n);

struct af_difference {
    double ratio;     /* of the medians, B to A; 1 where both are 0, infinite where only A is */
    double low, high; /* its 95 % bootstrap interval */
    double p;         /* of the signed-rank test, two-sided; 1 where no round differs */
    bool differs;     /* interval and test, corrected, both say so */
};

/* a[i] and b[i] are round i; `metrics`: how many are looked at together, at least 1. */
struct af_difference af_difference_of(const double *a, const double *b, size_t n, size_t metrics);

/* Does any round differ? One that never does needs no correction for. */
bool af_varies(const double *a, const double *b, size_t n);

/* Rounds below which no claim about so many metrics can be made, whatever is measured. */
size_t af_rounds_needed(size_t metrics);

#endif
