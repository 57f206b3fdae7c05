/* What not every C library has: with it one source of a victim is built for each. Where a function came late, it is asked
 * of dlsym, as programs do that want to run anywhere, and else the system call is made. */
#ifndef LIBC_H
#define LIBC_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "ECONNREFUSED" */
static inline const char *error_name(int error) {
    static const char *const names[] = {
#define ERRNO(name) [name] = #name,
#include "ledger/errno_names.def"
#undef ERRNO
        [0] = "0",
    };
    return error >= 0 && error < (int)(sizeof names / sizeof *names) && names[error] ? names[error] : "unknown";
}

/* getopt, with operands before options, which glibc's alone puts behind them. */
static inline int next_option(int argc, char **argv, const char *options) {
    if (optind < argc && argv[optind][0] != '-') {
        int at = optind;
        while (at < argc && argv[at][0] != '-')
            at++;
        if (at == argc)
            return -1;
        const char *known = strchr(options, argv[at][1]);
        for (int n = known && known[1] == ':' && !argv[at][2] && at + 1 < argc ? 2 : 1, to = optind; n > 0;
             n--, at++, to++) {
            char *option = argv[at];
            memmove(&argv[to + 1], &argv[to], (size_t)(at - to) * sizeof *argv);
            argv[to] = option;
        }
    }
    return getopt(argc, argv, options);
}

#if __has_include(<sys/pidfd.h>)
#include <sys/pidfd.h>
#else
static inline int pidfd_open(pid_t pid, unsigned flags) {
    return (int)syscall(SYS_pidfd_open, pid, flags);
}
#endif

#ifndef SYS_close_range /* the kernel's headers know it, glibc's list of them does not */
#define SYS_close_range __NR_close_range
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd __NR_pidfd_getfd
#endif

/* Bare system calls that newer processors do not have. */
static inline int raw_dup2(int fd, int to) {
#ifdef SYS_dup2
    return (int)syscall(SYS_dup2, fd, to);
#else
    return fd == to ? (int)syscall(SYS_fcntl, fd, F_GETFD) < 0 ? -1 : fd : (int)syscall(SYS_dup3, fd, to, 0);
#endif
}
static inline pid_t raw_fork(void) {
#ifdef SYS_fork
    return (pid_t)syscall(SYS_fork);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

#if !defined __GLIBC__ || __GLIBC__ == 2 && __GLIBC_MINOR__ < 36
#define LATE(name, parameters, arguments, ...) \
    static inline int late_##name parameters { \
        int(*there) parameters = (int(*) parameters)dlsym(RTLD_DEFAULT, #name); \
        return there ? there arguments : (int)(__VA_ARGS__); \
    }
LATE(close_range, (unsigned first, unsigned last, int flags), (first, last, flags),
     syscall(SYS_close_range, first, last, flags))
LATE(closefrom, (int first), (first), syscall(SYS_close_range, first < 0 ? 0 : first, ~0u, 0))
LATE(pidfd_getfd, (int pidfd, int fd, unsigned flags), (pidfd, fd, flags), syscall(SYS_pidfd_getfd, pidfd, fd, flags))
LATE(execveat, (int dir, const char *path, char *const argv[], char *const envp[], int flags),
     (dir, path, argv, envp, flags), syscall(SYS_execveat, dir, path, argv, envp, flags))
LATE(bindresvport, (int fd, struct sockaddr_in *addr), (fd, addr), (errno = ENOSYS, -1))
LATE(_Fork, (void), (), fork())
#undef LATE
#define close_range late_close_range
#define closefrom late_closefrom
#define pidfd_getfd late_pidfd_getfd
#define execveat late_execveat
#define bindresvport late_bindresvport
#define _Fork late__Fork
#endif

#ifdef __GLIBC__
#define accept4_odd(fd, flags) accept4(fd, NULL, NULL, flags)
#define dup3_odd(fd, to, flags) dup3(fd, to, flags)
#else
/* Flags that the kernel refuses: musl 1.2.3 then goes on to accept, or takes dup2 at once. */
#define accept4_odd(fd, flags) ((int)syscall(SYS_accept4, fd, NULL, NULL, flags))
#define dup3_odd(fd, to, flags) ((int)syscall(SYS_dup3, fd, to, flags))

/* Names that glibc alone has besides. */
#define __clone clone
#define __close close
#define __connect connect
#define __dup2 dup2
#define __fcntl fcntl
#define __fork fork
#define __vfork vfork
#define _IO_fclose fclose
#define fcloseall() fflush(NULL)
#define fcntl64 fcntl
#ifndef freopen64
#define freopen64 freopen
#endif
#endif

#endif
