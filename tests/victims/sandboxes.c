/* Has a connection, and starts children by vfork and fork that install a filter which kills for all but what a launcher
 * of sandboxes needs, let go of the connection, fail to exec once, and exec; or end at once. Then it ends its connection.
 *
 * sandboxes ADDRESS PORT    prints how each child ended */
#include "way.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_close),
    ALLOW(SYS_dup3),
    ALLOW(SYS_execve),
    ALLOW(SYS_exit_group),
    ALLOW(SYS_brk),
    ALLOW(SYS_mmap),
    ALLOW(SYS_mprotect),
    ALLOW(SYS_openat),
    ALLOW(SYS_read),
    ALLOW(SYS_fstat),
    ALLOW(SYS_pread64),
    ALLOW(SYS_munmap),
    ALLOW(SYS_set_tid_address),
    ALLOW(SYS_set_robust_list),
    ALLOW(334 /* rseq */),
    ALLOW(293 /* rseq */),
    ALLOW(SYS_prlimit64),
    ALLOW(SYS_getrandom),
#ifdef SYS_newfstatat
    ALLOW(SYS_newfstatat),
#else
    ALLOW(SYS_fstatat64), /* 32 bits */
    ALLOW(SYS_mmap2),
    ALLOW(SYS_fstat64),
    ALLOW(SYS_statx),
    ALLOW(SYS_fcntl64),
    ALLOW(SYS_set_thread_area),
    ALLOW(SYS_ugetrlimit),
    ALLOW(386 /* rseq */),
#endif
#ifdef SYS_dup2
    ALLOW(SYS_dup2),
    ALLOW(SYS_access),
    ALLOW(SYS_open),
    ALLOW(SYS_stat),
#endif
#if defined __GLIBC__ && __GLIBC_MINOR__ < 34 /* libpthread's start */
    ALLOW(SYS_rt_sigaction),
    ALLOW(SYS_rt_sigprocmask),
#endif
#ifdef SYS_arch_prctl
    ALLOW(SYS_arch_prctl),
#endif
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int fd;

static void child(int way) {
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    char *argv[] = { "true", NULL }, *envp[] = { NULL };

    if (way & 1 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        _exit(9);
    close(fd);
    close(2);
    execve("/nowhere", argv, envp);
    if (way & 2) {
        close(1);
        execve("/proc/self/exe", argv, envp);
    }
    if (way & 4)
        syscall(SYS_exit_group, 7);
    _exit(7);
}

static void ended(const char *what, pid_t pid) {
    int status = 0;

    MUST(waitpid(pid, &status, 0) == pid);
    printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "exit",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
}

int main(int argc, char **argv) {
    char byte = 0;

    if (argc == 1)
        return 0; /* what they exec */
    MUST(argc == 3 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    for (int way = 0; way < 8; way++) {
        fd = connected(argv[1], argv[2]);
        MUST(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1);
        pid_t pid = vfork();
        if (pid == 0)
            child(way);
        ended("vfork", pid);
        pid = fork();
        if (pid == 0)
            child(way);
        ended("fork", pid);
        close(fd);
    }
    return 0;
}
