/* N times a connection opened, or not opened, by the way named, and closed. Says nothing where all is as it
 * should be; every way checks its own results.
 *
 * open_by WAY ADDRESS PORT N */
#include "way.h"

#include <pthread.h>
#include <sys/ioctl.h>

#ifdef __GLIBC__
extern int __connect(int fd, const struct sockaddr *addr, socklen_t len);
#endif

static union {
    struct sockaddr_storage storage;
    struct sockaddr any;
} to;
static socklen_t to_len;

static int unconnected(int flags) {
    int fd = socket(to.storage.ss_family, SOCK_STREAM | flags, 0);
    MUST(fd >= 0);
    return fd;
}

static void done(int fd) {
    MUST(close(fd) == 0);
}

static void by_connect(int fd) {
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}
static void by___connect(int fd) {
    MUST(__connect(fd, &to.any, to_len) == 0);
    done(fd);
}
static void by_syscall(int fd) {
    done(fd);
    fd = (int)syscall(SYS_socket, to.storage.ss_family, SOCK_STREAM, 0);
    MUST(syscall(SYS_connect, fd, &to.any, to_len) == 0);
    done(fd);
}
static void by_bind_and_connect(int fd) {
    struct sockaddr_in any = { .sin_family = AF_INET };
    MUST(bind(fd, (struct sockaddr *)&any, sizeof any) == 0);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}
static void by_syscall_bind_and_connect(int fd) {
    struct sockaddr_in any = { .sin_family = AF_INET };
    MUST(syscall(SYS_bind, fd, &any, sizeof any) == 0);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}
static void by_bindresvport(int fd) {
    struct sockaddr_in any = { .sin_family = AF_INET };
    MUST(bindresvport(fd, &any) == 0 && port_of(fd) < 1024);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}
/* A second connect on the same socket, in vain. */
static void by_connect_twice(int fd) {
    MUST(connect(fd, &to.any, to_len) == 0);
    MUST(connect(fd, &to.any, to_len) == -1 && errno == EISCONN);
    done(fd);
}
#include "open_mptcp.h"

/* A socket that was never a connection. */
static void by_nothing(int fd) {
    done(fd);
}
static void by_bad_address(int fd) {
    MUST(connect(fd, &to.any, 1) == -1 && errno == EINVAL);
    MUST(connect(fd, NULL, to_len) == -1 && errno == EFAULT);
    MUST(connect(fd, (struct sockaddr *)-1, to_len) == -1 && errno == EFAULT);
    done(fd);
}

/* Non-blocking. ------------------------------------------------------------------------------------------ */

static void begun(int fd) {
    int on = 1;
    MUST(ioctl(fd, FIONBIO, &on) == 0);
    MUST(connect(fd, &to.any, to_len) == -1 && errno == EINPROGRESS);
}
static int error_of(int fd) {
    int error = -1;
    socklen_t size = sizeof error;
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    return error;
}

static void by_looking_at_the_error(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT) && error_of(fd) == 0);
    done(fd);
}
static void by_syscall_looking(int fd) {
    int error = -1;
    socklen_t size = sizeof error;
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    MUST(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    done(fd);
}
static void by_poll_alone(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    done(fd);
}
static void by_connecting_again(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    MUST(connect(fd, &to.any, to_len) == 0);
    MUST(connect(fd, &to.any, to_len) == -1 && errno == EISCONN);
    done(fd);
}
/* Over loopback the handshake is done when connect returns; nobody looks. */
static void by_no_look(int fd) {
    begun(fd);
    done(fd);
}
static void by_a_send(int fd) {
    begun(fd);
    MUST(send_payload(fd, 100));
    done(fd);
}

/* TCP Fast Open: with its first data, or when the first data comes. ---------------------------------------- */

static struct iovec hello = { (char[]){ "hello" }, 5 };

static void by_sendto(int fd) {
    MUST(sendto(fd, "hello", 5, MSG_FASTOPEN, &to.any, to_len) == 5);
    done(fd);
}
static void by_syscall_sendto(int fd) {
    MUST(syscall(SYS_sendto, fd, "hello", 5, MSG_FASTOPEN, &to.any, to_len) == 5);
    done(fd);
}
static void by_sendmsg(int fd) {
    struct msghdr message = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = &hello, .msg_iovlen = 1 };
    MUST(sendmsg(fd, &message, MSG_FASTOPEN) == 5);
    done(fd);
}
static void by_sendmmsg(int fd) {
    struct mmsghdr message = {
        .msg_hdr = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = &hello, .msg_iovlen = 1 },
    };
    MUST(sendmmsg(fd, &message, 1, MSG_FASTOPEN) == 1);
    done(fd);
}
static void by_syscall_sendmsg(int fd) {
    struct msghdr message = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = &hello, .msg_iovlen = 1 };
    MUST(syscall(SYS_sendmsg, fd, &message, MSG_FASTOPEN) == 5);
    done(fd);
}
static void by_syscall_sendmmsg(int fd) {
    struct mmsghdr message = {
        .msg_hdr = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = &hello, .msg_iovlen = 1 },
    };
    MUST(syscall(SYS_sendmmsg, fd, &message, 1, MSG_FASTOPEN) == 1);
    done(fd);
}
static void by_fastopen_connect(int fd) {
    int on = 1;
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0);
    MUST(connect(fd, &to.any, to_len) == 0);
    MUST(send(fd, "hello", 5, 0) == 5);
    MUST(recv(fd, &(char){ 0 }, 1, 0) == 1); /* the peer's answer: it is there */
    done(fd);
}
/* With a cookie connect sends nothing: there is no connection before the data. */
static void by_fastopen_connect_alone(int fd) {
    int on = 1;
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}

/* Failures: nobody listens, or nobody answers. ------------------------------------------------------------- */

static void by_refused(int fd) {
    MUST(connect(fd, &to.any, to_len) == -1 && errno == ECONNREFUSED);
    done(fd);
}
static void by_refused_and_looking(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT) && error_of(fd) == ECONNREFUSED && error_of(fd) == 0);
    done(fd);
}
static void by_refused_and_syscall_looking(int fd) {
    int error = -1;
    socklen_t size = sizeof error;
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    MUST(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNREFUSED);
    done(fd);
}
static void by_refused_unlooked(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    done(fd);
}
static void by_refused_connecting_again(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    MUST(connect(fd, &to.any, to_len) == -1 && errno == ECONNREFUSED);
    done(fd);
}
static void by_refused_and_sending(int fd) {
    begun(fd);
    MUST(wait_until(fd, POLLOUT));
    MUST(send(fd, "x", 1, MSG_NOSIGNAL) == -1 && errno == ECONNREFUSED);
    done(fd);
}
/* Nothing leads there (TEST-NET-1). */
static void by_unreachable(int fd) {
    struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201), .sin_port = htons(9) };
    MUST(connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere) == -1 && errno == ENETUNREACH);
    done(fd);
}
static void by_bad_length(int fd) {
    MUST(connect(fd, &to.any, 1) == -1 && errno == EINVAL);
    done(fd);
}
static void by_refused_twice(int fd) {
    MUST(connect(fd, &to.any, to_len) == -1 && errno == ECONNREFUSED);
    MUST(connect(fd, &to.any, to_len) == -1 && errno == ECONNREFUSED);
    done(fd);
}
static void by_refused_sendto(int fd) {
    MUST(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &to.any, to_len) == -1 && errno == ECONNREFUSED);
    done(fd);
}
static void impatient(int fd) {
    int ms = 100; /* TCP_USER_TIMEOUT holds for the SYN too */
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms) == 0);
}
/* Another thread closes the socket, and has its number for another one, before connect returns. Nobody answers at
 * port 9. */
static void *connects_in_vain(void *number) {
    const int fd = (int)(intptr_t)number;
    struct sockaddr_in nobody = *(struct sockaddr_in *)&to;

    impatient(fd);
    nobody.sin_port = htons(9);
    MUST(connect(fd, (struct sockaddr *)&nobody, sizeof nobody) == -1 && errno == ETIMEDOUT);
    return NULL;
}
static void by_closed_meanwhile(int fd) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, connects_in_vain, (void *)(intptr_t)fd) == 0);
    while (info.tcpi_state != TCP_SYN_SENT)
        MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    MUST(close(fd) == 0 && unconnected(0) == fd);
    begun(fd);
    MUST(pthread_join(thread, NULL) == 0);
    done(fd);
}

/* connect(AF_UNSPEC) ends what there is; the socket is as new. --------------------------------------------- */

static void disconnect(int fd) {
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    MUST(connect(fd, &none, sizeof none) == 0);
}
static void by_unspec(int fd) {
    MUST(connect(fd, &to.any, to_len) == 0);
    disconnect(fd);
    done(fd);
}
static void by_unspec_and_again(int fd) {
    MUST(connect(fd, &to.any, to_len) == 0);
    disconnect(fd);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}
static void by_unspec_of_nothing(int fd) {
    disconnect(fd);
    MUST(connect(fd, &to.any, to_len) == 0);
    done(fd);
}

static const struct way ways[] = {
    { "connect", by_connect },
    { "__connect", by___connect },
    { "syscall", by_syscall },
    { "bind_and_connect", by_bind_and_connect },
    { "syscall_bind_and_connect", by_syscall_bind_and_connect },
    { "bindresvport", by_bindresvport },
    { "connect_twice", by_connect_twice },
    { "mptcp", by_mptcp },
    { "mptcp_after_the_peer", by_mptcp_after_the_peer },
    { "mptcp_half_closed", by_mptcp_half_closed },
    { "mptcp_half_closed_after_the_peer", by_mptcp_half_closed_after_the_peer },
    { "mptcp_with_unread_data", by_mptcp_with_unread_data },
    { "nothing", by_nothing },
    { "bad_address", by_bad_address },
    { "looking_at_the_error", by_looking_at_the_error },
    { "syscall_looking", by_syscall_looking },
    { "poll_alone", by_poll_alone },
    { "connecting_again", by_connecting_again },
    { "no_look", by_no_look },
    { "a_send", by_a_send },
    { "sendto", by_sendto },
    { "syscall_sendto", by_syscall_sendto },
    { "sendmsg", by_sendmsg },
    { "sendmmsg", by_sendmmsg },
    { "syscall_sendmsg", by_syscall_sendmsg },
    { "syscall_sendmmsg", by_syscall_sendmmsg },
    { "fastopen_connect", by_fastopen_connect },
    { "fastopen_connect_alone", by_fastopen_connect_alone },
    { "refused", by_refused },
    { "refused_and_looking", by_refused_and_looking },
    { "refused_and_syscall_looking", by_refused_and_syscall_looking },
    { "refused_unlooked", by_refused_unlooked },
    { "refused_connecting_again", by_refused_connecting_again },
    { "refused_and_sending", by_refused_and_sending },
    { "unreachable", by_unreachable },
    { "bad_length", by_bad_length },
    { "refused_twice", by_refused_twice },
    { "refused_sendto", by_refused_sendto },
    { "closed_meanwhile", by_closed_meanwhile },
    { "unspec", by_unspec },
    { "unspec_and_again", by_unspec_and_again },
    { "unspec_of_nothing", by_unspec_of_nothing },
};

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    to_len = address_of(argv[2], argv[3], &to.storage);
    for (int i = 0; i < atoi(argv[4]); i++)
        way->run(unconnected(0));
    return 0;
}
