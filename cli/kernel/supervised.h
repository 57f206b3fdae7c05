/* Is a program that nothing can be preloaded into under run's supervisor? */
#ifndef AFTERFIN_CLI_KERNEL_SUPERVISED_H
#define AFTERFIN_CLI_KERNEL_SUPERVISED_H

#include <stdbool.h>
#include <sys/types.h>

/* As a process whose supervisor has ended is let go by them, holders go by a name of their own. */
#define AF_HOLDER_NAME "seccomp-holder"

/* As far as can be seen: it has a filter, was started with the library to preload, and somebody holds such a filter's
 * listener. That the library is not in it the caller knows. */
bool af_is_supervised(pid_t pid);

#endif
