/* What metrics have told of the ledgers in a directory, and the counts of those that are gone from it: a counter of
 * Prometheus that falls is taken for one that began anew at 0, and all of it for an increase.
 *
 * Kept as DIRECTORY/metrics.json, which report --prometheus makes; where there is none, nobody has been told anything
 * and nothing is kept. It is private, replaced as a whole, and no byte of it is trusted. */
#ifndef AFTERFIN_CLI_LEDGERS_METRICS_HISTORY_H
#define AFTERFIN_CLI_LEDGERS_METRICS_HISTORY_H

#include "cli/ledgers/totals.h"

#define AF_METRICS_HISTORY_FILE "metrics.json"

struct af_metrics_history {
    int directory, lock;    /* descriptors */
    json_t *programs;       /* {"curl": {"removed": {NAME: n}, "told": {NAME: n}}}; NAME: of af_sum's told */
    struct af_strings gone; /* entries of the directory that are in `removed` and yet to be unlinked */
};

/* Lock the directory's file (made where there is none) and read it. While it is open no ledger is removed or moved by
 * another. 0, or -errno: EAGAIN where somebody else has kept it locked for 10 s. */
int af_metrics_history_open(struct af_metrics_history *history, int directory);
/* Raise `told` of the sums to what is to be told: programs that are gone are added, what was told before is
 * never gone below. Then keep it. 0, or -errno: not kept. The programs' names are good until
 * af_metrics_history_close. */
int af_metrics_history_record(struct af_metrics_history *history, struct af_totals *totals);
void af_metrics_history_close(struct af_metrics_history *history);

/* Call it before entries of the directory, ledgers or the directories of runs, are removed: their counts are kept.
 * `leaving` NULL: they are only moved. Where they cannot be kept it is said why, and they may go all the same. A
 * descriptor, to be closed when they are gone; -EAGAIN: not now (as above); else there is nothing to wait for. */
int af_metrics_history_keep(int directory, const struct af_strings *leaving);

#endif
