/* The floor of reaching a program from outside: the least that a supervisor by seccomp user notification can do.
 *
 * outside filter CMD...   none: only a filter of one instruction, which lets all pass
 * outside look CMD...     receive each connect, and let it go on
 * outside copy CMD...     between the two, a copy of the socket, one option, and the copy closed */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static struct sock_filter pass[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
static struct sock_filter ask[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };

/* The listener; 0: none is asked for; negative: refused. */
static int install(bool listens) {
    const struct sock_fprog program = { listens ? 4 : 1, listens ? ask : pass };
    const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, listens ? flags : 0, &program);
}

static void treat(int process, int number) {
    const int linger = -1, fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &linger, sizeof linger);
    close(fd);
}

static void look_on(int listener, int process, bool copies) {
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    for (;;) {
        struct seccomp_notif call = { 0 };
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
            continue;
        if (copies)
            treat(process, (int)call.data.args[0]);
        struct seccomp_notif_resp answer = { .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

/* In a child that ends with CMD, which this process becomes: it takes the listener whose number it is told. */
static void supervise(int line, bool copies) {
    int number;
    const int process = (int)syscall(SYS_pidfd_open, getppid(), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(line, &number, sizeof number) != sizeof number)
        _exit(0);
    const int listener = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (listener >= 0 && write(line, "", 1) == 1)
        look_on(listener, process, copies);
    _exit(1);
}

int main(int argc, char **argv) {
    const bool listens = argc > 1 && strcmp(argv[1], "filter") != 0;
    int line[2];
    char byte;

    if (argc < 3 || socketpair(AF_UNIX, SOCK_STREAM, 0, line) != 0) {
        fprintf(stderr, "usage: outside filter|look|copy CMD...\n");
        return 2;
    }
    if (listens && fork() == 0)
        supervise(line[1], strcmp(argv[1], "copy") == 0);
    close(line[1]);
    const int listener = install(listens);
    if (listener < 0 ||
        (listens && (write(line[0], &listener, sizeof listener) != sizeof listener || read(line[0], &byte, 1) != 1))) {
        perror("outside");
        return 125;
    }
    close(line[0]);
    if (listens)
        close(listener);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
