/* See histogram.h. */
#include "ledger/histogram.h"

void af_histogram_add(struct af_histogram *to, const struct af_histogram *from) {
    for (unsigned i = 0; i < AF_BUCKETS; i++)
        to->count[i] += from->count[i];
    if (from->max > to->max)
        to->max = from->max;
}

uint64_t af_histogram_total(const struct af_histogram *times) {
    uint64_t total = 0;
    for (unsigned i = 0; i < AF_BUCKETS; i++)
        total += times->count[i];
    return total;
}

/* Of `n` times that lie evenly in the bucket, the one after `before` of them. */
static double within(const struct af_histogram *times, unsigned bucket, double before, double n) {
    const double from = (double)af_bucket_from(bucket), max = (double)times->max;
    double to = bucket + 1 < AF_BUCKETS ? (double)af_bucket_from(bucket + 1) : max;
    to = to < max ? to : max;
    return to > from ? from + (to - from) * before / n : to;
}

double af_histogram_quantile(const struct af_histogram *times, double share) {
    const double wanted = share * (double)af_histogram_total(times);
    double seen = 0;
    for (unsigned i = 0; i < AF_BUCKETS; i++) {
        const double n = (double)times->count[i];
        if (n > 0 && seen + n >= wanted)
            return within(times, i, wanted - seen, n);
        seen += n;
    }
    return 0;
}
