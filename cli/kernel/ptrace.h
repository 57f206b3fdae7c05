/* Who refused us another process: the kernel asks the same (ptrace(2), "Ptrace access mode checking") for its descriptors
 * as for its memory. */
#ifndef AFTERFIN_CLI_KERNEL_PTRACE_H
#define AFTERFIN_CLI_KERNEL_PTRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One line, from malloc: why this -errno came of looking into process `pid`, and what to do about it. */
char *af_refusal(pid_t pid, int error);

/* The part of it that is Yama's: `scope` is kernel.yama.ptrace_scope (-1: there is no Yama), `all` whether we have
 * CAP_SYS_PTRACE. NULL: it was not Yama. */
char *af_refusal_by_yama(int64_t scope, bool all);

#endif
