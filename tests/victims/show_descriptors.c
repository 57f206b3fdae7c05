/* Prints the outcome of many calls that copy, replace, send and close descriptors, with a TCP socket among them.
 *
 * show_descriptors */
#include "show.h"

#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define BAD ((void *)-1)

static void *volatile null;

static int tcp(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static void copies(void) {
    int fd;

    SHOW(fd = tcp());
    SHOW(dup(fd));
    SHOW(dup2(fd, fd));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup2(fd, 60));
    SHOW(dup2(60, 60));
    SHOW(dup2(60, fd));
    SHOW(dup2(fd, -1));
    SHOW(dup2(fd, 1 << 30));
    SHOW(dup3(fd, 61, O_CLOEXEC));
    SHOW(fcntl(61, F_GETFD));
    SHOW(dup3(fd, 61, O_NONBLOCK));
    SHOW(fcntl(fd, F_DUPFD, 60));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 60));
    SHOW(fcntl64(fd, F_DUPFD, 70));
    SHOW(fcntl(fd, F_DUPFD, -1));
    SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL));
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
    SHOW(fcntl(fd, F_SETOWN, getpid()));
    SHOW(fcntl(fd, F_GETOWN) == getpid());
    SHOW(fcntl(fd, F_SETOWN, -getpgrp()));
    SHOW(fcntl(fd, F_GETOWN) == -getpgrp());
    SHOW(syscall(SYS_fcntl, fd, F_GETOWN) == fcntl(fd, F_GETOWN));
    SHOW(fcntl(fd, 9999, 0));
    SHOW(syscall(SYS_dup, fd));
    SHOW(raw_dup2(fd, 80));
    SHOW(syscall(SYS_dup3, fd, 81, O_CLOEXEC));
    SHOW(syscall(SYS_fcntl, fd, F_DUPFD, 82));
    SHOW(syscall(SYS_dup3, fd, fd, 0));
    show_descriptors("after copying");
}

static void closes(void) {
    SHOW(close_range(90, 80, 0));
    SHOW(close_range(80, 90, 1 << 20));
    SHOW(close_range(80, 80, CLOSE_RANGE_CLOEXEC));
    SHOW(fcntl(80, F_GETFD));
    SHOW(syscall(SYS_close_range, 80, 81, 0));
    SHOW(close_range(82, 82, CLOSE_RANGE_UNSHARE));
    SHOW(syscall(SYS_close, 70));
    SHOW(syscall(SYS_close, 70));
    SHOW(close(60));
    SHOW(close(60));
    closefrom(60);
    show_descriptors("after closefrom");
    SHOW(close_range(3, ~0u, 0));
    show_descriptors("after close_range");
    for (int i = 3; i < 1024; i++)
        MUST(close(i) == -1 && errno == EBADF);
    SHOW(tcp());
    SHOW(tcp());
    for (int i = 3; i < 1024; i++)
        close(i);
    show_descriptors("after closing everything");
}

static void streams(void) {
    FILE *file;

    SHOW((file = fdopen(tcp(), "r+")) != NULL);
    SHOW(fileno(file));
    SHOW(fputs("nobody is there", file) >= 0);
    SHOW(fclose(file));
    SHOW((file = fdopen(tcp(), "r")) != NULL);
    SHOW(freopen("/dev/null", "r", file) == file);
    SHOW(fileno(file));
    SHOW(fclose(file));
    SHOW((file = fdopen(tcp(), "r")) != NULL);
    SHOW(freopen("/nowhere", "r", file) == NULL);
    SHOW((file = fdopen(tcp(), "r")) != NULL);
    SHOW(freopen(NULL, "w", file) == NULL);
    SHOW((file = fmemopen(NULL, 10, "w")) != NULL);
    SHOW(fclose(file));
    SHOW((file = tmpfile()) != NULL);
    SHOW(fcloseall());
    show_descriptors("after fcloseall");
    SHOW(close_range(3, ~0u, 0));
}

static void messages(int fd) {
    int pair[2];
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = { .header = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    char byte = 'x';
    struct iovec data = { &byte, 1 };
    struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct mmsghdr many = { .msg_hdr = m };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(sendmsg(pair[0], &m, 0));
    SHOW(sendmmsg(pair[0], &many, 1, 0));
    SHOW(recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC));
    SHOW(m.msg_controllen);
    SHOW(fcntl(*(int *)(void *)CMSG_DATA(&control.header), F_GETFD));
    SHOW(recvmmsg(pair[1], &many, 1, 0, NULL));
    m.msg_controllen = 3;
    SHOW(sendmsg(pair[0], &m, 0));
    m.msg_controllen = sizeof control;
    m.msg_control = BAD;
    SHOW(sendmsg(pair[0], &m, 0));
    SHOW(sendmmsg(pair[0], (struct mmsghdr *)(void *)BAD, 1, 0));
    SHOW(sendmsg(pair[0], null, 0));
    SHOW(sendmsg(pair[0], BAD, 0));
    SHOW(sendmsg(fd, null, MSG_FASTOPEN));
    SHOW(sendmsg(fd, BAD, MSG_FASTOPEN));
    SHOW(sendmmsg(fd, null, 1, MSG_FASTOPEN | MSG_NOSIGNAL));
    SHOW(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, BAD, 16));
    SHOW(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, null, 0));
    SHOW(recvmsg(pair[1], null, MSG_DONTWAIT));
    SHOW(recvmsg(pair[1], BAD, MSG_DONTWAIT));
    SHOW(recvmmsg(pair[1], BAD, 1, MSG_DONTWAIT, NULL));
    SHOW(recvmsg(pair[1], &m, MSG_DONTWAIT));
    show_descriptors("after messages");
}

static void others(int fd) {
    int self;

    SHOW(self = pidfd_open(getpid(), 0));
    SHOW(pidfd_getfd(self, fd, 0));
    SHOW(pidfd_getfd(self, 999, 0));
    SHOW(pidfd_getfd(self, fd, 1));
    SHOW(pidfd_getfd(-1, fd, 0));
    SHOW(syscall(SYS_pidfd_getfd, self, fd, 0));
    SHOW(syscall(99999));
    SHOW(syscall(-1));
    SHOW(syscall(SYS_getpid) == getpid());
}

/* With no descriptor left. */
static void exhausted(void) {
    struct rlimit low = { 20, 1024 };
    int fd;

    SHOW(close_range(3, ~0u, 0));
    SHOW(setrlimit(RLIMIT_NOFILE, &low));
    while ((fd = tcp()) >= 0)
        printf("got %d\n", fd);
    SHOW(tcp());
    SHOW(dup(19));
    SHOW(fcntl(19, F_DUPFD, 0));
    SHOW(dup2(19, 18));
    SHOW(dup2(19, 20));
    SHOW(open("/dev/null", O_RDONLY));
    SHOW(close(19));
    SHOW(tcp());
    SHOW(close(18));
    SHOW(close(17));
    show_descriptors("at the limit");
}

int main(void) {
    int fd;

    close_range(3, ~0u, 0);
    signal(SIGPIPE, SIG_IGN);
    copies();
    closes();
    streams();
    SHOW(fd = tcp());
    messages(fd);
    others(fd);
    exhausted();
    return 0;
}
