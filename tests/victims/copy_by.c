/* N connections, each copied to a second descriptor by the way named; the first is closed, a byte is sent through
 * the one that is left, and that one is closed; with "passive" once the peer's FIN has come. Every other time the
 * copy goes first.
 *
 * copy_by WAY ADDRESS PORT N [passive] */
#include "way.h"

#ifdef __GLIBC__
extern int __dup2(int fd, int to);
extern int __fcntl(int fd, int command, ...);
#endif

enum { HIGH = 200 };

static int copy;
static const char *address, *port;

static void by_dup(int fd) {
    copy = dup(fd);
}
static void by_dup2(int fd) {
    copy = dup2(fd, HIGH);
}
static void by___dup2(int fd) {
    copy = __dup2(fd, HIGH);
}
static void by_dup3(int fd) {
    copy = dup3(fd, HIGH, O_CLOEXEC);
}
static void by_fcntl(int fd) {
    copy = fcntl(fd, F_DUPFD, HIGH);
}
static void by_fcntl_cloexec(int fd) {
    copy = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
}
static void by_fcntl64(int fd) {
    copy = fcntl64(fd, F_DUPFD, HIGH);
}
static void by___fcntl(int fd) {
    copy = __fcntl(fd, F_DUPFD, HIGH);
}
static void by_syscall_dup(int fd) {
    copy = (int)syscall(SYS_dup, fd);
}
static void by_syscall_dup2(int fd) {
    copy = raw_dup2(fd, HIGH);
}
static void by_syscall_dup3(int fd) {
    copy = (int)syscall(SYS_dup3, fd, HIGH, 0);
}
static void by_syscall_fcntl(int fd) {
    copy = (int)syscall(SYS_fcntl, fd, F_DUPFD, HIGH);
}

/* Over a descriptor of the same connection: one of three goes, two are left. */
static void by_dup2_over_itself(int fd) {
    MUST(dup2(fd, HIGH) == HIGH && dup2(fd, HIGH) == HIGH);
    copy = dup3(HIGH, HIGH + 1, 0);
    MUST(close(HIGH) == 0);
}

/* Over another connection, which is live until then. */
static void by_dup2_over_another(int fd) {
    copy = connected(address, port);
    MUST(dup2(fd, copy) == copy);
}

static void by_dup_that_fails_first(int fd) {
    MUST(fcntl(fd, F_DUPFD, -1) == -1 && errno == EINVAL);
    MUST(fcntl(fd, F_DUPFD, 1 << 30) == -1 && errno == EINVAL);
    MUST(dup2(fd, 1 << 30) == -1 && errno == EBADF);
    MUST(dup3_odd(fd, HIGH, O_APPEND) == -1 && errno == EINVAL);
    copy = dup(fd);
}

/* Ourselves as the other process. */
static void by_pidfd_getfd(int fd) {
    int self = pidfd_open(getpid(), 0);
    copy = pidfd_getfd(self, fd, 0);
    MUST(close(self) == 0);
}
static void by_syscall_pidfd_getfd(int fd) {
    int self = pidfd_open(getpid(), 0);
    copy = (int)syscall(SYS_pidfd_getfd, self, fd, 0);
    MUST(close(self) == 0);
}

/* Over a Unix socket to ourselves, by each pair of calls. */
static void sent_and_received(int fd, bool many, bool bare) {
    int pair[2];
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = { .header = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct iovec data = { &(char){ 'x' }, 1 };
    struct mmsghdr m = {
        .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control }
    };

    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (many)
        MUST((bare ? syscall(SYS_sendmmsg, pair[0], &m, 1, 0) : sendmmsg(pair[0], &m, 1, 0)) == 1);
    else
        MUST((bare ? syscall(SYS_sendmsg, pair[0], &m.msg_hdr, 0) : sendmsg(pair[0], &m.msg_hdr, 0)) == 1);
    m.msg_hdr.msg_controllen = sizeof control;
    if (many)
        MUST((bare ? syscall(SYS_recvmmsg, pair[1], &m, 1, 0, 0) : recvmmsg(pair[1], &m, 1, 0, NULL)) == 1);
    else
        MUST((bare ? syscall(SYS_recvmsg, pair[1], &m.msg_hdr, 0) : recvmsg(pair[1], &m.msg_hdr, 0)) == 1);
    memcpy(&copy, CMSG_DATA(&control.header), sizeof copy);
    MUST(close(pair[0]) == 0 && close(pair[1]) == 0);
}
static void by_scm_rights(int fd) {
    sent_and_received(fd, false, false);
}
static void by_scm_rights_many(int fd) {
    sent_and_received(fd, true, false);
}
static void by_scm_rights_syscall(int fd) {
    sent_and_received(fd, false, true);
}
static void by_scm_rights_many_syscall(int fd) {
    sent_and_received(fd, true, true);
}

static const struct way ways[] = {
    { "dup", by_dup },
    { "dup2", by_dup2 },
    { "__dup2", by___dup2 },
    { "dup3", by_dup3 },
    { "fcntl", by_fcntl },
    { "fcntl_cloexec", by_fcntl_cloexec },
    { "fcntl64", by_fcntl64 },
    { "__fcntl", by___fcntl },
    { "syscall_dup", by_syscall_dup },
    { "syscall_dup2", by_syscall_dup2 },
    { "syscall_dup3", by_syscall_dup3 },
    { "syscall_fcntl", by_syscall_fcntl },
    { "dup2_over_itself", by_dup2_over_itself },
    { "dup2_over_another", by_dup2_over_another },
    { "dup_that_fails_first", by_dup_that_fails_first },
    { "pidfd_getfd", by_pidfd_getfd },
    { "syscall_pidfd_getfd", by_syscall_pidfd_getfd },
    { "scm_rights", by_scm_rights },
    { "scm_rights_many", by_scm_rights_many },
    { "scm_rights_syscall", by_scm_rights_syscall },
    { "scm_rights_many_syscall", by_scm_rights_many_syscall },
};

int main(int argc, char **argv) {
    if (argc != 5 && argc != 6)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    address = argv[2], port = argv[3];
    for (int i = 0; i < atoi(argv[4]); i++) {
        int fd = connected(address, port);
        way->run(fd);
        MUST(copy >= 0 && copy != fd);
        MUST(close(i % 2 ? fd : copy) == 0);
        int left = i % 2 ? copy : fd;
        MUST(send(left, "x", 1, MSG_NOSIGNAL) == 1);
        MUST(argc == 5 || wait_until(left, POLLRDHUP));
        MUST(close(left) == 0);
    }
    return 0;
}
