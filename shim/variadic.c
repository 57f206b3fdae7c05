/* The exported functions that end in `...`, and so cannot be rows of one shape. */
#include "shim/shim.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static void resolved(void) {
    if (AF_UNLIKELY(!af_real.fcntl))
        af_resolve();
}

static inline int any_fcntl(int fd, int command, void *argument) {
    return af.on ? af_on_fcntl(fd, command, argument, false) : af_real.fcntl(fd, command, argument);
}

/* Every command takes at most one argument, an int or a pointer, which travel alike. */
#define FCNTL(function, any) \
    EXPORT int function(int fd, int command, ...); \
    int function(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        resolved(); \
        return any(fd, command, argument); \
    }
#define FCNTL_AS(name, any) \
    EXPORT int af_export_##name(int fd, int command, ...) __asm__(#name); \
    FCNTL(af_export_##name, any)
FCNTL_AS(__fcntl, any_fcntl)
#ifdef __i386__
/* A lock of an open file description has offsets of 32 or of 64 bits, by the function; all other commands say so by their
 * number. Before 2.28 glibc has one fcntl, and that takes those of 64. */
int af_fcntl_of_64(int fd, int command, void *argument) {
    const bool by_function = command >= F_OFD_GETLK && command <= F_OFD_SETLKW && af_real.fcntl64;
    return by_function ? af_real.fcntl64(fd, command, argument) : any_fcntl(fd, command, argument);
}
__asm__(".symver af_fcntl, fcntl@@GLIBC_2.28, remove");
__asm__(".symver af_fcntl_old, fcntl@GLIBC_2.0, remove");
FCNTL(af_fcntl, any_fcntl)
FCNTL(af_fcntl_old, af_fcntl_of_64)
FCNTL_AS(fcntl64, af_fcntl_of_64)
FCNTL_AS(__fcntl_time64, af_fcntl_of_64)
#else
FCNTL_AS(fcntl, any_fcntl)
FCNTL_AS(fcntl64, any_fcntl)
#endif

#define PRCTL(name) \
    EXPORT int af_export_##name(int option, ...) __asm__(#name); \
    int af_export_##name(int option, ...) { \
        unsigned long a[4]; \
        va_list rest; \
        va_start(rest, option); \
        for (int i = 0; i < 4; i++) \
            a[i] = va_arg(rest, unsigned long); \
        va_end(rest); \
        resolved(); \
        const bool seals = option == PR_SET_SECCOMP && af.on && af_seal(); \
        int result = af_real.prctl(option, a[0], a[1], a[2], a[3]); \
        if (seals && result < 0) \
            af_unseal(); \
        return result; \
    }
PRCTL(prctl)
#ifdef __i386__
PRCTL(__prctl_time64)

/* What is left of the time goes back in the caller's 64 bits. */
int af_recvmmsg_of_64(int fd, struct mmsghdr *messages, unsigned n, int flags, struct af_time64 *timeout) {
    const bool can = timeout && af_can_read(timeout, sizeof *timeout);
    struct timespec short_time = { 0 };
    if (can) {
        short_time.tv_sec = timeout->s > INT32_MAX ? INT32_MAX : (time_t)timeout->s;
        short_time.tv_nsec = timeout->ns;
    }
    struct timespec *asked = can ? &short_time : (struct timespec *)timeout;
    resolved();
    int got = af.on ? af_on_recvmmsg(fd, messages, n, flags, asked, false)
                    : af_real.recvmmsg(fd, messages, n, flags, asked);
    if (can && got >= 0) {
        timeout->s = short_time.tv_sec;
        timeout->ns = (int32_t)short_time.tv_nsec;
    }
    return got;
}
#define RECVMMSG(name) \
    EXPORT int af_export_##name(int fd, struct mmsghdr *messages, unsigned n, int flags, \
                                struct af_time64 *timeout) __asm__(#name); \
    int af_export_##name(int fd, struct mmsghdr *messages, unsigned n, int flags, struct af_time64 *timeout) { \
        return af_recvmmsg_of_64(fd, messages, n, flags, timeout); \
    }
RECVMMSG(__recvmmsg64)
RECVMMSG(__recvmmsg_time64)
#endif

/* A child that shares our memory but not our descriptors runs hooks on the parent's table. */
static void note_clone(unsigned long flags) {
    if (!(flags & CLONE_VM))
        af_before_fork();
    else if (!(flags & CLONE_THREAD))
        af_note_clone_vm(flags & CLONE_FILES);
}

static void cloned(unsigned long flags, long child) {
    if (!(flags & CLONE_VM))
        af_after_fork((pid_t)child);
}

#define CLONE(name) \
    EXPORT int af_export_##name(int (*run)(void *), void *stack, int flags, void *argument, ...) __asm__(#name); \
    int af_export_##name(int (*run)(void *), void *stack, int flags, void *argument, ...) { \
        va_list rest; \
        va_start(rest, argument); \
        void *a[3]; \
        for (int i = 0; i < 3; i++) \
            a[i] = va_arg(rest, void *); \
        va_end(rest); \
        resolved(); \
        if (af.on) \
            note_clone((unsigned)flags); \
        int child = af_real.clone(run, stack, flags, argument, a[0], a[1], a[2]); \
        if (af.on) \
            cloned((unsigned)flags, child); \
        return child; \
    }
CLONE(clone)
CLONE(__clone)

/* The arguments of execl and its like, as the array that execv takes. They stop at the first NULL; what
 * follows it is execle's environment. */
#define COUNT_ARGUMENTS(n, first) \
    int n = 1; \
    do { \
        va_list counting; \
        va_start(counting, first); \
        while (n <= 1 << 20 && va_arg(counting, char *)) \
            n++; \
        va_end(counting); \
    } while (0)

static char **collect(char **argv, int n, const char *first, va_list *rest) {
    argv[0] = (char *)(uintptr_t)first;
    for (int i = 1; i <= n; i++)
        argv[i] = va_arg(*rest, char *);
    return argv;
}

#define EXEC(name, with_environment, call) \
    EXPORT int af_export_##name(const char *path, const char *first, ...) __asm__(#name); \
    int af_export_##name(const char *path, const char *first, ...) { \
        COUNT_ARGUMENTS(n, first); \
        char *argv[n + 1]; \
        va_list rest; \
        va_start(rest, first); \
        collect(argv, n, first, &rest); \
        char **envp = with_environment ? va_arg(rest, char **) : NULL; \
        va_end(rest); \
        (void)envp; \
        resolved(); \
        return call; \
    }
EXEC(execl, false, af.on ? af_on_execv(path, argv) : af_real.execv(path, argv))
EXEC(execlp, false, af.on ? af_on_execvp(path, argv) : af_real.execvp(path, argv))
EXEC(execle, true, af.on ? af_on_execve(path, argv, envp, false) : af_real.execve(path, argv, envp))
