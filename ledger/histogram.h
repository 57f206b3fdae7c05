/* Which bucket of a histogram (layout.h) a time falls into. Exact below 16 ns; above, 16 buckets for each power of
 * two, so that a bucket is at most 1/16 as wide as what is in it. */
#ifndef AFTERFIN_LEDGER_HISTOGRAM_H
#define AFTERFIN_LEDGER_HISTOGRAM_H

#include "ledger/layout.h"

enum { AF_BUCKET_BITS = 4, AF_BUCKETS_A_POWER = 1 << AF_BUCKET_BITS };

static inline unsigned af_bucket_of(uint64_t ns) {
    const uint64_t least = ns | AF_BUCKETS_A_POWER;                                  /* of which all bits count */
    const unsigned below = (63 ^ (unsigned)__builtin_clzll(least)) - AF_BUCKET_BITS; /* bits that do not */
    return below * AF_BUCKETS_A_POWER + (unsigned)(ns >> below);
}
_Static_assert(AF_BUCKETS == (64 - AF_BUCKET_BITS + 1) * AF_BUCKETS_A_POWER, "there is one for every time");

/* The least time in it. */
static inline uint64_t af_bucket_from(unsigned bucket) {
    if (bucket < AF_BUCKETS_A_POWER)
        return bucket;
    unsigned power = bucket / AF_BUCKETS_A_POWER + AF_BUCKET_BITS - 1;
    return (uint64_t)(AF_BUCKETS_A_POWER + bucket % AF_BUCKETS_A_POWER) << (power - AF_BUCKET_BITS);
}

/* The command's side (histogram.c). Add one to another. */
void af_histogram_add(struct af_histogram *to, const struct af_histogram *from);
uint64_t af_histogram_total(const struct af_histogram *times);
/* The time, ns, that this share (0 to 1) of them did not exceed, within 1/16; 0 of none. */
double af_histogram_quantile(const struct af_histogram *times, double share);

#endif
