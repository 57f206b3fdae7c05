/* Descriptors that come from elsewhere: open at exec (inetd, LISTEN_FDS, a wrapping shell), received over a
 * Unix socket, or fetched by pidfd_getfd. One that is not a TCP socket costs one system call, once. */
#include "shim/shim.h"

#include <netinet/tcp.h>
#include <poll.h>

enum { WINDOW = 256, KCMP_FILE = 0 };

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

uint64_t af_cookie(int fd, struct af_socket *conn) {
    uint64_t cookie = conn ? atomic_load(&conn->cookie) : 0;
    socklen_t size = sizeof cookie;
    if (!cookie && AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 && conn) {
        atomic_store(&conn->cookie, cookie);
        af_show(conn);
    }
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

struct wanted {
    uint64_t cookie;
    struct af_socket *found;
};

static void compare_cookie(int fd, struct af_socket *conn, void *wanted) {
    (void)fd;
    struct wanted *w = wanted;
    if (atomic_load(&conn->cookie) == w->cookie)
        w->found = conn;
}

/* A relative who shares our ledger has it: his record becomes ours too. */
static bool join_relative(struct af_socket *conn, uint64_t cookie) {
    struct af_ledger_map *ledger = atomic_load(&af.ledger);
    const uint32_t used = atomic_load(&ledger->header->n_connections);
    const uint32_t n = used < ledger->section[AF_CONNECTIONS].max ? used : ledger->section[AF_CONNECTIONS].max;
    for (uint32_t i = 0; i < n; i++) {
        if (!ledger->reach(ledger, AF_CONNECTIONS, i))
            return false;
        struct af_connection *shared = af_ledger_connection(ledger, i);
        const uint64_t hold = atomic_load(&shared->hold);
        if (atomic_load(&shared->cookie) != cookie)
            continue;
        if (atomic_load(&shared->state) == AF_CONN_FREE || !af_join_hold(conn, i, hold)) {
            /* Its sender has let go of it; whether its FIN was sent cannot be seen later. */
            af_set(conn, atomic_load(&shared->flags) & (AF_FLAG_FIN_FIRST | AF_FLAG_FIN_SECOND | AF_FLAG_READS_ODD));
            continue;
        }
        if (atomic_load(&shared->sent) > 0)
            atomic_fetch_sub(&shared->sent, 1);
        af_learn_from_relatives(conn);
        return true;
    }
    return false;
}

/* The same socket may be here already: at another number, or with a relative. */
static void adopt(int fd, uint32_t flags) {
    int protocol = af_tcp_protocol(fd);
    if (!protocol)
        return;
    struct wanted wanted = { .cookie = af_cookie(fd, NULL) };
    if (wanted.cookie && af.ledger)
        af_each(0, ~0u, compare_cookie, &wanted);
    struct af_socket *conn = wanted.found;
    if (conn) {
        af_enter_or_unref(conn, fd, af_ref(conn));
        struct af_connection *shared = flags & AF_FLAG_RECEIVED ? af_shared(conn) : NULL;
        if (shared && (af_is_joined(conn) || af_has(conn, AF_FLAG_SENT)) && atomic_load(&shared->sent) > 0)
            atomic_fetch_sub(&shared->sent, 1);
        af_set(conn, AF_FLAG_SHARED);
        return;
    }
    conn = af_record(fd, false, flags | AF_FLAG_SHARED | (protocol == IPPROTO_MPTCP ? AF_FLAG_MPTCP : 0));
    if (!conn)
        return;
    atomic_store(&conn->owner, AF_NO_SLOT);
    atomic_store(&conn->cookie, wanted.cookie);
    atomic_store(&conn->state, AF_CONN_INHERITED);
    if (!wanted.cookie || !(flags & AF_FLAG_RECEIVED) || !join_relative(conn, wanted.cookie))
        af_show(conn);
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
            result = af_poll(asked, (unsigned)window, 0);
        } while (result == -EINVAL && (window /= 2) > 0); /* more than RLIMIT_NOFILE */
        last = result >= 0 ? adopt_open(asked, window) : -WINDOW;
    }
}

bool af_learn_address(int fd, long call, struct af_addr *out) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    return AF_SYS3(call, fd, &sa, &size) == 0 && af_addr_from((struct sockaddr *)&sa, size, out);
}

/* May somebody else have set its linger options: an image or a sender of which nothing else is known, a relative since we
 * parted, or who had it once by exec or a message? */
static bool may_be_set_elsewhere(const struct af_socket *conn) {
    return atomic_load(&conn->state) == AF_CONN_INHERITED || af_is_joined(conn) || af_was_forked(conn) ||
           af_has(conn, AF_FLAG_SENT) || af_was_spawned(conn);
}

/* Then what is on it counts, and not what is known here: ack, an abort, or neither of them any more. */
void af_learn_linger(int fd, struct af_socket *conn) {
    struct linger linger = { 0 };
    int after_fin = 0;
    socklen_t size = sizeof linger;
    if (!may_be_set_elsewhere(conn) || af_has(conn, AF_FLAG_RST_SET) ||
        AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &size) < 0)
        return;
    size = sizeof after_fin;
    if (AF_SYS5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_LINGER2, &after_fin, &size) < 0)
        after_fin = af_has(conn, AF_FLAG_ACK) ? -1 : 0;
    const bool acks = after_fin < 0 && (af_has(conn, AF_FLAG_ACK) || (af.acks && !af_has(conn, AF_FLAG_ABORTS)));
    if ((linger.l_onoff && !linger.l_linger) || (after_fin < 0 && !acks))
        af_set(conn, AF_FLAG_ABORTS);
    else if (after_fin >= 0)
        af_clear(conn, AF_FLAG_ABORTS);
    if (!acks)
        af_clear(conn, AF_FLAG_ACK | AF_FLAG_ASKS);
    else if (!af_has(conn, AF_FLAG_ACK))
        af_set(conn, af.asks ? AF_FLAG_ACK | AF_FLAG_ASKS : AF_FLAG_ACK);
}

/* accept or connect? The library cannot know; a local port that a connect chose lies in the ephemeral range,
 * and the peer's then mostly does not. What cannot be told is shown by its peer. */
void af_learn_addresses(int fd, struct af_socket *conn) {
    if (atomic_load(&conn->state) != AF_CONN_INHERITED)
        return;
    struct af_addr local;
    if (!conn->peer.port)
        af_learn_address(fd, SYS_getpeername, &conn->peer);
    if (!conn->local_port && af_learn_address(fd, SYS_getsockname, &local))
        conn->local_port = local.port;
}
