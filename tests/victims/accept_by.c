/* A listener from which N connections are accepted, one after the other, by the way named. The client follows a
 * script that the test gives it.
 *
 * accept_by WAY PORT N; PORT 0: descriptor 3 listens already, as with systemd's LISTEN_FDS */
#include "way.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int listener;

static int taken(int fd) {
    MUST(fd >= 0);
    return fd;
}
static int one(void) {
    return taken(accept(listener, NULL, NULL));
}
static void drop(int fd) {
    MUST(close(fd) == 0);
}

static void by_accept(int unused) {
    (void)unused, drop(one());
}
static void by_accept4(int unused) {
    (void)unused, drop(taken(accept4(listener, NULL, NULL, SOCK_NONBLOCK)));
}
static void by_syscall_accept(int unused) {
#ifdef SYS_accept
    (void)unused, drop(taken((int)syscall(SYS_accept, listener, NULL, NULL)));
#else
    long arguments[3] = { listener };

    (void)unused, drop(taken((int)syscall(SYS_socketcall, 5, arguments)));
#endif
}
static void by_syscall_accept4(int unused) {
    (void)unused, drop(taken((int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC)));
}
static void by_accept_with_address(int unused) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;

    (void)unused;
    int fd = taken(accept(listener, (struct sockaddr *)&from, &size));
    MUST(size == sizeof from && from.sin_port != 0);
    drop(fd);
}
static void by_accept_that_fails_first(int unused) {
    (void)unused;
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    MUST(accept4_odd(listener, 1) == -1 && errno == EINVAL);
    for (int fd; (fd = accept(listener, NULL, NULL)) < 0 || close(fd) != 0;)
        MUST(errno == EAGAIN && wait_until(listener, POLLIN));
}
/* Through a copy of the listener. */
static void by_a_copy(int unused) {
    int copy = dup(listener);

    (void)unused;
    drop(taken(accept(copy, NULL, NULL)));
    drop(copy);
}
static void by_peer_first(int unused) {
    int fd = one();

    (void)unused;
    MUST(recv(fd, &(char){ 0 }, 1, 0) == 0);
    drop(fd);
}
/* They were reset while they waited in the backlog: the test sees to it, then sends the signal. */
static void by_reset_already(int unused) {
    int fd = one();

    (void)unused;
    MUST(recv(fd, &(char){ 0 }, 1, 0) == -1 && errno == ECONNRESET);
    drop(fd);
}
static void by_reset_already_unlooked(int unused) {
    (void)unused, drop(one());
}
static void by_unread(int unused) {
    (void)unused;
    int fd = one();
    MUST(wait_until(fd, POLLIN));
    drop(fd);
}
static void by_leaving_it_open(int unused) {
    (void)unused, one();
}

/* The listener's options are those of what it accepts. */
static void by_inherited_linger_0(int unused) {
    struct linger abort = { 1, 0 };

    (void)unused;
    MUST(setsockopt(listener, SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0);
    drop(one());
}

static const struct way ways[] = {
    { "accept", by_accept },
    { "accept4", by_accept4 },
    { "syscall_accept", by_syscall_accept },
    { "syscall_accept4", by_syscall_accept4 },
    { "accept_with_address", by_accept_with_address },
    { "accept_that_fails_first", by_accept_that_fails_first },
    { "a_copy", by_a_copy },
    { "peer_first", by_peer_first },
    { "reset_already", by_reset_already },
    { "reset_already_unlooked", by_reset_already_unlooked },
    { "unread", by_unread },
    { "leaving_it_open", by_leaving_it_open },
    { "inherited_linger_0", by_inherited_linger_0 },
    { "mptcp_accept", by_accept },
    { "mptcp_peer_first", by_peer_first },
    { "mptcp_unread", by_unread },
};

static int listening(const char *port, int protocol) {
    struct sockaddr_storage at;
    socklen_t len = address_of("127.0.0.1", port, &at);
    int fd = atoi(port) ? socket(AF_INET, SOCK_STREAM, protocol) : 3, on = 1;

    if (atoi(port) == 0)
        return fd;
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    MUST(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 4096) == 0);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    listener = listening(argv[2], strncmp(argv[1], "mptcp", 5) == 0 ? IPPROTO_MPTCP : 0);
    if (strncmp(argv[1], "reset", 5) == 0)
        await_signal();
    for (int i = 0; i < atoi(argv[3]); i++)
        way->run(-1);
    return 0;
}
