/* N connections, each brought into the state named, then closed. The peer does its part by a script that the
 * test gives it; the letters of each way are beside its name in the test.
 *
 * end_in WAY ADDRESS PORT N */
#include "way.h"

static void linger(int fd, int on, int seconds) {
    struct linger value = { on, seconds };
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value) == 0);
}
static void linger2(int fd, int value) {
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &value, sizeof value) == 0);
}
static void half_close(int fd) {
    MUST(shutdown(fd, SHUT_WR) == 0);
}
static void read_end(int fd) {
    MUST(recv(fd, &(char){ 0 }, 1, 0) == 0);
}
static void await_fin(int fd) {
    MUST(wait_until(fd, POLLRDHUP));
}
static void await_reset(int fd) {
    struct pollfd p = { .fd = fd };
    MUST(poll(&p, 1, -1) == 1 && p.revents & POLLERR);
}
static void await_data(int fd) {
    MUST(wait_until(fd, POLLIN));
}

static void active(int fd) {
    (void)fd;
}
static void active_with_data(int fd) {
    MUST(send_payload(fd, 10000));
}
/* Calls that are for another kind of socket change nothing. */
static void active_after_mistakes(int fd) {
    struct sockaddr_in any = { .sin_family = AF_INET };
    MUST(accept(fd, NULL, NULL) == -1 && errno == EINVAL);
    MUST(accept4(fd, NULL, NULL, SOCK_CLOEXEC) == -1 && errno == EINVAL);
    MUST(listen(fd, 1) == -1 && errno == EINVAL);
    MUST(syscall(SYS_listen, fd, 1) == -1 && errno == EINVAL);
    MUST(bind(fd, (struct sockaddr *)&any, sizeof any) == -1 && errno == EINVAL);
}
static void after_reading(int fd) {
    MUST(recv(fd, &(char){ 0 }, 1, 0) == 1);
}
/* What the peer waits for before it closes: both close now. */
static void at_once(int fd) {
    MUST(send(fd, "x", 1, 0) == 1);
}
static void passive(int fd) {
    await_fin(fd);
}
static void passive_read(int fd) {
    read_end(fd);
}
static void shut_then_close(int fd) {
    half_close(fd);
}
static void answered_after_shut(int fd) {
    half_close(fd);
    after_reading(fd);
}
static void shut_both_then_close(int fd) {
    MUST(shutdown(fd, SHUT_RDWR) == 0);
}
static void shut_read_then_close(int fd) {
    MUST(shutdown(fd, SHUT_RD) == 0);
}
static void shut_syscall_read_end_close(int fd) {
    MUST(syscall(SYS_shutdown, fd, SHUT_WR) == 0);
    read_end(fd);
}
static void shut_badly_then_passive(int fd) {
    MUST(shutdown(fd, 99) == -1 && errno == EINVAL);
    MUST(send(fd, "x", 1, 0) == 1);
    await_fin(fd);
}
static void shut_read_end_close(int fd) {
    half_close(fd);
    read_end(fd);
}
static void shut_twice_read_end_close(int fd) {
    half_close(fd);
    read_end(fd);
    shutdown(fd, SHUT_RDWR); /* ENOTCONN: it is over */
}
static void passive_shut_close(int fd) {
    await_fin(fd);
    half_close(fd);
}
/* LAST_ACK is over before close comes: CLOSE. */
static void passive_shut_wait_close(int fd) {
    await_fin(fd);
    half_close(fd);
    for (struct tcp_info info = { 0 }; info.tcpi_state != TCP_CLOSE;) {
        socklen_t size = sizeof info;
        MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    }
}
static void unread(int fd) {
    await_data(fd);
}
static void unread_after_fin(int fd) {
    await_fin(fd);
}
static void unread_after_shut(int fd) {
    half_close(fd);
    await_data(fd);
}
static void own_linger_0(int fd) {
    linger(fd, 1, 0);
}
static void own_linger_0_taken_back(int fd) {
    linger(fd, 1, 0);
    linger(fd, 0, 0);
}
static void own_linger_0_after_fin(int fd) {
    await_fin(fd);
    linger(fd, 1, 0);
}
static void own_linger_5(int fd) {
    linger(fd, 1, 5);
}
static void own_linger_off(int fd) {
    linger(fd, 0, 0);
}
static void own_linger2(int fd) {
    linger2(fd, -1);
}
static void own_linger2_taken_back(int fd) {
    linger2(fd, -1);
    linger2(fd, 0);
}
static void syscall_linger_0(int fd) {
    struct linger value = { 1, 0 };
    MUST(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &value, sizeof value) == 0);
}
static void reset(int fd) {
    MUST(send(fd, "x", 1, 0) == 1); /* for which the peer waits: else connect might see the reset */
    await_reset(fd);
}
static void reset_and_read(int fd) {
    reset(fd);
    MUST(recv(fd, &(char){ 0 }, 1, 0) == -1 && errno == ECONNRESET);
}
static void reset_and_looked_at(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    reset(fd);
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNRESET);
}
static void reset_after_shut(int fd) {
    half_close(fd);
    await_reset(fd);
}
/* The peer's FIN, then, for what we send into the closed socket, its RST. */
static void fin_then_reset(int fd) {
    await_fin(fd);
    MUST(send(fd, "x", 1, MSG_NOSIGNAL) == 1);
    await_reset(fd);
}
static const struct way ways[] = {
    { "active", active },
    { "active_with_data", active_with_data },
    { "active_after_mistakes", active_after_mistakes },
    { "after_reading", after_reading },
    { "at_once", at_once },
    { "passive", passive },
    { "passive_read", passive_read },
    { "shut_then_close", shut_then_close },
    { "answered_after_shut", answered_after_shut },
    { "shut_both_then_close", shut_both_then_close },
    { "shut_read_then_close", shut_read_then_close },
    { "shut_syscall_read_end_close", shut_syscall_read_end_close },
    { "shut_badly_then_passive", shut_badly_then_passive },
    { "shut_read_end_close", shut_read_end_close },
    { "shut_twice_read_end_close", shut_twice_read_end_close },
    { "passive_shut_close", passive_shut_close },
    { "passive_shut_wait_close", passive_shut_wait_close },
    { "unread", unread },
    { "unread_after_fin", unread_after_fin },
    { "unread_after_shut", unread_after_shut },
    { "own_linger_0", own_linger_0 },
    { "own_linger_0_taken_back", own_linger_0_taken_back },
    { "own_linger_0_after_fin", own_linger_0_after_fin },
    { "own_linger_5", own_linger_5 },
    { "own_linger_off", own_linger_off },
    { "own_linger2", own_linger2 },
    { "own_linger2_taken_back", own_linger2_taken_back },
    { "syscall_linger_0", syscall_linger_0 },
    { "reset", reset },
    { "reset_and_read", reset_and_read },
    { "reset_and_looked_at", reset_and_looked_at },
    { "reset_after_shut", reset_after_shut },
    { "fin_then_reset", fin_then_reset },
};

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    for (int i = 0; i < atoi(argv[4]); i++) {
        int fd = connected(argv[2], argv[3]);
        way->run(fd);
        MUST(close(fd) == 0);
    }
    return 0;
}
