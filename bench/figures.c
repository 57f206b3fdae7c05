#include "bench/bench.h"

#include <stdlib.h>

unsigned bounds_met, bounds_unclear, bounds_missed;

void series_add(struct series *s, double value) {
    if (s->n < MOST_ROUNDS)
        s->value[s->n++] = value;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_at(struct series *s, double share) {
    qsort(s->value, s->n, sizeof *s->value, ascending);
    double at = share * (double)(s->n - 1);
    size_t below = (size_t)at;
    if (s->n == 0 || below + 1 >= s->n)
        return s->n ? s->value[s->n - 1] : 0;
    return s->value[below] + (at - (double)below) * (s->value[below + 1] - s->value[below]);
}

const char *verdict(double figure, double lower_quartile, double bound) {
    if (figure <= bound) {
        bounds_met++;
        return "met";
    }
    if (lower_quartile <= bound) {
        bounds_unclear++;
        return "unclear";
    }
    bounds_missed++;
    return "MISSED";
}
