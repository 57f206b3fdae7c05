/* The parts of one run of compare, in the process that is made for it. */
#ifndef AFTERFIN_CLI_COMPARE_ROUND_H
#define AFTERFIN_CLI_COMPARE_ROUND_H

#include "cli/compare/experiment.h"
#include "cli/kernel/diag.h"
#include "cli/launch/result.h"

/* The kernel's table as it is, in order of cookies; false: it has been said why there is none. */
bool af_compare_dump(struct af_kernel_sockets *sockets);
uint64_t af_compare_time_waits(const struct af_kernel_sockets *sockets);

/* Fill in all values. `left`, the table after the run, is cut down to what was not there before. */
void af_compare_measure(struct af_measure *measure, const struct af_result *result, struct af_kernel_sockets *left,
                        const struct af_kernel_sockets *before);

/* --settle: end those TIME_WAITs among `left` that the run's own processes left. False: it has been said why not. */
bool af_compare_reap(const struct af_result *result, struct af_kernel_sockets *left);
/* Or wait until all have expired. */
void af_compare_wait(const struct af_experiment *experiment, struct af_kernel_sockets *left);

#endif
