/* Runs CMD as a child whose place we take: its signals are forwarded, its status becomes ours. */
#ifndef AFTERFIN_CLI_CHILD_H
#define AFTERFIN_CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct af_child {
    pid_t pid;
    int status;     /* to exit with: CMD's, 128+n for a signal; 126, 127, 125 where it did not start */
    bool started;
    bool signaled;  /* it was ended by a signal */
    double elapsed_s;
};

/* What is to be done now and then while CMD runs; interval_s 0: nothing. */
struct af_watch {
    unsigned interval_s;
    void (*look)(void *context);
    void *context;
};

/* CMD gets the signal mask and the dispositions that this process was started with, and its descriptors
 * 0 to 2 untouched. Returns when CMD has ended; children of its own may run on. As pid 1, whatever is
 * orphaned meanwhile is reaped. Signals stay blocked afterwards: what is left to do is short, and is
 * not to be cut off. What went wrong has been said. */
void af_child_run(char **argv, char **environment, const struct af_watch *watch, struct af_child *child);

/* Become CMD. Returns the status to exit with where that failed. */
int af_child_become(char **argv, char **environment);

#endif
