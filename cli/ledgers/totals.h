/* Totals by program, added up from ledgers and from what logs tell of the same processes. */
#ifndef AFTERFIN_CLI_LEDGERS_TOTALS_H
#define AFTERFIN_CLI_LEDGERS_TOTALS_H

#include "cli/ledgers/entries.h"

#include <jansson.h>

/* The sum of a program's processes, or of all. */
struct af_sum {
    const char *program;
    uint64_t processes, running, time_wait_now;
    struct af_counts counts;
    json_t *errors, *time_wait_to;
    json_t *
        told; /* {"connects": n, "connect:ECONNREFUSED": n}: the counters of metrics that are known; metrics_history.h raises them */
};

struct af_totals {
    struct af_entries entries;
    struct af_sum *sums; /* by program, most time_wait first */
    size_t n_sums;
    struct af_sum total;
};

void af_totals_sum(struct af_totals *totals);
/* The sum of this program, an empty one where there was none; then the name is to live as long. */
struct af_sum *af_totals_of(struct af_totals *totals, const char *program);
void af_totals_free(struct af_totals *totals);

#endif
