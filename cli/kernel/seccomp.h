/* Seccomp filters that we, and so whoever we start, live under. */
#ifndef AFTERFIN_CLI_KERNEL_SECCOMP_H
#define AFTERFIN_CLI_KERNEL_SECCOMP_H

/* The system calls that the library makes besides a program's own (LIMITS in afterfin(7)) for which a filter that is in
 * force here kills: "kcmp, madvise", from malloc; NULL: there are none. Each is tried, to no effect, in a child; where
 * there is no filter, none is. */
char *af_seccomp_kills(void);

#endif
