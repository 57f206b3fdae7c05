/* Ways of open_by.c: connections of several paths (RFC 8684), which are counted and not attributed. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int mptcp(void) {
    int fd = socket(to.storage.ss_family, SOCK_STREAM, IPPROTO_MPTCP);
    MUST(fd >= 0 && connect(fd, &to.any, to_len) == 0);
    return fd;
}
static void by_mptcp(int fd) {
    done(fd);
    done(mptcp());
}
/* A FIN that comes while the handshake ends is lost on MPTCP sockets of Linux 6.18, once in 40,000: the peer waits for
 * a byte. */
static int ended_by_the_peer(void) {
    int fd = mptcp();
    MUST(send(fd, "x", 1, 0) == 1 && wait_until(fd, POLLRDHUP));
    return fd;
}
static void by_mptcp_after_the_peer(int fd) {
    done(fd);
    done(ended_by_the_peer());
}
static void by_mptcp_half_closed(int fd) {
    done(fd);
    fd = mptcp();
    MUST(shutdown(fd, SHUT_WR) == 0 && recv(fd, &(char){ 0 }, 1, 0) == 0);
    done(fd);
}
static void by_mptcp_half_closed_after_the_peer(int fd) {
    done(fd);
    fd = ended_by_the_peer();
    MUST(shutdown(fd, SHUT_WR) == 0);
    done(fd);
}
static void by_mptcp_with_unread_data(int fd) {
    done(fd);
    fd = mptcp();
    MUST(wait_until(fd, POLLIN));
    done(fd);
}
