/* Are the runs of one side higher than those of the other? The exact rank test of two samples (Wilcoxon 1945, Mann and
 * Whitney 1947), stratified by block as van Elteren (1960) does: the random order of runs (order.h) makes it valid,
 * whatever the noise looks like. Of more than 200 rounds its distribution is as good as normal. */
#ifndef AFTERFIN_CLI_COMPARE_RANK_H
#define AFTERFIN_CLI_COMPARE_RANK_H

#include "cli/compare/order.h"

#include <stdbool.h>

/* Ranks of all runs that are made, each within its block, doubled: equal values share their mean rank. They do not
 * depend on which run was whose. */
void af_ranks_of(const struct af_order *order, const double *values, unsigned *doubled);

/* Are two metrics one thing counted twice: the same ranks, or each other's mirror image? Their test is the same then. */
bool af_ranks_agree(const struct af_order *order, const unsigned *x, const unsigned *y);

struct af_rank_test {
    double p;     /* two-sided; 1 where nothing varies */
    double least; /* the least that p could be with these ranks, had the order been another */
};
struct af_rank_test af_rank_test(const struct af_order *order, const unsigned *doubled);

/* Of all pairs of a run of A and one of B in the same block, how many may be left out at each end so that the ratio lies
 * between those that remain with a confidence of 95 %: those ratios that the test does not reject (Hodges and Lehmann
 * 1963). False: the confidence of all of them is less. */
bool af_rank_pairs(const struct af_order *order, size_t *left_out);

#endif
