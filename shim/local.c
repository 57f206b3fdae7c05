/* Hooks: local addresses and ports. */
#include "shim/shim.h"

long af_bind_address(int fd, const struct af_socket *conn, const struct af_addr *to, uint32_t scope) {
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_scope_id = scope };
    if (!conn->family_v6) {
        __builtin_memcpy(&v4.sin_addr, to->ip, sizeof v4.sin_addr);
        return AF_SYS3(SYS_bind, fd, &v4, sizeof v4);
    }
    if (to->v6) {
        __builtin_memcpy(&v6.sin6_addr, to->ip, sizeof v6.sin6_addr);
    } else {
        __builtin_memcpy(v6.sin6_addr.s6_addr + 10, "\xff\xff", 2);
        __builtin_memcpy(v6.sin6_addr.s6_addr + 12, to->ip, 4);
    }
    return AF_SYS3(SYS_bind, fd, &v6, sizeof v6);
}

static bool has_port(int fd) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    struct af_addr at;
    return AF_SYS3(SYS_getsockname, fd, &sa, &size) == 0 && af_addr_from((struct sockaddr *)&sa, size, &at) && at.port;
}

/* A bind to port 0 under bind_no_port has left the port to connect. Whoever asks for it earlier gets a real
 * one: with the option off the kernel lets the same address be bound again, as long as no port is taken.
 * 0, or -errno: what bind would have said had it chosen the port. */
int af_bind_now(int fd, struct af_socket *conn) {
    if (!af_has(conn, AF_FLAG_BOUND_LATE))
        return 0;
    const struct af_details details = af_details_of(conn);
    int off = 0;
    AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof off);
    long result = af_bind_address(fd, conn, &details.bind_to, details.bind_scope);
    if (result == 0) {
        af_clear(conn, AF_FLAG_BOUND_LATE);
        af_set(conn, AF_FLAG_PORT_CHOSEN);
        return 0;
    }
    int on = 1;
    AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (result == -EINVAL && has_port(fd)) { /* a relative has seen to it, or connected it */
        af_clear(conn, AF_FLAG_BOUND_LATE);
        return 0;
    }
    return (int)result;
}

/* AF_UNSPEC with 0.0.0.0 is AF_INET here: programs that never set the family are bound, too (inet_bind() of Linux). */
static bool read_address(const struct af_socket *conn, const struct sockaddr *addr, socklen_t len,
                         struct af_addr *out) {
    struct sockaddr_in in;
    if (af_addr_from(addr, len, out))
        return true;
    if (conn->family_v6 || !addr || len < sizeof in)
        return false;
    __builtin_memcpy(&in, addr, sizeof in);
    if (in.sin_family != AF_UNSPEC || in.sin_addr.s_addr != INADDR_ANY)
        return false;
    in.sin_family = AF_INET;
    return af_addr_from((const struct sockaddr *)&in, sizeof in, out);
}

static void note_bound(struct af_socket *conn, const struct sockaddr *addr, socklen_t len, const struct af_addr *to,
                       const struct af_values *values) {
    bool late = to->port == 0 && values->bind_no_port &&
                (af_force()->policy->override || !(atomic_load(&conn->own) & AF_BIT(BIND_NO_PORT)));
    struct af_details *details = af_details(conn);
    details->bind_to = *to;
    conn->local_port = to->port;
    if (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6))
        details->bind_scope = ((const struct sockaddr_in6 *)(const void *)addr)->sin6_scope_id;
    if (!af_addr_is_any(to)) /* what is to be taken back before each connect that follows is the program's own now */
        af_clear(conn, AF_FLAG_SOURCE | AF_FLAG_BOTH);
    bool chosen = !late && (to->port || !af_has(conn, AF_FLAG_OWN_NO_PORT));
    af_set(conn, AF_FLAG_BOUND | (late ? AF_FLAG_BOUND_LATE : 0) | (chosen ? AF_FLAG_PORT_CHOSEN : 0));
}

static void bind_failed(int error) {
    af_add(AF_COUNT_bind_errors);
    af_add_error(AF_CALL_bind, error);
}

/* One whose port was left to a connect that is over, or has failed, has none now, and its next bind is a first one. */
static void begin_anew(int fd, struct af_socket *conn) {
    const uint32_t state = atomic_load(&conn->state);
    const int off = 0;
    if (!af_has(conn, AF_FLAG_BOUND) || af_has(conn, AF_FLAG_PORT_CHOSEN | AF_FLAG_BOUND_LATE | AF_FLAG_OWN_NO_PORT) ||
        (state != AF_CONN_NEW && state != AF_CONN_PENDING))
        return;
    AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof off);
    af_clear(conn, AF_FLAG_BOUND);
}

int af_on_bind(int fd, const struct sockaddr *addr, socklen_t len, bool raw) {
    struct af_socket *conn = af_ours(fd);
    if (!conn)
        return AF_NEXT(raw, bind, fd, addr, len);
    struct af_addr to;
    struct af_values values = { 0 };
    int before = errno;
    af_log_if_due();
    const bool was_bound = af_has(conn, AF_FLAG_BOUND);
    af_bind_now(fd, conn); /* a second bind: the kernel is to see what it would have seen */
    begin_anew(fd, conn);
    af_take_back_source(fd, conn);
    af_take_back_window(fd, conn);
    if (af.by_address & 1 << AF_ROLE_BIND && !af_has(conn, AF_FLAG_BOUND) && af_can_read_address(addr, len) &&
        read_address(conn, addr, len, &to))
        af_apply(fd, conn, AF_ROLE_BIND, &to, &values);
    af_add(AF_COUNT_binds);
    int result = AF_NEXT(raw, bind, fd, addr, len);
    int error = result < 0 ? errno : before;
    if (result < 0) {
        if (was_bound) /* its address is what it was */
            af_set(conn, AF_FLAG_BOUND);
        bind_failed(error);
    } else if (read_address(conn, addr, len, &to) && af_pin(fd, conn)) { /* the kernel has read it */
        note_bound(conn, addr, len, &to, &values);
        af_unpin(conn);
    }
    errno = error;
    return result;
}

/* It binds to a port below 1024 of its own choice, without passing through bind. */
int af_on_bindresvport(int fd, struct sockaddr_in *addr) {
    struct af_socket *conn = af_ours(fd);
    if (!conn)
        return af_real.bindresvport(fd, addr);
    struct af_addr any = { .port = IPPORT_RESERVED - 1 };
    struct af_values values;
    int before = errno;
    af_bind_now(fd, conn);
    af_take_back_source(fd, conn);
    af_take_back_window(fd, conn);
    if (af.acts && !af_has(conn, AF_FLAG_BOUND))
        af_apply(fd, conn, AF_ROLE_BIND, &any, &values);
    af_add(AF_COUNT_binds);
    int result = af_real.bindresvport(fd, addr);
    int error = result < 0 ? errno : before;
    if (result < 0)
        bind_failed(error);
    else
        af_set(conn, AF_FLAG_BOUND | AF_FLAG_PORT_CHOSEN);
    errno = error;
    return result;
}

/* The address of a listener: what it was bound to, or what the kernel says. */
static void learn_local(int fd, struct af_socket *conn) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    struct af_addr at;
    if (conn->local_port || AF_SYS3(SYS_getsockname, fd, &sa, &size) < 0 ||
        !af_addr_from((struct sockaddr *)&sa, size, &at))
        return;
    af_details(conn)->bind_to = at;
    conn->local_port = at.port;
}

/* Unless another thread has let go of it meanwhile. */
static void become_listener(struct af_socket *conn, uint32_t state) {
    if (state != AF_CONN_FREE)
        atomic_compare_exchange_strong(&conn->state, &state, AF_CONN_LISTENER);
    af_show(conn);
}

static void apply_listen(int fd, struct af_socket *conn) {
    const struct af_details details = af_details_of(conn);
    struct af_values values;
    if (af.acts)
        af_apply(fd, conn, AF_ROLE_LISTEN, &details.bind_to, &values);
    af_set(conn, AF_FLAG_HANDS_ON);
}

/* A listener whose listen no hook has seen: it was inherited. What waits in its backlog has not our options,
 * so each connection gets them when it is accepted. */
void af_listening(int fd, struct af_socket *conn) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens)
        return;
    learn_local(fd, conn);
    become_listener(conn, atomic_load(&conn->state));
}

/* reuseaddr for a listen that chooses the port itself: it must be there before. */
static void apply_unbound(int fd, struct af_socket *conn) {
    struct af_addr any = { .v6 = conn->family_v6, .port = 1 };
    struct af_values values;
    struct af_option options[AF_OPTIONS_MAX];
    if (!af.acts || af_has(conn, AF_FLAG_BOUND))
        return;
    const struct af_policy *policy = af_force()->policy;
    af_policy_decide(policy, AF_ROLE_BIND, &(struct af_addr){ .v6 = any.v6 }, &values);
    unsigned n = af_policy_options(&values, AF_ROLE_BIND, any.port, conn->own, policy->override, options);
    af_set_options(fd, options, n);
}

int af_on_listen(int fd, int backlog, bool raw) {
    struct af_socket *conn = af_ours(fd);
    if (!conn)
        return AF_NEXT(raw, listen, fd, backlog);
    int before = errno;
    uint32_t state = atomic_load(&conn->state);
    bool first = state != AF_CONN_LISTENER && state != AF_CONN_OPEN;
    af_log_if_due();
    if (first) {
        af_take_back_source(fd, conn);
        af_take_back_window(fd, conn);
        apply_unbound(fd, conn);
    }
    if (first && af_has(conn, AF_FLAG_PORT_CHOSEN) && state == AF_CONN_NEW) {
        learn_local(fd, conn);
        apply_listen(fd, conn);
    }
    int result = AF_NEXT(raw, listen, fd, backlog);
    int error = result < 0 ? errno : before;
    if (result < 0) {
        af_add_error(AF_CALL_listen, error);
    } else if (first && af_pin(fd, conn)) {
        af_clear(conn, AF_FLAG_BOUND_LATE);
        become_listener(conn, state);
        learn_local(fd, conn);
        if (!af_has(conn, AF_FLAG_HANDS_ON) && state == AF_CONN_NEW)
            apply_listen(fd, conn);
        af_unpin(conn);
    }
    errno = error;
    return result;
}

int af_on_getsockname(int fd, struct sockaddr *addr, socklen_t *len, bool raw) {
    struct af_socket *conn = af_lookup(fd);
    int result = conn && af_has(conn, AF_FLAG_BOUND_LATE) && !af_in_vfork_child() ? af_bind_now(fd, conn) : 0;
    if (result < 0) {
        errno = -result;
        return -1;
    }
    return AF_NEXT(raw, getsockname, fd, addr, len);
}
