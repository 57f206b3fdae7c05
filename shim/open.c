/* Hooks: a connection comes to be. */
#include "shim/shim.h"

#include <netinet/tcp.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static inline bool is_tcp(int domain, int type, int protocol) {
    return (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM && (domain == AF_INET || domain == AF_INET6) &&
           AF_LIKELY(protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static inline int note_socket(int fd, int domain, int protocol) {
    return af_track(fd, domain == AF_INET6, protocol == IPPROTO_MPTCP ? AF_FLAG_MPTCP : 0);
}

static int socket_failed(void) {
    int error = errno;
    af_add_error(AF_CALL_socket, error);
    errno = error;
    return -1;
}

/* There is no memory yet; a bad setting is told of here. */
static int first_socket(bool raw, int domain, int type, int protocol) {
    af_complain();
    int fd = AF_NEXT(raw, socket, domain, type, protocol);
    int error = errno;
    if (af.on && af_ready()) {
        if (fd < 0)
            af_add_error(AF_CALL_socket, error);
        else
            note_socket(fd, domain, protocol);
    }
    errno = error;
    return fd;
}

static __attribute__((noinline)) bool is_for_others(void) {
    const bool others = af_in_vfork_child();
    if (!others)
        af_read_mail();
    return others;
}

/* Where the call succeeds, nothing here touches errno. */
static __attribute__((noinline)) int socket_otherwise(int domain, int type, int protocol, bool raw) {
    if (!is_tcp(domain, type, protocol) || (af_is_odd(AF_ODD_GUESTS | AF_ODD_MAIL) && is_for_others()))
        return AF_NEXT(raw, socket, domain, type, protocol);
    if (AF_UNLIKELY(!af.ledger))
        return first_socket(raw, domain, type, protocol);
    int fd = AF_NEXT(raw, socket, domain, type, protocol);
    if (AF_UNLIKELY(fd < 0))
        return socket_failed();
    return note_socket(fd, domain, protocol);
}

/* The common case of it. */
int af_on_socket(int domain, int type, int protocol, bool raw) {
    if (AF_UNLIKELY(raw || (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != SOCK_STREAM ||
                    (domain != AF_INET && domain != AF_INET6) || (protocol != 0 && protocol != IPPROTO_TCP) ||
                    af_is_odd(AF_ODD_GUESTS | AF_ODD_MAIL | AF_ODD_FIRST)))
        return socket_otherwise(domain, type, protocol, raw);
    int fd = af_real.socket(domain, type, protocol);
    if (AF_UNLIKELY(fd < 0))
        return socket_failed();
    return af_track(fd, domain == AF_INET6, 0);
}

/* To ask whether the address can be read costs a system call, and is only done where a rule depends on it. */
static inline bool read_early(const void *addr, socklen_t len, struct af_addr *peer) {
    const bool readable = af.by_address & 1 << AF_ROLE_CONNECT ? af_can_read_address(addr, len)
                                                               : af_is_on_stack(addr, len);
    return readable && af_addr_from(addr, len, peer);
}

/* The policies of an outgoing connection, on a socket that has none yet: was it such? Its cookie is read before there is
 * one: who is killed in connect may leave a TIME_WAIT. */
static inline bool prepare(int fd, struct af_socket *conn, const void *addr, socklen_t len, struct af_values *values) {
    struct af_addr peer = { 0 };
    uint32_t state = AF_CONN_NEW;
    if (atomic_load_explicit(&conn->state, memory_order_acquire) != AF_CONN_NEW)
        return false;
    if (!read_early(addr, len, &peer) && af.by_address & 1 << AF_ROLE_CONNECT)
        return false;
    conn->peer = peer;
    if (af.acts)
        af_apply(fd, conn, AF_ROLE_CONNECT, &conn->peer, values);
    if (af_ledger_is_file())
        af_cookie(fd, conn);
    const bool fresh = atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_PENDING);
    if (fresh)
        af_show(conn);
    return fresh;
}

static bool is_failure(int error) {
    return error != EISCONN && error != EINPROGRESS && error != EALREADY && error != EINTR && error != EAGAIN;
}

static void count_failure(int error) {
    af_add(AF_COUNT_connect_errors);
    af_add_error(AF_CALL_connect, error);
}

/* A connect that fails once it had a port gives that back, as it does one that bind has chosen; getsockname still tells it. */
static __attribute__((noinline)) void note_port_gone(int fd, struct af_socket *conn) {
    struct af_addr at;
    if (af_learn_address(fd, SYS_getsockname, &at) && at.port)
        af_clear(conn, AF_FLAG_BOUND_LATE);
}

/* What a connect has come to. */
static void note_result(int fd, struct af_socket *conn, bool done, int error) {
    uint32_t state = atomic_load(&conn->state);
    if (done || error == EISCONN) {
        if (!af_has(conn, AF_FLAG_TFO) && (state == AF_CONN_PENDING || (done && state == AF_CONN_INHERITED)))
            af_established(conn);
    } else if (is_failure(error)) {
        if (af_has(conn, AF_FLAG_BOUND_LATE))
            note_port_gone(fd, conn);
        if (state == AF_CONN_PENDING)
            af_connect_failed(conn, error);
        else
            count_failure(error);
        return;
    }
    if (af_has(conn, AF_FLAG_BOUND_LATE) && atomic_load(&conn->state) != AF_CONN_NEW)
        af_clear(conn, AF_FLAG_BOUND_LATE);
    if (af_ledger_is_file())
        af_cookie(fd, conn);
}

static void make_new(struct af_socket *conn) {
    uint32_t state = atomic_load(&conn->state);
    while (state != AF_CONN_FREE && !atomic_compare_exchange_weak(&conn->state, &state, AF_CONN_NEW))
        ;
    conn->ending = AF_END_NONE;
    af_clear(conn, AF_FLAG_FIN_FIRST | AF_FLAG_FIN_SECOND | AF_FLAG_ACCEPTED);
    af_show(conn);
}

/* The kernel has read the address. False: it was AF_UNSPEC, and there is no connection. Another thread may end this one
 * meanwhile: the port comes last, and who finds none knows no peer (af_peer). */
static inline bool note_peer(struct af_socket *conn, const void *addr, socklen_t len) {
    struct af_addr peer;
    if (conn->peer.port)
        return true;
    if (!af_addr_from(addr, len, &peer)) {
        make_new(conn);
        return false;
    }
    __builtin_memcpy(conn->peer.ip, peer.ip, sizeof peer.ip);
    conn->peer.v6 = peer.v6;
    __atomic_store_n(&conn->peer.port, peer.port, __ATOMIC_RELEASE);
    af_show(conn);
    return true;
}

/* connect, or a send that opens the connection (MSG_FASTOPEN): `at_once` where success means established. While
 * it waits another thread may close the socket, or end the process and with it every connection; the record stays pinned,
 * so that it is nobody else's. A thread that is cancelled there never unpins it: then it is not used again. */
long af_open(struct af_socket *conn, const struct af_attempt *attempt, bool at_once) {
    struct af_values values;
    bool fresh = false;
    const int before = errno;
    values.cycle = false;
    values.source = 0;
    values.port_low = 0;
    af_log_if_due();
    const bool pinned = af_pin(attempt->fd, conn);
    if (AF_LIKELY(pinned)) {
        af_take_back_source(attempt->fd, conn); /* refused where there is a connection, or may be one soon */
        fresh = prepare(attempt->fd, conn, attempt->addr, attempt->len, &values);
    }
    if (values.cycle && pinned)
        af_set(conn, AF_FLAG_WINDOW);
    af_add(AF_COUNT_connects);
    const long result = values.source && fresh ? af_open_from_source(conn, attempt, &values)
                        : values.cycle         ? af_search(attempt, &values)
                                               : attempt->run(attempt);
    const int error = result < 0 ? errno : before;
    if (AF_UNLIKELY(values.port_low) && fresh && (result >= 0 || error == EINPROGRESS))
        af_look_at_port(attempt->fd);
    if (pinned && result < 0 && is_failure(error) && af_is_at(attempt->fd, conn))
        af_take_back_source(attempt->fd, conn);
    if (AF_LIKELY(pinned && af_is_at(attempt->fd, conn))) {
        const bool begun = result >= 0 && !at_once;
        if (!fresh || (result < 0 && is_failure(error)) || note_peer(conn, attempt->addr, attempt->len))
            note_result(attempt->fd, conn, result >= 0 && !begun, begun ? EINPROGRESS : error);
    } else if (result < 0 && is_failure(error)) {
        count_failure(error);
    }
    if (AF_LIKELY(pinned))
        af_unpin(conn);
    errno = error;
    return result;
}

static long run_connect(const struct af_attempt *a) {
    return AF_NEXT(a->raw, connect, a->fd, a->addr, a->len);
}

/* connect(AF_UNSPEC) ends what there is, by a reset where that is needed, and makes the socket new. */
static int disconnect(struct af_socket *conn, const struct af_attempt *attempt) {
    uint32_t state = atomic_load(&conn->state);
    struct af_tcp_info tcp;
    bool alive = af.counting && state != AF_CONN_LISTENER && af_read_tcp_info(attempt->fd, conn, &tcp);
    af_add(AF_COUNT_connects);
    int result = (int)run_connect(attempt);
    int error = errno;
    if (result < 0) {
        count_failure(error);
    } else if (af_pin(attempt->fd, conn)) {
        if (alive)
            af_settle_reset(attempt->fd, conn, &tcp);
        af_take_back_source(attempt->fd, conn);
        make_new(conn);
        af_unpin(conn);
    }
    errno = error;
    return result;
}

/* What the program waits for: policies and the search for a port are in it. */
static int connect_timed(struct af_socket *conn, const struct af_attempt *attempt) {
    const uint64_t began = af_clock();
    int result = (int)af_open(conn, attempt, true);
    const uint64_t ended = af_clock();
    if (ended)
        af_ledger_count_time(af.ledger, ended - began);
    return result;
}

/* What is left of af_open where something was not as it mostly is. */
static __attribute__((noinline)) int connect_ended(int fd, struct af_socket *conn, const struct sockaddr *addr,
                                                   socklen_t len, int result) {
    const int error = errno;
    if (af_is_at(fd, conn)) {
        if (af_has(conn, AF_FLAG_WINDOW) && (result == 0 || error == EINPROGRESS))
            af_look_at_port(fd);
        if ((result < 0 && is_failure(error)) || note_peer(conn, addr, len))
            note_result(fd, conn, result == 0, error);
    } else {
        if (result < 0 && is_failure(error))
            count_failure(error);
        af_show(conn); /* it has gone meanwhile, and may have been shown since */
    }
    af_unpin(conn);
    errno = error;
    return result;
}

static __attribute__((noinline)) int connect_ours(int fd, struct af_socket *conn, const struct sockaddr *addr,
                                                  socklen_t len, bool raw) {
    struct af_attempt attempt = { .run = run_connect, .fd = fd, .addr = addr, .len = len, .raw = raw };
    if (atomic_load(&conn->state) != AF_CONN_NEW && len >= sizeof addr->sa_family && af_can_read_address(addr, len) &&
        addr->sa_family == AF_UNSPEC)
        return disconnect(conn, &attempt);
    return af_ledger_is_file() ? connect_timed(conn, &attempt) : (int)af_open(conn, &attempt, true);
}

/* A letter is read with nothing of this on the stack. */
static __attribute__((noinline)) int connect_otherwise(int fd, const struct sockaddr *addr, socklen_t len, bool raw) {
    struct af_socket *conn = af_ours(fd);
    if (!conn)
        return AF_NEXT(raw, connect, fd, addr, len);
    af_read_mail();
    return connect_ours(fd, conn, addr, len, raw);
}

/* note_peer for IPv4. The peer is nobody's to read before its port is there. */
static inline bool note_ip4_peer(struct af_socket *conn, const struct sockaddr *addr) {
    struct sockaddr_in to;
    __builtin_memcpy(&to, addr, sizeof to);
    if (AF_UNLIKELY(to.sin_family != AF_INET || !to.sin_port))
        return false;
    __builtin_memset(conn->peer.ip, 0, sizeof conn->peer.ip);
    __builtin_memcpy(conn->peer.ip, &to.sin_addr, sizeof to.sin_addr);
    conn->peer.v6 = 0;
    __atomic_store_n(&conn->peer.port, ntohs(to.sin_port), __ATOMIC_RELEASE);
    return true;
}

/* Who is killed in connect may leave a TIME_WAIT, of which the kernel knows the peer. The rest of what a reader may ask for
 * stands there since the record was filled in anew (af_begin_hold): whose it is, and that it has no ending. */
static inline void keep(int fd, struct af_socket *conn, struct af_connection *kept) {
    uint64_t asked = 0;
    const socklen_t size = sizeof asked;
    af_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, (long)&asked, (long)&size, 0);
    const uint64_t cookie = asked;
    kept->peer.port = 0;
    atomic_store_explicit(&conn->cookie, cookie, memory_order_relaxed);
    atomic_store_explicit(&kept->cookie, cookie, memory_order_relaxed);
    atomic_store_explicit(&kept->flags, atomic_load_explicit(&conn->flags, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&kept->state, AF_CONN_PENDING, memory_order_release);
}

static inline void count_time(const struct timespec *began) {
    struct timespec ended;
    if (AF_UNLIKELY(af_sealed)) /* since then */
        return;
    af_real.clock_gettime(CLOCK_MONOTONIC, &ended);
    af_ledger_count_time(atomic_load_explicit(&af.ledger, memory_order_relaxed),
                         (uint64_t)((ended.tv_sec - began->tv_sec) * 1000000000 + ended.tv_nsec - began->tv_nsec));
}

/* The common case, as af_open does it, and with nothing that the others need: a new socket with a low number, nothing odd,
 * and a connect that says yes at once. Its locked instructions: the pin and its end (a thread may close it meanwhile), two
 * changes of state (a thread may connect it too), two counts (threads share them), a flag where a policy has one, and a
 * count in the histogram of a ledger that is kept. */
static inline __attribute__((always_inline)) int connect_as(int fd, struct af_socket *_Atomic *at,
                                                            struct af_socket *conn, const struct sockaddr *addr,
                                                            socklen_t len, bool keeps, struct af_connection *kept) {
    uint32_t state = AF_CONN_NEW;
    struct timespec began;
    if (keeps) {
        af_real.clock_gettime(CLOCK_MONOTONIC, &began);
        af_log_if_due_at(began.tv_sec);
    } else {
        af_log_if_due();
    }
    atomic_fetch_add(&conn->pins, 1);
    if (AF_UNLIKELY(atomic_load_explicit(at, memory_order_acquire) != conn ||
                    !atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_PENDING))) {
        af_unpin(conn);
        return connect_otherwise(fd, addr, len, false);
    }
    __atomic_store_n(&conn->peer.port, 0, __ATOMIC_RELAXED);
    if (af.acts)
        af_apply_connect(fd, conn);
    if (keeps)
        keep(fd, conn, kept);
    af_add(AF_COUNT_connects);
    const int result = af_real.connect(fd, addr, len);
    if (keeps)
        count_time(&began);
    if (AF_UNLIKELY(result != 0 || af_is_odd(AF_ODD_SHARED) || atomic_load_explicit(at, memory_order_acquire) != conn ||
                    af_has(conn, AF_FLAG_TFO | AF_FLAG_BOUND_LATE | AF_FLAG_WINDOW) || !note_ip4_peer(conn, addr)))
        return connect_ended(fd, conn, addr, len, result);
    if (keeps)
        kept->peer = conn->peer;
    af_add(AF_COUNT_established);
    if (keeps) /* at once, as in af_established */
        atomic_store_explicit(&kept->state, AF_CONN_OPEN, memory_order_release);
    state = AF_CONN_PENDING;
    if (AF_UNLIKELY(!atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_OPEN))) {
        af_count(AF_COUNT_established, -1); /* another thread was first */
        af_show(conn);
    }
    if (af_is_odd(AF_ODD_SHARED)) /* a fork that began just before has copied a connection that is on its way */
        af_show(conn);
    af_unpin(conn);
    return 0;
}

static __attribute__((noinline)) int connect_kept(int fd, const struct sockaddr *addr, socklen_t len,
                                                  struct af_socket *_Atomic *at, struct af_socket *conn) {
    const uint32_t place = atomic_load_explicit(&conn->place, memory_order_relaxed);
    if (AF_UNLIKELY(!place))
        return connect_otherwise(fd, addr, len, false);
    return connect_as(fd, at, conn, addr, len, true,
                      af_ledger_connection(atomic_load_explicit(&af.ledger, memory_order_relaxed), place - 1));
}

static __attribute__((noinline)) int connect_plainly(int fd, const struct sockaddr *addr, socklen_t len,
                                                     struct af_socket *_Atomic *at, struct af_socket *conn) {
    return connect_as(fd, at, conn, addr, len, false, NULL);
}

int af_on_connect(int fd, const struct sockaddr *addr, socklen_t len, bool raw) {
    struct af_socket *conn = (unsigned)fd < AF_LOW ? atomic_load_explicit(&af_low[fd], memory_order_acquire) : NULL;
    const uint32_t odd = atomic_load(&af.odd);
    if (AF_UNLIKELY(!conn || raw || len < sizeof(struct sockaddr_in) || odd & ~(uint32_t)(AF_ODD_FILE | AF_ODD_RST) ||
                    !af_is_same_process()))
        return connect_otherwise(fd, addr, len, raw);
    return odd & AF_ODD_FILE ? connect_kept(fd, addr, len, &af_low[fd], conn)
                             : connect_plainly(fd, addr, len, &af_low[fd], conn);
}

/* What an accepted connection takes from its listener, noted before a call during which that may be closed. */
struct parent {
    struct af_addr at;
    uint32_t flags, own;
    uint16_t port;
    uint8_t v6;
};

static void note_listener(int fd, struct af_socket *conn, struct parent *parent) {
    const uint32_t state = atomic_load(&conn->state);
    if (AF_UNLIKELY(state == AF_CONN_INHERITED || state == AF_CONN_NEW))
        af_listening(fd, conn);
    *parent = (struct parent){ .at = af_details_of(conn).bind_to,
                               .flags = atomic_load(&conn->flags),
                               .own = atomic_load(&conn->own),
                               .port = conn->local_port,
                               .v6 = conn->family_v6 };
}

/* An MPTCP listener accepts plain sockets from peers that do not speak it (mptcp_stream_accept() of Linux). */
static uint32_t handed_on(int fd, const struct parent *parent) {
    const uint32_t flags = AF_FLAG_ACK | AF_FLAG_ASKS | AF_FLAG_RST | AF_FLAG_ABORTS | AF_FLAG_SECONDS |
                           AF_FLAG_READS_ODD;
    const bool multipath = parent->flags & AF_FLAG_MPTCP && af_tcp_protocol(fd) != IPPROTO_TCP;
    return AF_FLAG_ACCEPTED | (parent->flags & flags) | (multipath ? AF_FLAG_MPTCP : 0);
}

static void note_accepted(int fd, const struct parent *parent) {
    struct af_values values;
    af_add(AF_COUNT_accepts);
    struct af_socket *conn = af_record(fd, parent->v6, handed_on(fd, parent));
    if (!conn)
        return;
    if (af_force()->policy->override)
        af_details(conn)->bind_to = parent->at;
    conn->local_port = parent->port;
    atomic_store(&conn->own, parent->own);
    atomic_store(&conn->state, AF_CONN_PENDING);
    if (af_ledger_is_file()) /* before it is counted: whoever is killed then is known to have it */
        af_cookie(fd, conn);
    af_show(conn);
    af_established(conn);
    af_enter(fd, conn);
    if (!af_pin(fd, conn))
        return;
    if (AF_UNLIKELY(af.changes)) /* it may have waited since before the last of them */
        af_enforce(fd, conn);
    else if (af.acts && !(parent->flags & AF_FLAG_HANDS_ON))
        af_apply(fd, conn, AF_ROLE_LISTEN, &parent->at, &values);
    af_unpin(conn);
}

static void accept_failed(int error) {
    if (error != EAGAIN && error != EINTR)
        af_add_error(AF_CALL_accept, error);
}

int af_on_accept(int fd, struct sockaddr *addr, socklen_t *len, bool raw) {
    return af_accept(raw, fd, addr, len, -1);
}

int af_on_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags, bool raw) {
    return af_accept(raw, fd, addr, len, flags);
}

/* flags < 0: accept, which some seccomp filters tell from accept4. */
int af_accept(bool raw, int fd, struct sockaddr *addr, socklen_t *len, int flags) {
    struct af_socket *conn = af_ours(fd);
    struct parent parent;
    if (conn) {
        af_log_if_due();
        af_read_mail();
    }
    if (conn && !af_pin(fd, conn))
        conn = NULL;
    if (conn) {
        note_listener(fd, conn, &parent);
        af_unpin(conn);
    }
#ifndef SYS_accept /* i386 */
    flags = raw && flags < 0 ? 0 : flags;
#define SYS_accept SYS_accept4
#endif
    int got = flags < 0 ? AF_NEXT(raw, accept, fd, addr, len) : AF_NEXT(raw, accept4, fd, addr, len, flags);
    if (!conn)
        return got;
    int error = errno;
    af_read_mail();
    if (got >= 0)
        note_accepted(got, &parent);
    else
        accept_failed(error);
    errno = error;
    return got;
}
