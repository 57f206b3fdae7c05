/* Hook: shutdown, and what is remembered of it. After both FINs a socket in CLOSE no longer tells whose was first. */
#include "shim/shim.h"

#include <netinet/tcp.h>
#include <poll.h>

/* What was known just before: false where there is nothing to remember. */
static bool look_before(int fd, struct af_socket *conn, int how, struct af_tcp_info *tcp) {
    if (how == SHUT_RD || how == SHUT_RDWR)
        af_set(conn, AF_FLAG_READS_ODD);
    if (!af.counting || (how != SHUT_WR && how != SHUT_RDWR) || af_has(conn, AF_FLAG_FIN_FIRST | AF_FLAG_FIN_SECOND) ||
        atomic_load(&conn->state) == AF_CONN_NEW || atomic_load(&conn->state) == AF_CONN_LISTENER ||
        !af_read_tcp_info(fd, conn, tcp))
        return false;
    if (atomic_load(&conn->state) == AF_CONN_PENDING && tcp->acked)
        af_established(conn);
    return true;
}

static void remember(struct af_socket *conn, uint32_t whose) {
    af_set(conn, whose);
    af_show(conn);
}

static bool has_error(int fd) {
    struct pollfd asked = { .fd = fd };
    return af_poll(&asked, 1, 0) > 0 && asked.revents & POLLERR;
}

/* The peer's FIN may have come between our look and our own FIN, and both may be acknowledged by now. One that comes
 * first makes TCP delay its ACK (tcp_fin() of Linux; TCP_QUICKACK reads 0), which then goes with our FIN; one that comes
 * second is acknowledged by a segment of its own. What a talk beforehand has delayed looks the same: then it is the
 * segments that tell. */
static bool was_second(int fd, const struct af_socket *conn, const struct af_tcp_info *before) {
    struct af_tcp_info after;
    int at_once = 1;
    socklen_t size = sizeof at_once;
    if (af_has(conn, AF_FLAG_MPTCP) || !af_read_tcp_info(fd, conn, &after))
        return false;
    if (after.state != TCP_CLOSE || has_error(fd))
        return after.state == TCP_LAST_ACK;
    AF_SYS5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, &size);
    return !at_once && after.without_data - before->without_data < 2;
}

/* Ours is first for all that is known until the call returns: another thread may close it meanwhile. */
int af_on_shutdown(int fd, int how, bool raw) {
    struct af_socket *conn = af_ours(fd);
    struct af_tcp_info before = { 0 };
    const bool pinned = conn && af_pin(fd, conn);
    const bool looked = pinned && look_before(fd, conn, how, &before);
    const bool first = looked && before.state == TCP_ESTABLISHED;
    if (first || (looked && before.state == TCP_CLOSE_WAIT))
        remember(conn, first ? AF_FLAG_FIN_FIRST : AF_FLAG_FIN_SECOND);
    const int result = AF_NEXT(raw, shutdown, fd, how);
    if (first && result == 0 && was_second(fd, conn, &before) && af_is_at(fd, conn))
        remember(conn, AF_FLAG_FIN_SECOND); /* which outweighs the other */
    if (pinned)
        af_unpin(conn);
    return result;
}
