/* If compare is killed, somebody has to end what --prepare has started, and the run that is under way. */
#ifndef AFTERFIN_CLI_COMPARE_GUARD_H
#define AFTERFIN_CLI_COMPARE_GUARD_H

#include "policy/policy.h"

#include <stdbool.h>
#include <sys/types.h>

/* What is there to be ended; 0: nothing. In memory shared by compare, its run and its guard. */
struct af_guarded {
    pid_t run;   /* the run's process, ours */
    pid_t group; /* of --prepare, which may have left something running */
};

struct af_guard {
    struct af_guarded *guarded;
    pid_t pid;
    int lifeline; /* the guard acts when nobody has it open any more; not for a run's process */
};

/* A process beside this one, which waits for its end; ledgers are kept as either policy says. False: it has been said why there is none. */
bool af_guard_start(struct af_guard *guard, const struct af_policy *a, const struct af_policy *b);
/* All is over, and the guard ends. */
void af_guard_end(struct af_guard *guard);

/* End a process group: SIGTERM, and SIGKILL where that does not help. Our own children among them are collected. */
void af_end_group(pid_t group);

#endif
