/* A run that outlives its TIME_WAITs: the kernel's table is looked at now and then, and what was seen there of
 * ours is remembered after it has expired. Memory is bounded by the kernel's table and by the ledgers: one entry
 * for each TIME_WAIT that stands, one number for each process, one cookie for each connection of a killed one. */
#ifndef AFTERFIN_CLI_LEDGERS_SAMPLE_H
#define AFTERFIN_CLI_LEDGERS_SAMPLE_H

#include "cli/kernel/diag.h"
#include "cli/ledgers/collect.h"

/* A process, whatever row it has in one collection. */
struct af_sample_key {
    uint64_t image_started;
    int32_t image_pid;
    uint32_t slot; /* AF_NO_SLOT: not known; a killed process's, or not ours */
};

int af_sample_key_compare(const struct af_sample_key *x, const struct af_sample_key *y);
/* Of a row; slot AF_NO_SLOT for AF_NO_ROW. */
struct af_sample_key af_sample_key_of(const struct af_collection *collection, size_t row);

struct af_standing {
    uint64_t cookie;
    struct af_sample_key key;
    bool has_no_end; /* a live record, or one handed on: whose it was is found out at the end */
};

struct af_expired {
    struct af_sample_key key;
    uint64_t n;
};

/* All zero at first. */
struct af_samples {
    struct af_standing *standing; /* in TIME_WAIT when last looked, by cookie */
    struct af_expired *expired;   /* by key */
    uint64_t *gone;               /* cookies of those that were in TIME_WAIT, and are no more */
    size_t n_standing, n_expired, n_gone;
};

/* Seconds between two looks: every TIME_WAIT, and every orphan in FIN_WAIT2 with this tcp_fin_timeout, must be
 * there at one of them. */
unsigned af_sample_interval(unsigned fin_timeout_s);

/* Has this dump a TIME_WAIT that was not there at the last look? Else the ledgers need not be read. */
bool af_sample_has_new(const struct af_samples *samples, const struct af_kernel_sockets *kernel);

/* Remember what is there; the ledgers were collected after the dump, so that they have every end that is in it,
 * and af_settle_records has been called. NULL: there is nothing new. */
void af_sample_add(struct af_samples *samples, const struct af_kernel_sockets *kernel,
                   const struct af_collection *collection);

/* At the end, before af_settle_kernel with the last dump: `confirmed` of the rows gets what was seen earlier and
 * is not in the dump. Returns how many. */
uint64_t af_sample_settle(struct af_samples *samples, struct af_collection *collection,
                          const struct af_kernel_sockets *kernel, uint64_t net_ns);

void af_samples_free(struct af_samples *samples);

#endif
