/* Descriptors that come from elsewhere: open at exec (inetd, LISTEN_FDS, a wrapping shell), received over a
 * Unix socket, or fetched by pidfd_getfd. One that is not a TCP socket costs one system call, once. */
#include "shim/shim.h"

#include <netinet/tcp.h>
#include <poll.h>

enum { WINDOW = 256, KCMP_FILE = 0 };

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

uint64_t af_cookie(int fd, struct af_connection *conn) {
    uint64_t cookie = conn ? atomic_load(&conn->cookie) : 0;
    socklen_t size = sizeof cookie;
    if (!cookie && AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 && conn)
        atomic_store(&conn->cookie, cookie);
    return cookie;
}

bool af_parent_holds(int fd) {
    return AF_SYS5(SYS_kcmp, af_pid(), AF_SYS0(SYS_getppid), KCMP_FILE, fd, fd) == 0;
}

/* It has it where we have it, or, as inetd would, on stdin, stdout or stderr. One that has ended, waited for or
 * not, has nothing. Where the kernel does not say (no kcmp, not our process), it is enough that it lives. */
bool af_vfork_child_holds(int32_t vfork_child, int fd) {
    const int numbers[] = { fd, 0, 1, 2 };
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        long result = AF_SYS5(SYS_kcmp, af_pid(), vfork_child, KCMP_FILE, fd, numbers[i]);
        if (result == 0)
            return true;
        if (result == -EPERM || result == -ENOSYS)
            return AF_SYS2(SYS_kill, vfork_child, 0) != -ESRCH;
    }
    return false;
}

int af_tcp_protocol(int fd) {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    if (AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
        return 0;
    return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP ? protocol : 0;
}

/* A reference, unless the last has gone: then it is being settled, and will be somebody else's record. */
static bool share_living(struct af_connection *conn, uint64_t cookie) {
    int32_t refs = atomic_load(&conn->refs);
    while (refs > 0 && !atomic_compare_exchange_weak(&conn->refs, &refs, refs + 1))
        ;
    if (refs <= 0)
        return false;
    if (atomic_load(&conn->cookie) == cookie)
        return true;
    af_unref(conn);
    return false;
}

/* With a reference taken, for af_enter_or_unref. */
static struct af_connection *ref_by_cookie(uint64_t cookie) {
    struct af_ledger *ledger = atomic_load(&af.ledger);
    for (uint32_t i = 0; ledger && cookie && i < atomic_load(&ledger->n_connections); i++) {
        struct af_connection *conn = af_connection_at(i);
        if (atomic_load(&conn->cookie) == cookie && atomic_load(&conn->state) != AF_CONN_FREE &&
            share_living(conn, cookie))
            return conn;
    }
    return NULL;
}

/* The same socket may be here already: at another number, or with a relative who shares our ledger. */
static void adopt(int fd, uint32_t flags) {
    int protocol = af_tcp_protocol(fd);
    if (!protocol)
        return;
    uint64_t cookie = af_cookie(fd, NULL);
    struct af_connection *conn = ref_by_cookie(cookie);
    if (conn) {
        af_enter_or_unref(conn, fd);
        if (flags & AF_FLAG_RECEIVED && atomic_load(&conn->sent) > 0)
            atomic_fetch_sub(&conn->sent, 1);
        af_set(conn, AF_FLAG_SHARED);
        return;
    }
    conn = af_record(fd, false, flags | AF_FLAG_SHARED | (protocol == IPPROTO_MPTCP ? AF_FLAG_MPTCP : 0));
    if (!conn)
        return;
    atomic_store(&conn->owner, AF_NO_SLOT);
    atomic_store(&conn->cookie, cookie);
    atomic_store(&conn->state, AF_CONN_INHERITED);
    af_enter(fd, conn);
}

void af_adopt_descriptor(int fd) {
    af_forget(fd);
    adopt(fd, AF_FLAG_RECEIVED);
}

/* Every program passes here at its start: a struct pollfd is written and read as one number. */
union asked {
    struct pollfd fd;
    uint64_t whole;
};
_Static_assert(sizeof(union asked) == sizeof(struct pollfd), "one number");

/* The last descriptor that is open, -WINDOW: none. */
static int adopt_open(const union asked *asked, int n) {
    const uint64_t closed = (union asked){ .fd.revents = POLLNVAL }.whole;
    int last = -WINDOW;
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        if (!(asked[i].whole & closed))
            adopt(last = asked[i].fd.fd, 0);
    return last;
}

/* One poll tells which of the first 256 numbers are open; as long as the upper half of those asked has some,
 * it goes on. */
void af_scan_inherited(void) {
    union asked asked[WINDOW];
    for (int first = 0, window = WINDOW, last = 0; last >= first - WINDOW / 2; first += window) {
        long result;
        do {
#pragma GCC unroll 8
            for (int i = 0; i < window; i++)
                asked[i].whole = (union asked){ .fd.fd = first + i }.whole;
            struct timespec now = { 0 };
            result = AF_SYS5(SYS_ppoll, asked, window, &now, NULL, 0);
        } while (result == -EINVAL && (window /= 2) > 0); /* more than RLIMIT_NOFILE */
        last = result >= 0 ? adopt_open(asked, window) : -WINDOW;
    }
}

static bool learn(int fd, long call, struct af_addr *out) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    return AF_SYS3(call, fd, &sa, &size) == 0 && af_addr_from((struct sockaddr *)&sa, size, out);
}

/* Its linger options were set by an image or a sender of which nothing else is known: ack, or an abort. */
void af_learn_linger(int fd, struct af_connection *conn) {
    struct linger linger = { 0 };
    int after_fin = 0;
    socklen_t size = sizeof linger;
    if (atomic_load(&conn->state) != AF_CONN_INHERITED)
        return;
    if (AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && linger.l_onoff && !linger.l_linger)
        af_set(conn, AF_FLAG_ABORTS);
    size = sizeof after_fin;
    if (AF_SYS5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_LINGER2, &after_fin, &size) == 0 && after_fin < 0)
        af_set(conn, af.acks ? AF_FLAG_ACK : AF_FLAG_ABORTS);
}

/* accept or connect? The library cannot know; a local port that a connect chose lies in the ephemeral range,
 * and the peer's then mostly does not. What cannot be told is shown by its peer. */
void af_learn_addresses(int fd, struct af_connection *conn) {
    if (atomic_load(&conn->state) != AF_CONN_INHERITED)
        return;
    struct af_addr local;
    if (!conn->peer.port)
        learn(fd, SYS_getpeername, &conn->peer);
    if (!conn->local_port && learn(fd, SYS_getsockname, &local))
        conn->local_port = local.port;
}
