/* Hooks: the program's own choices, which win unless AFTERFIN_OVERRIDE says otherwise. */
#include "shim/shim.h"

#include <netinet/tcp.h>

static int number(const void *value, socklen_t len) {
    int n = 0;
    if (len >= sizeof n)
        __builtin_memcpy(&n, value, sizeof n);
    return n;
}

/* The program has set or cleared what the flag stands for. */
static void note_flag(struct af_socket *conn, uint32_t flag, bool on) {
    af_clear(conn, flag);
    if (on)
        af_set(conn, flag);
}

/* SO_LINGER with l_onoff=1, or TCP_LINGER2, settles linger; a zero time or a negative one ends by a reset. */
static bool settles_linger(struct af_socket *conn, int level, const void *value, socklen_t len) {
    struct linger linger = { 0 };
    bool aborts;
    if (level == SOL_SOCKET && len >= sizeof linger) {
        __builtin_memcpy(&linger, value, sizeof linger);
        aborts = linger.l_onoff && linger.l_linger == 0;
    } else {
        aborts = number(value, len) < 0;
    }
    note_flag(conn, AF_FLAG_ABORTS, aborts);
    return level != SOL_SOCKET || linger.l_onoff;
}

static void note_option(int fd, struct af_socket *conn, int level, int name, const void *value, socklen_t len) {
    if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT) {
        note_flag(conn, AF_FLAG_TFO, number(value, len));
        return;
    }
    if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        af_set(conn, AF_FLAG_READS_ODD);
    enum af_key key = af_policy_key_of(level, name);
    if (key == AF_KEYS)
        return;
    if (key == AF_KEY_LINGER && !settles_linger(conn, level, value, len)) {
        af_keep_seconds(fd, conn);
        return;
    }
    const uint32_t own = atomic_fetch_or(&conn->own, 1u << key);
    if (key == AF_KEY_LINGER && !(own & AF_BIT(LINGER)))
        af_learn_linger(fd, conn); /* of one that came from elsewhere: a TCP_LINGER2 of ours may be on it */
    if (key == AF_KEY_BIND_NO_PORT)
        note_flag(conn, AF_FLAG_OWN_NO_PORT, number(value, len));
    if (key == AF_KEY_LINGER) /* the program has just put its own value there */
        af_clear(conn, level == IPPROTO_TCP ? AF_FLAG_ACK | AF_FLAG_ASKS : AF_FLAG_SECONDS);
    if (af.acts)
        af_reapply(fd, conn, key);
    af_show(conn);
}

int af_on_setsockopt(int fd, int level, int name, const void *value, socklen_t len, bool raw) {
    struct af_socket *conn = af_ours(fd);
    if (!conn)
        return AF_NEXT(raw, setsockopt, fd, level, name, value, len);
    int before = errno;
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        af_bind_now(fd, conn); /* refused once a port is taken, as it would be without us */
    int result = AF_NEXT(raw, setsockopt, fd, level, name, value, len);
    if (result == 0 && af_pin(fd, conn)) {
        note_option(fd, conn, level, name, value, len);
        af_unpin(conn);
        errno = before;
    }
    return result;
}

/* The program asks how its non-blocking connect went. An error on one that was established once is no
 * failure to connect. */
static void note_error_told(int fd, struct af_socket *conn, int error) {
    struct af_tcp_info tcp;
    if (!error || !af.counting || atomic_load(&conn->state) != AF_CONN_PENDING)
        return;
    if (af_read_tcp_info(fd, conn, &tcp) && tcp.acked)
        af_established(conn);
    else
        af_connect_failed(conn, error);
}

int af_on_getsockopt(int fd, int level, int name, void *value, socklen_t *len, bool raw) {
    int result = AF_NEXT(raw, getsockopt, fd, level, name, value, len);
    if (result < 0 || level != SOL_SOCKET || name != SO_ERROR)
        return result;
    struct af_socket *conn = af_ours(fd);
    if (conn && *len >= sizeof(int))
        note_error_told(fd, conn, number(value, *len));
    return result;
}
