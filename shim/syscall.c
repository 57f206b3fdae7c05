/* syscall(): the numbers of the calls that we intercept go to their hooks, which end in that system call and in no
 * function of another library's; all others straight on. A bare system call is no cancellation point, nor is a hook. */
#include "shim/shim.h"

#include <fcntl.h>

#include <linux/sched.h>
#include <sys/prctl.h>

static long forked(long number, const long a[6]) {
    unsigned long flags = 0;
    if (number == SYS_clone)
        flags = (unsigned long)a[0];
    else if (number == SYS_clone3 && af_can_read((void *)a[0], sizeof(uint64_t)))
        flags = *(const uint64_t *)a[0];
    bool copies = !(flags & CLONE_VM);
    if (copies)
        af_before_fork();
    else if (!(flags & CLONE_THREAD))
        af_note_clone_vm(flags & CLONE_FILES);
    long child = af_real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (copies)
        af_after_fork((pid_t)child);
    return child;
}

static long sealing(long number, const long a[6]) {
    bool seals = number == SYS_seccomp ? (unsigned)a[0] <= 1 : (int)a[0] == PR_SET_SECCOMP;
    seals = seals && af_seal();
    long result = af_real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (seals && result < 0)
        af_unseal();
    return result;
}

static long executed(long number, const long a[6]) {
    if (number == SYS_execveat)
        return af_on_execveat((int)a[0], (const char *)a[1], (char **)a[2], (char **)a[3], (int)a[4], true);
    return af_on_execve((const char *)a[0], (char **)a[1], (char **)a[2], true);
}

static long on_process(long number, const long a[6]) {
    switch (number) {
#ifdef SYS_fork
    case SYS_fork:
    case SYS_vfork: /* through a function vfork cannot work; fork serves every right use of it */
        return forked(SYS_fork, a);
#endif
    case SYS_clone:
    case SYS_clone3: return forked(number, a);
    case SYS_prctl:
    case SYS_seccomp: return sealing(number, a);
    case SYS_execve:
    case SYS_execveat: return executed(number, a);
    case SYS_unshare: return af_on_unshare((int)a[0], true);
    case SYS_exit_group:
        if (!af_in_vfork_child())
            af_finish(true);
        /* fall through */
    default: return af_real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

static long on_descriptor(long number, const long a[6]) {
    int fd = (int)a[0];
    switch (number) {
    case SYS_close: return af_on_close(fd, true);
    case SYS_close_range: return af_on_close_range((unsigned)a[0], (unsigned)a[1], (int)a[2], true);
    case SYS_shutdown: return af_on_shutdown(fd, (int)a[1], true);
    case SYS_dup: return af_on_dup(fd, true);
#ifdef SYS_dup2
    case SYS_dup2: return af_on_dup2(fd, (int)a[1], true);
#endif
    case SYS_dup3: return af_on_dup3(fd, (int)a[1], (int)a[2], true);
#ifdef SYS_fcntl64
    case SYS_fcntl64:
#endif
    case SYS_fcntl: /* the function does more than the call for some commands: F_GETOWN, F_SETLKW */
        if ((int)a[1] == F_DUPFD || (int)a[1] == F_DUPFD_CLOEXEC)
            return af_on_fcntl(fd, (int)a[1], (void *)a[2], true);
        return on_process(number, a);
    case SYS_pidfd_getfd: return af_on_pidfd_getfd(fd, (int)a[1], (unsigned)a[2], true);
    case SYS_sendto:
        return af_on_sendto(fd, (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (socklen_t)a[5], true);
    case SYS_sendmsg: return af_on_sendmsg(fd, (void *)a[1], (int)a[2], true);
    case SYS_sendmmsg: return af_on_sendmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3], true);
    case SYS_recvmsg: return af_on_recvmsg(fd, (void *)a[1], (int)a[2], true);
    case SYS_recvmmsg: return af_on_recvmmsg(fd, (void *)a[1], (unsigned)a[2], (int)a[3], (void *)a[4], true);
    default: return on_process(number, a);
    }
}

long af_on_syscall(long number, const long a[6]) {
    int fd = (int)a[0];
    switch (number) {
    case SYS_socket: return af_on_socket(fd, (int)a[1], (int)a[2], true);
    case SYS_connect: return af_on_connect(fd, (void *)a[1], (socklen_t)a[2], true);
#ifdef SYS_accept
    case SYS_accept: return af_on_accept(fd, (void *)a[1], (void *)a[2], true);
#endif
    case SYS_accept4: return af_on_accept4(fd, (void *)a[1], (void *)a[2], (int)a[3], true);
    case SYS_bind: return af_on_bind(fd, (void *)a[1], (socklen_t)a[2], true);
    case SYS_listen: return af_on_listen(fd, (int)a[1], true);
    case SYS_getsockname: return af_on_getsockname(fd, (void *)a[1], (void *)a[2], true);
    case SYS_setsockopt: return af_on_setsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (socklen_t)a[4], true);
    case SYS_getsockopt: return af_on_getsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (void *)a[4], true);
    default: return on_descriptor(number, a);
    }
}

#ifdef SYS_socketcall
/* One number for all: the call and where its arguments are. The kernel has each as a number of its own since 4.3. */
static long on_socketcall(const long a[6]) {
    static const struct {
        short number;
        unsigned char arguments;
    } calls[] = {
        { 0, 0 },
        { SYS_socket, 3 },
        { SYS_bind, 3 },
        { SYS_connect, 3 },
        { SYS_listen, 2 },
        { SYS_accept4, 3 }, /* accept: with no flags */
        { SYS_getsockname, 3 },
        { 0, 0 }, /* getpeername */
        { 0, 0 }, /* socketpair */
        { 0, 0 }, /* send */
        { 0, 0 }, /* recv */
        { SYS_sendto, 6 },
        { 0, 0 }, /* recvfrom */
        { SYS_shutdown, 2 },
        { SYS_setsockopt, 5 },
        { SYS_getsockopt, 5 },
        { SYS_sendmsg, 3 },
        { SYS_recvmsg, 3 },
        { SYS_accept4, 4 },
        { SYS_recvmmsg, 5 },
        { SYS_sendmmsg, 4 },
    };
    const unsigned long call = (unsigned long)a[0];
    long of[6] = { 0 };
    const bool known = call < sizeof calls / sizeof *calls && calls[call].number &&
                       af_can_read((void *)a[1], calls[call].arguments * sizeof(long));
    for (int i = 0; known && i < calls[call].arguments; i++)
        of[i] = ((const long *)a[1])[i];
    return known ? af_on_syscall(calls[call].number, of) : af_real.syscall(SYS_socketcall, a[0], a[1]);
}
#endif

/* Like libc's it takes six arguments, whether they are there or not; AddressSanitizer would not have it. */
__attribute__((visibility("default"), no_sanitize_address)) long af_export_syscall(long number, ...) __asm__("syscall");
long af_export_syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (AF_UNLIKELY(!af_real.syscall))
        af_resolve();
    if (!af.on || af_is_next_in_line(__builtin_return_address(0)))
        return af_real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
#ifdef SYS_socketcall
    if (number == SYS_socketcall)
        return on_socketcall(a);
#endif
    return af_on_syscall(number, a);
}
