/* Runs a program as Docker's default seccomp profile lets it: what is not in the profile's list (moby, profiles/seccomp, for a
 * container without added capabilities) fails with EPERM, clone3 with ENOSYS.
 *
 * docker_exec [+NUMBER|-NUMBER] PROGRAM ARGUMENT...    +NUMBER: this system call, too, as --cap-add would have it;
 * -NUMBER: not this one, as in the list of an older Docker */
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define S(name) __NR_##name

/* Those that every 64-bit architecture has. */
static const int everywhere[] = {
    S(accept),
    S(accept4),
    S(adjtimex),
    S(bind),
    S(brk),
    S(capget),
    S(capset),
    S(chdir),
    S(clock_adjtime),
    S(clock_getres),
    S(clock_gettime),
    S(clock_nanosleep),
    S(close),
    S(close_range),
    S(connect),
    S(copy_file_range),
    S(dup),
    S(dup3),
    S(epoll_create1),
    S(epoll_ctl),
    S(epoll_pwait),
    S(epoll_pwait2),
    S(eventfd2),
    S(execve),
    S(execveat),
    S(exit),
    S(exit_group),
    S(faccessat),
    S(faccessat2),
    S(fadvise64),
    S(fallocate),
    S(fanotify_mark),
    S(fchdir),
    S(fchmod),
    S(fchmodat),
    S(fchown),
    S(fchownat),
    S(fcntl),
    S(fdatasync),
    S(fgetxattr),
    S(flistxattr),
    S(flock),
    S(fremovexattr),
    S(fsetxattr),
    S(fstat),
    S(fstatfs),
    S(fsync),
    S(ftruncate),
    S(futex),
    449 /* futex_waitv */,
    S(getcpu),
    S(getcwd),
    S(getdents64),
    S(getegid),
    S(geteuid),
    S(getgid),
    S(getgroups),
    S(getitimer),
    S(getpeername),
    S(getpgid),
    S(getpid),
    S(getppid),
    S(getpriority),
    S(getrandom),
    S(getresgid),
    S(getresuid),
    S(getrlimit),
    S(get_robust_list),
    S(getrusage),
    S(getsid),
    S(getsockname),
    S(getsockopt),
    S(gettid),
    S(gettimeofday),
    S(getuid),
    S(getxattr),
    S(inotify_add_watch),
    S(inotify_init1),
    S(inotify_rm_watch),
    S(io_cancel),
    S(ioctl),
    S(io_destroy),
    S(io_getevents),
    S(io_pgetevents),
    S(ioprio_get),
    S(ioprio_set),
    S(io_setup),
    S(io_submit),
    S(kill),
    S(landlock_add_rule),
    S(landlock_create_ruleset),
    S(landlock_restrict_self),
    S(lgetxattr),
    S(linkat),
    S(listen),
    S(listxattr),
    S(llistxattr),
    S(lremovexattr),
    S(lseek),
    S(lsetxattr),
    S(madvise),
    S(membarrier),
    S(memfd_create),
    447 /* memfd_secret */,
    S(mincore),
    S(mkdirat),
    S(mknodat),
    S(mlock),
    S(mlock2),
    S(mlockall),
    S(mmap),
    S(mprotect),
    S(mq_getsetattr),
    S(mq_notify),
    S(mq_open),
    S(mq_timedreceive),
    S(mq_timedsend),
    S(mq_unlink),
    S(mremap),
    S(msgctl),
    S(msgget),
    S(msgrcv),
    S(msgsnd),
    S(msync),
    S(munlock),
    S(munlockall),
    S(munmap),
    S(name_to_handle_at),
    S(nanosleep),
    S(newfstatat),
    S(openat),
    S(openat2),
    S(pidfd_open),
    S(pidfd_send_signal),
    S(pipe2),
    S(pkey_alloc),
    S(pkey_free),
    S(pkey_mprotect),
    S(ppoll),
    S(prctl),
    S(pread64),
    S(preadv),
    S(preadv2),
    S(prlimit64),
    448 /* process_mrelease */,
    S(process_vm_readv),
    S(process_vm_writev),
    S(pselect6),
    S(ptrace),
    S(pwrite64),
    S(pwritev),
    S(pwritev2),
    S(read),
    S(readahead),
    S(readlinkat),
    S(readv),
    S(recvfrom),
    S(recvmmsg),
    S(recvmsg),
    S(remap_file_pages),
    S(removexattr),
    S(renameat2),
    S(restart_syscall),
    S(rseq),
    S(rt_sigaction),
    S(rt_sigpending),
    S(rt_sigprocmask),
    S(rt_sigqueueinfo),
    S(rt_sigreturn),
    S(rt_sigsuspend),
    S(rt_sigtimedwait),
    S(rt_tgsigqueueinfo),
    S(sched_getaffinity),
    S(sched_getattr),
    S(sched_getparam),
    S(sched_get_priority_max),
    S(sched_get_priority_min),
    S(sched_getscheduler),
    S(sched_rr_get_interval),
    S(sched_setaffinity),
    S(sched_setattr),
    S(sched_setparam),
    S(sched_setscheduler),
    S(sched_yield),
    S(seccomp),
    S(semctl),
    S(semget),
    S(semop),
    S(semtimedop),
    S(sendfile),
    S(sendmmsg),
    S(sendmsg),
    S(sendto),
    S(setfsgid),
    S(setfsuid),
    S(setgid),
    S(setgroups),
    S(setitimer),
    S(setpgid),
    S(setpriority),
    S(setregid),
    S(setresgid),
    S(setresuid),
    S(setreuid),
    S(setrlimit),
    S(set_robust_list),
    S(setsid),
    S(setsockopt),
    S(set_tid_address),
    S(setuid),
    S(setxattr),
    S(shmat),
    S(shmctl),
    S(shmdt),
    S(shmget),
    S(shutdown),
    S(sigaltstack),
    S(signalfd4),
    S(socketpair),
    S(splice),
    S(statfs),
    S(statx),
    S(symlinkat),
    S(sync),
    S(sync_file_range),
    S(syncfs),
    S(sysinfo),
    S(tee),
    S(tgkill),
    S(timer_create),
    S(timer_delete),
    S(timer_getoverrun),
    S(timer_gettime),
    S(timer_settime),
    S(timerfd_create),
    S(timerfd_gettime),
    S(timerfd_settime),
    S(times),
    S(tkill),
    S(truncate),
    S(umask),
    S(uname),
    S(unlinkat),
    S(utimensat),
    S(vmsplice),
    S(wait4),
    S(waitid),
    S(write),
    S(writev),
    451 /* cachestat */,
    452 /* fchmodat2 */,
    454 /* futex_wake */,
    455 /* futex_wait */,
    456 /* futex_requeue */,
#ifdef __x86_64__
    S(access),
    S(alarm),
    S(arch_prctl),
    S(chmod),
    S(chown),
    S(creat),
    S(dup2),
    S(epoll_create),
    S(epoll_wait),
    S(eventfd),
    S(fork),
    S(futimesat),
    S(getdents),
    S(getpgrp),
    S(inotify_init),
    S(lchown),
    S(link),
    S(lstat),
    S(mkdir),
    S(mknod),
    S(modify_ldt),
    S(open),
    S(pause),
    S(pipe),
    S(poll),
    S(readlink),
    S(rename),
    S(renameat),
    S(rmdir),
    S(select),
    S(signalfd),
    S(stat),
    S(symlink),
    S(time),
    S(unlink),
    S(utime),
    S(utimes),
    S(vfork),
    453 /* map_shadow_stack */,
#endif
};
enum { N = sizeof everywhere / sizeof *everywhere, NAMESPACES = 0x7e020000, VSOCK = 40 };

static struct sock_filter filter[2 * N + 32];
static unsigned short used;

static void add(struct sock_filter one) {
    filter[used++] = one;
}
static void load(size_t at) {
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)at));
}
static void end(unsigned what) {
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}
static void skip_unless(unsigned test, unsigned value, unsigned char n) {
    add((struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, n));
}
static void allow(int number) {
    skip_unless(BPF_JEQ, (unsigned)number, 1);
    end(SECCOMP_RET_ALLOW);
}

int main(int argc, char **argv) {
    const struct sock_fprog program = { .len = 0, .filter = filter };
    struct sock_fprog whole = program;
    if (argc < 2)
        return 2;
    load(offsetof(struct seccomp_data, nr));
    const int but = *argv[1] == '-' ? atoi(*++argv + 1) : -1;
    for (size_t i = 0; i < N; i++)
        if (everywhere[i] != but)
            allow(everywhere[i]);
    if (*argv[1] == '+')
        allow(atoi(*++argv + 1));
    skip_unless(BPF_JEQ, S(clone3), 1);
    end(SECCOMP_RET_ERRNO | ENOSYS);
    skip_unless(BPF_JEQ, S(clone), 4); /* not into namespaces of its own */
    load(offsetof(struct seccomp_data, args));
    skip_unless(BPF_JSET, NAMESPACES, 1);
    end(SECCOMP_RET_ERRNO | EPERM);
    end(SECCOMP_RET_ALLOW);
    skip_unless(BPF_JEQ, S(socket), 4);
    load(offsetof(struct seccomp_data, args));
    skip_unless(BPF_JEQ, VSOCK, 1);
    end(SECCOMP_RET_ERRNO | EPERM);
    end(SECCOMP_RET_ALLOW);
    end(SECCOMP_RET_ERRNO | EPERM);
    whole.len = used;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) != 0)
        return 3;
    execv(argv[1], argv + 1);
    return 127;
}
