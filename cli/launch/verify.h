/* A run against the kernel's table: before it, now and then while it lasts, and after it. */
#ifndef AFTERFIN_CLI_LAUNCH_VERIFY_H
#define AFTERFIN_CLI_LAUNCH_VERIFY_H

#include "cli/launch/result.h"
#include "cli/ledgers/sample.h"

struct af_verify {
    struct af_result *result;
    int directory;       /* of the run's ledgers */
    unsigned interval_s; /* between two samples; 0: the table cannot be read, there is nothing to sample */
    struct af_samples samples;
};

/* Fills dumped, why and before of the result, and interval_s. */
void af_verify_begin(struct af_verify *verify, int directory);

/* To be called every interval_s; the context is the struct af_verify. */
void af_verify_sample(void *context);

/* result->found has been collected: its predictions become facts. */
void af_verify_end(struct af_verify *verify);

#endif
