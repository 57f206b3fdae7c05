/* Installs a seccomp filter by the way named, and goes on. The filter kills the process at every system call that
 * this program does not make itself from then on.
 *
 * sealed WAY ADDRESS PORT N    N connections before the filter, N while it is there
 * sealed exec COMMAND...       under a filter that lets all pass, become COMMAND */
#include "way.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter only_ours[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(socket),
    ALLOW(connect),
#ifdef SYS_socketcall /* glibc's way on i386 */
    ALLOW(socketcall),
    ALLOW(waitpid),
#endif
    ALLOW(close),
    ALLOW(sendto),
    ALLOW(shutdown),
    ALLOW(dup),
#ifdef SYS_dup2
    ALLOW(dup2),
#endif
    ALLOW(dup3),
    ALLOW(bind),
    ALLOW(listen),
    ALLOW(setsockopt),
    ALLOW(close_range),
    ALLOW(clone),
#ifdef SYS_vfork
    ALLOW(vfork),
#endif
    ALLOW(wait4),
    ALLOW(execve),
    ALLOW(exit_group),
    ALLOW(set_robust_list),
#ifndef __GLIBC__ /* musl's fork */
#ifdef SYS_fork
    ALLOW(fork),
#endif
    ALLOW(gettid),
#endif
    ALLOW(rt_sigprocmask),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
static struct sock_fprog program = { sizeof only_ours / sizeof *only_ours, only_ours };

static void by_prctl(int unused) {
    (void)unused;
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}
static void by_syscall_prctl(int unused) {
    (void)unused;
    MUST(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
}
static void by_syscall_seccomp(int unused) {
    (void)unused;
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}
/* None of them installs anything. */
static void by_none(int unused) {
    unsigned action = SECCOMP_RET_ALLOW;

    (void)unused;
    MUST(prctl(PR_SET_SECCOMP, 99, &program) == -1 && errno == EINVAL);
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (void *)-1) == -1 && errno == EFAULT);
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT);
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, ~0u, &program) == -1 && errno == EINVAL);
    MUST(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0);
    MUST(prctl(PR_GET_SECCOMP) == 0);
}

static const struct way ways[] = {
    { "prctl", by_prctl },
    { "syscall_prctl", by_syscall_prctl },
    { "syscall_seccomp", by_syscall_seccomp },
    { "none", by_none },
};

static void children(int fd) {
    char *argv[] = { "x", NULL };
    int status;
    pid_t child = fork();

    if (child == 0) {
        close(fd);
        execv("/nowhere", argv);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
    child = vfork();
    if (child == 0)
        _exit(0);
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void use_all(const char *address, const char *port) {
    int fd = connected(address, port), copy = dup(fd), on = 1;

    MUST(copy >= 0 && dup2(copy, fd) == fd && close(copy) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
    MUST(send(fd, "x", 1, 0) == 1);
    children(fd);
    MUST(shutdown(fd, SHUT_WR) == 0 && syscall(SYS_close, fd) == 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(fd >= 0 && listen(fd, 1) == 0 && close_range((unsigned)fd, (unsigned)fd, 0) == 0);
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (strcmp(argv[1], "exec") == 0) {
        program = (struct sock_fprog){ 1, all };
        by_prctl(-1);
        execvp(argv[2], argv + 2);
        return 127;
    }
    if (argc != 5)
        return 2;
    for (int i = 0; i < atoi(argv[4]); i++)
        MUST(close(connected(argv[2], argv[3])) == 0);
    MUST(close_range(1 << 20, 1 << 20, 0) == 0); /* an old libc's dlsym makes a call of its own, once (libc.h) */
    WAY_NAMED(ways, argv[1])->run(-1);
    for (int i = 0; i < atoi(argv[4]); i++)
        use_all(argv[2], argv[3]);
    _exit(0); /* exit's handlers would flush and free: calls of the C library's own */
}
