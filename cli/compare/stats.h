/* What differs between two sides beyond noise, over all metrics. Pure arithmetic, the same for the same numbers.
 *
 * Each metric that varies has an exact rank test (rank.h). Those whose ranks are the same are one thing and counted once;
 * those that could not be told at 5 % in any order are not counted; the others share 5 % as Holm (1979) does. None of
 * that looks at which run was whose, so that of comparisons of a thing with itself no more than 5 in 100 claim anything. */
#ifndef AFTERFIN_CLI_COMPARE_STATS_H
#define AFTERFIN_CLI_COMPARE_STATS_H

#include "cli/compare/order.h"

#include <stdbool.h>

/* Of one side. */
struct af_spread {
    double median, min, max;
    double low, high; /* of the median, 95 %; min and max where fewer than 6 carry no more */
};
struct af_spread af_spread_of(const double *values, size_t n);

struct af_difference {
    double ratio;     /* of the medians, B to A; 1 where both are 0, infinite where only A is */
    double low, high; /* 95 %; of 3 rounds and fewer all there are */
    double p;         /* of the test, two-sided; 1 where nothing varies */
    double holm;      /* the same with all metrics looked at; 1 of what cannot be told */
    bool differs;     /* which is 5 % at most */
    bool plain;       /* each of at least 3 runs of A has one value, each of B another: to be seen without a test */
};

/* values[m] are of metric m, in the order of runs; out has room for so many. Returns how many different things vary. */
size_t af_differences_of(const struct af_order *order, size_t metrics, double *const values[],
                         struct af_difference out[]);

/* So many tell 10 % more from noise of 5 %, nine times of ten, where 6 things vary. */
enum { AF_ROUNDS_FOR_A_TENTH = 12 };

/* Rounds below which nothing can be claimed, whatever is measured, where so many different things vary. */
unsigned af_rounds_needed(size_t varying);

#endif
