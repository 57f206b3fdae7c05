/* Who refused us another process: the kernel asks the same (ptrace(2), "Ptrace access mode checking") for its descriptors
 * as for its memory. */
#ifndef AFTERFIN_CLI_KERNEL_PTRACE_H
#define AFTERFIN_CLI_KERNEL_PTRACE_H

#include <sys/types.h>

/* One line, from malloc: why this -errno came of looking into process `pid`, and what to do about it. */
char *af_refusal(pid_t pid, int error);

#endif
