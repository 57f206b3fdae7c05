/* A run against the kernel's table: before it, now and then while it lasts, and after it. */
#ifndef AFTERFIN_CLI_LAUNCH_VERIFY_H
#define AFTERFIN_CLI_LAUNCH_VERIFY_H

#include "cli/launch/result.h"
#include "cli/ledgers/sample.h"

struct af_confirm {
    struct af_result *result;
    int directory; /* of the run's ledgers */
    unsigned interval_s; /* between two looks; 0: the table cannot be read, there is nothing to look at */
    struct af_samples samples;
};

/* Fills dumped, why and before of the result, and interval_s. */
void af_confirm_begin(struct af_confirm *confirm, int directory);

/* To be called every interval_s; the context is the struct af_confirm. */
void af_confirm_look(void *context);

/* result->found has been collected: its predictions become facts. */
void af_confirm_end(struct af_confirm *confirm);

#endif
