/* Runs CMD as a child whose place we take: its signals are forwarded, its status becomes ours. */
#ifndef AFTERFIN_CLI_LAUNCH_CHILD_H
#define AFTERFIN_CLI_LAUNCH_CHILD_H

#include "cli/launch/supervisor.h"

#include <stdbool.h>
#include <sys/types.h>

struct af_child {
    pid_t pid;
    int status; /* to exit with: CMD's, 128+n for a signal; 126, 127, 125 where it did not start */
    bool started;
    bool signaled;     /* it was ended by a signal */
    int asked;         /* the last signal that asked us to end meanwhile (TERM, HUP, INT, QUIT); 0: none */
    bool unsupervised; /* its supervisor was killed before it ended */
    double elapsed_s;
};

/* What is to be done now and then while CMD runs; interval_s 0: nothing. */
struct af_periodic {
    unsigned interval_s;
    void (*call)(void *context);
    void *context;
};

/* Messages are in the name of `who`, a subcommand. CMD gets the signal mask and the dispositions that this process
 * was started with, and its descriptors 0 to 2 untouched. Returns when CMD has ended; children of its own may run on. As pid 1, whatever is
 * orphaned meanwhile is reaped. Signals stay blocked afterwards: what is left to do is short, and is
 * not to be cut off. What went wrong has been said. `supervisor`: which CMD is to be under; NULL: none. */
void af_child_run(const char *who, char **argv, char **environment, const struct af_supervisor *supervisor,
                  const struct af_periodic *periodic, struct af_child *child);

/* From the next child on, CMD alone has stdin, and stdout where that is said: at their other ends nobody waits for us. */
void af_child_leave_input(bool output_too);

/* The same with a function in place of CMD, called in the child; what it returns is the status. */
void af_child_call(const char *who, int (*function)(void *context), void *context, struct af_child *child);

/* At the start of the command: SIGXFSZ ends it no more, but CMD as ever. */
void af_child_spare_us(void);

/* Become CMD. Returns the status to exit with where that failed. */
int af_child_become(char **argv, char **environment, const struct af_supervisor *supervisor);

#endif
