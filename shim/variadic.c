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

/* Every command takes at most one argument, an int or a pointer, which travel alike. */
#define FCNTL(name) \
    EXPORT int af_export_##name(int fd, int command, ...) __asm__(#name); \
    int af_export_##name(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        resolved(); \
        return af.on ? af_on_fcntl(fd, command, argument, false) : af_real.fcntl(fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)

EXPORT int af_export_prctl(int option, ...) __asm__("prctl");
int af_export_prctl(int option, ...) {
    unsigned long a[4];
    va_list rest;
    va_start(rest, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(rest, unsigned long);
    va_end(rest);
    resolved();
    const bool seals = option == PR_SET_SECCOMP && af.on && af_seal();
    int result = af_real.prctl(option, a[0], a[1], a[2], a[3]);
    if (seals && result < 0)
        af_unseal();
    return result;
}

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
