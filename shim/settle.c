/* How a connection ended: a prediction from the socket's state just before the close that ends it.
 *
 * What each state means for TIME_WAIT: RFC 9293, section 3.6, and tcp_close() of Linux (net/ipv4/tcp.c). The
 * command checks the prediction against the kernel's own table by cookie. */
#include "shim/shim.h"

#include <asm/ioctls.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>

#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

enum { MPTCP_INFO = 1 }; /* linux/mptcp.h, Linux 5.16 */

enum {
    ESTABLISHED = 1,
    SYN_SENT,
    SYN_RECV,
    FIN_WAIT1,
    FIN_WAIT2,
    TIME_WAIT,
    CLOSE,
    CLOSE_WAIT,
    LAST_ACK,
    LISTEN,
    CLOSING
};

static inline long poll_at_once(struct pollfd *asked) {
#ifdef SYS_poll
    return af_sys(SYS_poll, (long)asked, 1, 0, 0, 0, 0);
#else
    struct timespec none = { 0 };
    return af_sys(SYS_ppoll, (long)asked, 1, (long)&none, 0, 0, 0);
#endif
}

static long poll_now(struct pollfd *asked) {
    return af_sealed ? -EPERM : poll_at_once(asked);
}

/* A peer without MPTCP is spoken to in plain TCP, and the kernel then knows no option of SOL_MPTCP. */
static bool fell_back(int fd) {
    uint64_t info;
    socklen_t size = sizeof info;
    return AF_SYS5(SYS_getsockopt, fd, SOL_MPTCP, MPTCP_INFO, &info, &size) < 0;
}

/* TCP_INFO is the first subflow's, which knows nothing of a DATA_FIN; FIONREAD says 1 at the end of the data. After a
 * fallback the FIN is sent even if there is data that nobody has read (__mptcp_close() of Linux). */
static void read_mptcp_info(int fd, const struct af_socket *conn, struct af_tcp_info *tcp) {
    struct pollfd asked = { .fd = fd, .events = POLLIN | POLLRDHUP };
    if (poll_now(&asked) < 0)
        return;
    const bool fin = asked.revents & POLLRDHUP;
    if (fin && tcp->state == ESTABLISHED && !af_has(conn, AF_FLAG_FIN_FIRST))
        tcp->state = CLOSE_WAIT;
    tcp->unread = !fin && asked.revents & POLLIN && !fell_back(fd);
}

static inline long ask_kernel(int fd, struct tcp_info *info) {
    socklen_t size = offsetof(struct tcp_info, tcpi_data_segs_out) + sizeof info->tcpi_data_segs_out;
    info->tcpi_bytes_acked = info->tcpi_bytes_received = 0; /* Linux 4.1 has them */
    info->tcpi_segs_out = info->tcpi_data_segs_out = 0;     /* 4.2, 4.6 */
    return af_sys(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, (long)info, (long)&size, 0);
}

static struct af_tcp_info told(const struct tcp_info *info) {
    return (struct af_tcp_info){ info->tcpi_state, -1, info->tcpi_bytes_acked, info->tcpi_bytes_received,
                                 info->tcpi_segs_out - info->tcpi_data_segs_out };
}

bool af_read_tcp_info(int fd, const struct af_socket *conn, struct af_tcp_info *tcp) {
    struct tcp_info info;
    if (af_sealed || ask_kernel(fd, &info) < 0)
        return false;
    *tcp = told(&info);
    if (af_has(conn, AF_FLAG_MPTCP))
        read_mptcp_info(fd, conn, tcp);
    return true;
}

static const uint32_t is_odd = AF_FLAG_FIN_FIRST | AF_FLAG_FIN_SECOND | AF_FLAG_MPTCP | AF_FLAG_TFO |
                               AF_FLAG_READS_ODD | AF_FLAG_ABORTS;

/* Of a connection that is open for all we know, poll tells in one call, half as dear as TCP_INFO, whether the
 * peer's FIN is there, and if not, whether unread data is (tcp_poll() of Linux). Whatever else it says (HUP, ERR)
 * is for the long tcp. */
static inline bool poll_for_info(int fd, const struct af_socket *conn, struct af_tcp_info *tcp) {
    struct pollfd asked = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    if (atomic_load(&conn->state) != AF_CONN_OPEN || af_has(conn, is_odd | AF_FLAG_ASKS))
        return false;
    if (poll_now(&asked) < 0 || asked.revents & (POLLERR | POLLHUP | POLLNVAL))
        return false;
    const bool fin = asked.revents & POLLRDHUP;
    if (!fin && asked.revents & POLLIN) /* or a file that has got the number: TCP_INFO tells them apart */
        return false;
    *tcp = (struct af_tcp_info){ .state = fin ? CLOSE_WAIT : ESTABLISHED };
    return true;
}

static inline enum af_ending plain_ending(bool fin, uint32_t flags) {
    return fin ? AF_END_PASSIVE : flags & (AF_FLAG_ACK | AF_FLAG_RST_SET) ? AF_END_AVOIDED : AF_END_TIME_WAIT;
}

/* Of relatives who have it too, one counts it as established. */
static bool is_first_to_see(struct af_socket *conn) {
    struct af_connection *shared = af_shared(conn);
    uint32_t seen = shared ? atomic_load(&shared->state) : AF_CONN_OPEN;
    if (!shared || (seen != AF_CONN_OPEN && atomic_compare_exchange_strong(&shared->state, &seen, AF_CONN_OPEN)) ||
        seen != AF_CONN_OPEN)
        return true;
    af_learn_from_relatives(conn);
    return false;
}

void af_established(struct af_socket *conn) {
    uint32_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
    if (state == AF_CONN_OPEN)
        return;
    if (!af.counting) {
        atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_OPEN);
        return;
    }
    if (AF_UNLIKELY(af_was_forked(conn)) && !is_first_to_see(conn))
        return;
    struct af_connection *shared = af_ledger_is_file() ? af_shared(conn) : NULL;
    af_add(AF_COUNT_established); /* before it is OPEN: from then on another thread may end it */
    atomic_store_explicit(&conn->owner, af.slot, memory_order_relaxed); /* which that may have claimed */
    if (shared) /* at once: who is killed in between has it counted twice */
        atomic_store_explicit(&shared->state, AF_CONN_OPEN, memory_order_release);
    if (!atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_OPEN) && af_self())
        af_change(af.slot, AF_COUNT_established, -1);
    af_show(conn);
}

void af_connect_failed(struct af_socket *conn, int error) {
    uint32_t pending = AF_CONN_PENDING;
    if (!atomic_compare_exchange_strong(&conn->state, &pending, AF_CONN_NEW))
        return; /* by another thread, which has counted it */
    af_show(conn);
    af_add(AF_COUNT_connect_errors);
    af_add_error(AF_CALL_connect, error);
}

static bool has_unread(int fd, const struct af_tcp_info *tcp) {
    int unread = 0;
    if (tcp->unread >= 0)
        return tcp->unread;
    return tcp->received && AF_SYS3(SYS_ioctl, fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* CLOSE: it is over already. An error that waits tells how (EPIPE: the peer's FIN, then its RST); reading it
 * takes it away, which nobody will miss: this is the last descriptor. One that came to this image after a half-close of
 * which nobody has told us looks like an aborted one, and counts as such: tcpi_bytes_acked has our FIN in it, but a SYN too
 * where this end connected, and neither that nor whose FIN was first is known here. Its TIME_WAIT is confirmed by cookie all
 * the same. */
static enum af_ending judge_dead(int fd, const struct af_socket *conn) {
    int error = 0;
    socklen_t size = sizeof error;
    if (af_has(conn, AF_FLAG_FIN_SECOND))
        return AF_END_PASSIVE;
    AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        return error == EPIPE ? AF_END_PASSIVE : AF_END_ABORTED;
    return af_has(conn, AF_FLAG_FIN_FIRST) ? AF_END_TIME_WAIT : AF_END_ABORTED;
}

static enum af_ending judge(int fd, const struct af_socket *conn, const struct af_tcp_info *tcp) {
    switch (tcp->state) {
    case CLOSE_WAIT:
    case LAST_ACK: return AF_END_PASSIVE;
    case CLOSE: return judge_dead(fd, conn);
    case CLOSING: /* the FINs crossed: TIME_WAIT follows whatever TCP_LINGER2 says */
        return has_unread(fd, tcp) || af_has(conn, AF_FLAG_ABORTS) ? AF_END_ABORTED : AF_END_TIME_WAIT;
    default: /* ESTABLISHED, SYN_RECV, FIN_WAIT1, FIN_WAIT2 */
        if (has_unread(fd, tcp) || af_has(conn, AF_FLAG_ABORTS))
            return AF_END_ABORTED;
        return af_has(conn, AF_FLAG_ACK | AF_FLAG_RST_SET) ? AF_END_AVOIDED : AF_END_TIME_WAIT;
    }
}

static const uint8_t counter_of[] = {
    [AF_END_TIME_WAIT] = AF_COUNT_time_wait, [AF_END_AVOIDED] = AF_COUNT_avoided, [AF_END_PASSIVE] = AF_COUNT_passive,
    [AF_END_ABORTED] = AF_COUNT_aborted,     [AF_END_PASSED] = AF_COUNT_passed,
};

static inline void count_endpoint(const struct af_socket *conn, int by) {
    const uint32_t slot =
        atomic_load_explicit(&af.slot, memory_order_relaxed); /* none: a handler has forked, this is the child */
    const bool accepted = af_has(conn, AF_FLAG_ACCEPTED);
    const struct af_addr to = accepted ? (struct af_addr){ .port = conn->local_port } : af_peer(conn);
    if (to.port && slot != AF_NO_SLOT && !af_ledger_count_endpoint(af.ledger, slot, &to, accepted, by))
        af_count_lost();
}

/* Count one ending, or (by -1) take it back. Whoever ends a connection that another process opened has it as
 * established too, and the opener has it as passed. */
static inline void credit(const struct af_socket *conn, enum af_ending ending, int by) {
    const uint32_t owner = atomic_load_explicit(&conn->owner, memory_order_relaxed),
                   self = atomic_load_explicit(&af.slot, memory_order_relaxed);
    const bool ours = owner == self && self != AF_NO_SLOT;
    if (ending == AF_END_TIME_WAIT)
        count_endpoint(conn, by);
    if (AF_UNLIKELY(ending == AF_END_PASSED || !ours)) {
        if (owner != AF_NO_SLOT)
            af_change(owner, AF_COUNT_passed, by);
        if (ending == AF_END_PASSED)
            return;
        af_count(AF_COUNT_established, by);
    }
    af_count(counter_of[ending], by);
}

static inline __attribute__((always_inline)) uint64_t append(const struct af_socket *conn, enum af_ending ending,
                                                             uint32_t owner, uint32_t slot, uint32_t place,
                                                             uint32_t flags, uint64_t now) {
    uint64_t serial;
    struct af_closed *to = af_ledger_begin_closed(atomic_load_explicit(&af.ledger, memory_order_relaxed), &serial);
    if (AF_UNLIKELY(!to))
        return 0;
    to->cookie = atomic_load_explicit(&conn->cookie, memory_order_relaxed);
    to->at = now;
    to->slot = slot;
    to->owner = owner;
    to->peer = conn->peer; /* a reader believes it where it has a port */
    to->local_port = conn->local_port;
    to->counted = (uint8_t)ending;
    to->use = (uint8_t)conn->tag;
    to->flags = flags;
    to->record = place;
    af_ledger_end_closed(to, serial);
    return serial;
}

/* SIGKILL may come at any instruction, and the reader is to have this ending once. What is in the ring and has no
 * ending in its own record has not been counted yet; from the first count to the ending it is a few instructions. */
static inline void record(struct af_socket *conn, enum af_ending ending) {
    if (!af_self())
        return;
    if (af_ledger_is_file()) {
        const uint64_t serial = append(conn, ending, conn->owner, af.slot, af_place_of(conn), atomic_load(&conn->flags),
                                       af_now());
        if (conn->revocable)
            af_details(conn)->serial = serial;
    }
    credit(conn, ending, 1);
    conn->ending = (uint8_t)ending;
    conn->shown = true;
    struct af_connection *shared = af_ledger_is_file() ? af_shared(conn) : NULL;
    if (shared)
        shared->ending = (uint8_t)ending;
}

void af_unsettle(struct af_socket *conn) {
    if (conn->ending == AF_END_NONE)
        return;
    credit(conn, conn->ending, -1);
    af_ledger_strike(af.ledger, af_details_of(conn).serial);
    conn->ending = AF_END_NONE;
}

/* Was there ever a connection? If it is not known yet, TCP_INFO tells, and that is counted. */
static bool was_connected(struct af_socket *conn, const struct af_tcp_info *tcp) {
    switch (atomic_load(&conn->state)) {
    case AF_CONN_OPEN: return true;
    case AF_CONN_INHERITED:
        return tcp->state != LISTEN && tcp->state != SYN_SENT && (tcp->state != CLOSE || tcp->acked || tcp->received);
    case AF_CONN_PENDING:
        if (tcp->acked)
            af_established(conn);
        else if (tcp->state == CLOSE && !af_has(conn, AF_FLAG_TFO))
            af_connect_failed(conn, 0);
        return tcp->acked || atomic_load(&conn->state) == AF_CONN_OPEN; /* its connect has just returned */
    default: return false;
    }
}

/* Has it gone where we cannot see? Sent and not seen to arrive, or inherited by an image that still lives. */
static bool is_elsewhere(int fd, const struct af_socket *conn) {
    const struct af_connection *shared = conn->shown ? af_shared(conn) : NULL;
    const int32_t image = shared ? atomic_load(&shared->foreign) : 0;
    if ((shared && atomic_load(&shared->sent) > 0) || (image && af_vfork_child_holds(image, fd)) ||
        af_image_holds(fd, conn))
        return true;
    return atomic_load(&conn->state) == AF_CONN_INHERITED && !af_has(conn, AF_FLAG_RECEIVED) && af_parent_holds(fd);
}

static bool read_info(int fd, struct af_socket *conn, struct af_tcp_info *tcp) {
    uint32_t state = atomic_load(&conn->state);
    if (state == AF_CONN_NEW || state == AF_CONN_LISTENER)
        return false;
    if (!poll_for_info(fd, conn, tcp) && !af_read_tcp_info(fd, conn, tcp)) {
        if (af_sealed || state != AF_CONN_OPEN)
            return false;
        *tcp = (struct af_tcp_info){ .state = ESTABLISHED }; /* it was closed where no hook has seen it, or just now */
    }
    if (!was_connected(conn, tcp))
        return false;
    if (af_ledger_is_file())
        af_cookie(fd, conn);
    return true;
}

/* The common case: open, nobody else's, and nothing odd about it. */
static bool settle_plainly(int fd, struct af_socket *conn) {
    const uint32_t flags = atomic_load_explicit(&conn->flags, memory_order_relaxed);
    struct af_tcp_info tcp;
    if (atomic_load_explicit(&af_forks.any, memory_order_relaxed) || af_was_spawned(conn) ||
        !poll_for_info(fd, conn, &tcp))
        return false;
    if (af_ledger_is_file())
        af_cookie(fd, conn);
    record(conn, plain_ending(tcp.state == CLOSE_WAIT, flags));
    return true;
}

void af_settle_counted(int fd, struct af_socket *conn) {
    struct af_tcp_info tcp;
    if (settle_plainly(fd, conn))
        return;
    af_learn_from_relatives(conn);
    if (!read_info(fd, conn, &tcp))
        return;
    af_learn_addresses(fd, conn);
    if (is_elsewhere(fd, conn)) {
        record(conn, AF_END_PASSED);
        return;
    }
    af_learn_linger(fd, conn);
    if (af_has(conn, AF_FLAG_ASKS))
        af_take_ack_back(fd, conn, &tcp);
    if (af.counting)
        record(conn, judge(fd, conn, &tcp));
}

/* ---- the same once more, for most of all closes: nothing is odd, and nothing will be taken back. ---------------- */

static __attribute__((noinline)) void count_endpoint_otherwise(const struct af_socket *conn) {
    count_endpoint(conn, 1);
}

/* An endpoint that has been counted has a port, so that it is not that of a connection without. */
static inline void count_time_wait(const struct af_socket *conn, uint32_t flags) {
    struct af_ledger_map *ledger = atomic_load_explicit(&af.ledger, memory_order_relaxed);
    if (AF_LIKELY(!(flags & AF_FLAG_ACCEPTED) && af_ledger_count_again(ledger, &conn->peer)))
        return;
    count_endpoint_otherwise(conn);
}

static __attribute__((noinline)) void record_otherwise(struct af_socket *conn, enum af_ending ending) {
    record(conn, ending);
}

static inline __attribute__((always_inline)) void count_plainly(struct af_process *self, const struct af_socket *conn,
                                                                enum af_ending ending, uint32_t flags) {
    atomic_fetch_add_explicit(&self->count[counter_of[ending]], 1, memory_order_relaxed);
    if (ending == AF_END_TIME_WAIT)
        count_time_wait(conn, flags);
}

/* When all is counted the record in the ledger goes, which says the same as its ending would. */
static inline __attribute__((always_inline)) void record_kept(int fd, struct af_process *self, struct af_socket *conn,
                                                              struct af_connection *kept, enum af_ending ending,
                                                              uint32_t flags) {
    struct timespec now;
    if (AF_UNLIKELY(!atomic_load_explicit(&conn->cookie, memory_order_relaxed)))
        af_cookie(fd, conn);
    af_real.clock_gettime(CLOCK_REALTIME, &now);
    af_log_if_due_by_day(now.tv_sec);
    const uint32_t slot = atomic_load_explicit(&af.slot, memory_order_relaxed);
    append(conn, ending, slot, slot, atomic_load_explicit(&conn->place, memory_order_relaxed), flags, af_ns_of(now));
    count_plainly(self, conn, ending, flags);
    atomic_store_explicit(&kept->state, AF_CONN_FREE, memory_order_release);
}

static inline __attribute__((always_inline)) void record_plainly(int fd, struct af_socket *conn, enum af_ending ending,
                                                                 uint32_t flags) {
    struct af_process *self = af_self_now();
    if (AF_UNLIKELY(!self))
        return record_otherwise(conn, ending);
    struct af_connection *kept = af_kept(conn);
    if (kept)
        record_kept(fd, self, conn, kept, ending, flags);
    else
        count_plainly(self, conn, ending, flags);
}

static __attribute__((noinline)) void settle_heard(int fd, struct af_socket *conn, const struct tcp_info *info) {
    const struct af_tcp_info tcp = told(info);
    af_take_ack_back(fd, conn, &tcp);
    if (af.counting)
        record_plainly(fd, conn, judge(fd, conn, &tcp), atomic_load_explicit(&conn->flags, memory_order_relaxed));
}

static __attribute__((noinline)) void settle_otherwise(int fd, struct af_socket *conn) {
    if (af_is_odd(AF_ODD_FILE))
        af_log_if_due();
    if (atomic_load_explicit(&conn->state, memory_order_relaxed) == AF_CONN_NEW)
        return; /* nothing has come of it; where that stands in the ledger it is `shown` already */
    if (af_is_odd(AF_ODD_FILE))
        conn->shown = true; /* so that its record there goes, whatever it says by now */
    af_settle(fd, conn);
}

/* linger=ack: a peer that was never heard keeps its TIME_WAIT (af_take_ack_back). */
static __attribute__((noinline)) void settle_asking(int fd, struct af_socket *conn, uint32_t flags) {
    struct tcp_info info;
    const int standard = 0;
    if (AF_UNLIKELY(ask_kernel(fd, &info) < 0))
        return settle_otherwise(fd, conn);
    if (AF_UNLIKELY(info.tcpi_state != ESTABLISHED || info.tcpi_bytes_received ||
                    atomic_load_explicit(&conn->own, memory_order_relaxed) ||
                    af_sys(SYS_setsockopt, fd, IPPROTO_TCP, TCP_LINGER2, (long)&standard, sizeof standard, 0) < 0))
        return settle_heard(fd, conn, &info);
    if (af.counting)
        record_plainly(fd, conn, AF_END_TIME_WAIT, flags);
}

static __attribute__((noinline)) void settle_polling(int fd, struct af_socket *conn, uint32_t flags) {
    struct pollfd asked = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    if (AF_UNLIKELY(poll_at_once(&asked) < 0 || asked.revents & (POLLERR | POLLHUP | POLLNVAL) ||
                    (asked.revents & (POLLIN | POLLRDHUP)) == POLLIN))
        return settle_otherwise(fd, conn);
    record_plainly(fd, conn, plain_ending(asked.revents & POLLRDHUP, flags), flags);
}

void af_settle_alone(int fd, struct af_socket *conn) {
    const uint32_t flags = atomic_load_explicit(&conn->flags, memory_order_relaxed);
    if (AF_UNLIKELY(atomic_load_explicit(&conn->state, memory_order_relaxed) != AF_CONN_OPEN || flags & is_odd ||
                    af_was_spawned(conn)))
        return settle_otherwise(fd, conn);
    if (flags & AF_FLAG_ASKS)
        return settle_asking(fd, conn, flags);
    if (af.counting)
        settle_polling(fd, conn, flags);
}

/* Most likely as it would have been by close; the command asks the kernel. */
void af_settle_unseen(struct af_socket *conn) {
    const struct af_tcp_info tcp = { .state = ESTABLISHED };
    if (!af.counting)
        return;
    af_learn_from_relatives(conn);
    if (atomic_load(&conn->state) == AF_CONN_OPEN)
        record(conn, judge(-1, conn, &tcp));
}

void af_settle_passed(int fd, struct af_socket *conn) {
    struct af_tcp_info tcp;
    if (af.counting && read_info(fd, conn, &tcp))
        record(conn, AF_END_PASSED);
}

void af_settle_reset(int fd, struct af_socket *conn, const struct af_tcp_info *tcp) {
    if (!was_connected(conn, tcp))
        return;
    /* The socket's next connection has the same cookie, and no TIME_WAIT can come of this one. */
    uint64_t cookie = conn->cookie;
    conn->cookie = 0;
    record(conn, tcp->state == CLOSE ? judge_dead(fd, conn) : AF_END_ABORTED);
    conn->cookie = cookie;
}
