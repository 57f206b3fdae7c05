/* Brings a policy onto a socket. A failure here is never the program's: the call that we serve goes on. */
#include "shim/shim.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void say_once(_Atomic bool *said, const char *const parts[]) {
    if (!atomic_exchange(said, true))
        af_say(parts);
}

/* The kernel ignores a bound outside net.ipv4.ip_local_port_range without a word (ip_local_port_range and
 * inet_sk_get_local_port_range(), since Linux 6.3): cut to what counts, and say so. */
static void clip_port_range(struct af_values *values) {
    static _Atomic bool said;
    uint16_t low, high;
    if (!values->port_low || !af_port_range(&low, &high))
        return;
    if (values->port_high < low || values->port_low > high) {
        say_once(&said, (const char *const[]){ AF_NO_PART_INSIDE, NULL });
        values->port_low = values->port_high = 0;
        return;
    }
    if (AF_UNLIKELY(values->port_low < low || values->port_high > high))
        say_once(&said, (const char *const[]){ "port_range reaches beyond net.ipv4.ip_local_port_range: only what lies "
                                               "inside is used",
                                               NULL });
    values->port_low = values->port_low < low ? low : values->port_low;
    values->port_high = values->port_high > high ? high : values->port_high;
}

/* What is done later depends on whether it is there: ack, and a port that is left to connect. */
static bool is_relied_on(const struct af_option *option) {
    return (option->level == IPPROTO_TCP && option->name == TCP_LINGER2 && option->value.number < 0) ||
           (option->level == IPPROTO_IP && option->name == IP_BIND_ADDRESS_NO_PORT);
}

/* The options one by one; whether one that is relied on was refused. */
bool af_set_options(int fd, const struct af_option *options, unsigned n) {
    bool refused = false;
    for (unsigned i = 0; i < n; i++) {
        long result = AF_SYS5(SYS_setsockopt, fd, options[i].level, options[i].name, &options[i].value,
                              options[i].size);
        refused |= result < 0 && is_relied_on(&options[i]);
    }
    return refused;
}

#define LINGER_FLAGS (AF_FLAG_ACK | AF_FLAG_ASKS | AF_FLAG_UNHEARD | AF_FLAG_RST | AF_FLAG_SECONDS)

static uint32_t flag_of(const struct af_values *values) {
    switch (values->linger) {
    case AF_LINGER_ACK: return AF_FLAG_ACK | AF_FLAG_ASKS;
    case AF_LINGER_ACK_ALWAYS: return AF_FLAG_ACK;
    case AF_LINGER_RST: return AF_FLAG_RST;
    case AF_LINGER_SECONDS: return AF_FLAG_SECONDS;
    default: return 0;
    }
}

static void note_linger(struct af_socket *conn, const struct af_values *values, bool refused, bool override) {
    static _Atomic bool said;
    const bool own = atomic_load(&conn->own) & AF_BIT(LINGER) && !override;
    uint32_t flag = flag_of(values);
    if (AF_UNLIKELY(refused && af_has(conn, AF_FLAG_MPTCP)))
        say_once(&said, (const char *const[]){ "linger=ack: MPTCP sockets refuse TCP_LINGER2; left alone", NULL });
    if (own || (flag & AF_FLAG_ACK && refused))
        flag = 0;
    af_clear(conn, LINGER_FLAGS & ~flag);
    if (flag && override)
        af_clear(conn, AF_FLAG_ABORTS);
    if (flag)
        af_set(conn, flag);
    af_show(conn);
}

static void prepare_roles(struct af_force *force) {
    const struct af_addr any = { .port = 0 };
    const struct af_policy *policy = force->policy;
    for (int role = 0; role <= AF_ROLE_LISTEN && !policy->n_rules && !policy->values.port_low; role++) {
        struct af_plain *plain = &force->plain[role];
        af_policy_decide(policy, (enum af_role)role, &any, &plain->values);
        plain->n = af_policy_options(&plain->values, (enum af_role)role, 1, 0, policy->override, plain->options);
        plain->flag = flag_of(&plain->values);
        plain->known = role != AF_ROLE_BIND; /* there it is the port that counts */
    }
}

static void become(_Atomic bool *flag, bool on) {
    if (on)
        atomic_store_explicit(flag, true, memory_order_relaxed);
}

void af_prepare_policy(struct af_force *force, bool acts) {
    const struct af_policy *policy = force->policy;
    bool searches = policy->values.cycle || policy->values.source;
    uint32_t by_address = 0;
    force->ever |= policy->set;
    for (size_t i = 0; i < policy->n_rules; i++) {
        force->ever |= policy->rules[i].named;
        searches |= policy->rules[i].values.cycle || policy->rules[i].values.source;
    }
    const bool by_variable = policy->set & (AF_BIT(REUSEADDR) | AF_BIT(BIND_NO_PORT) | AF_BIT(SOURCE));
    for (int role = 0; role < AF_ROLES && (policy->n_rules || by_variable); role++)
        by_address |= (uint32_t)af_policy_asks_address(policy, (enum af_role)role) << role;
    const bool asks = af_policy_lingers(policy, AF_LINGER_ACK);
    if (acts)
        prepare_roles(force);
    become(&af.asks, asks);
    become(&af.acks, asks || af_policy_lingers(policy, AF_LINGER_ACK_ALWAYS));
    become(&af.searches, searches);
    atomic_store_explicit(&af.by_address, af.by_address | by_address, memory_order_relaxed);
    if (searches || by_address & 1u << AF_ROLE_CONNECT)
        af_be_odd(AF_ODD_CONNECTS);
    if (af_policy_lingers(policy, AF_LINGER_RST))
        af_be_odd(AF_ODD_RST);
    become(&af.acts, acts);
}

static long set_linger2(int fd, int value) {
    return AF_SYS5(SYS_setsockopt, fd, IPPROTO_TCP, TCP_LINGER2, &value, sizeof value);
}

static int linger2_of(int fd) {
    int value = 0;
    socklen_t size = sizeof value;
    return AF_SYS5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_LINGER2, &value, &size) == 0 ? value : 0;
}

static void turn_off(int fd, int level, int name) {
    const struct linger off = { 0 }; /* an int is its first */
    AF_SYS5(SYS_setsockopt, fd, level, name, &off, name == SO_LINGER && level == SOL_SOCKET ? sizeof off : sizeof(int));
}

/* What a policy before this one may have set, or `afterfin set` from outside, and this one does not: what the program
 * has set itself stays. */
static void undo_others(const struct af_force *force, int fd, struct af_socket *conn, enum af_role role,
                        const struct af_addr *addr) {
    struct af_values values;
    const uint32_t own = atomic_load(&conn->own), keys = force->ever & ~own;
    if (role == AF_ROLE_BIND)
        return;
    af_policy_decide(force->policy, role, addr, &values);
    const bool acks = flag_of(&values) & AF_FLAG_ACK, ours = keys & AF_BIT(LINGER) || !af_has(conn, AF_FLAG_ABORTS);
    if (ours && (!acks || own & AF_BIT(LINGER)) && linger2_of(fd) < 0)
        set_linger2(fd, 0);
    if (af_has(conn, AF_FLAG_SECONDS) && values.linger != AF_LINGER_SECONDS)
        turn_off(fd, SOL_SOCKET, SO_LINGER);
    if (keys & AF_BIT(KEEPALIVE) && !values.keep_idle)
        turn_off(fd, SOL_SOCKET, SO_KEEPALIVE);
    if (keys & AF_BIT(USER_TIMEOUT) && !values.user_timeout_ms)
        turn_off(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
}

static void apply_with(const struct af_force *force, int fd, struct af_socket *conn, enum af_role role,
                       const struct af_addr *addr, struct af_values *values) {
    struct af_option options[AF_OPTIONS_MAX];
    const struct af_plain *plain = &force->plain[role];
    const bool override = force->policy->override;
    const uint32_t own = atomic_load(&conn->own);
    if (AF_LIKELY(plain->known && !own)) {
        *values = plain->values;
        if (af_has(conn, AF_FLAG_PORT_CHOSEN))
            values->cycle = 0;
        bool refused = af_set_options(fd, plain->options, plain->n);
        if (AF_LIKELY(!refused && !override && !af_has(conn, LINGER_FLAGS)))
            af_set(conn, plain->flag);
        else
            note_linger(conn, values, refused, override);
        af_show(conn);
        return;
    }
    af_policy_decide(force->policy, role, addr, values);
    clip_port_range(values);
    bool own_range = own & AF_BIT(PORT_RANGE) && !override;
    if (af_has(conn, AF_FLAG_PORT_CHOSEN) || own_range)
        values->port_low = values->port_high = values->cycle = 0;
    unsigned n = af_policy_options(values, role, addr->port, own, override, options);
    bool refused = af_set_options(fd, options, n);
    if (values->port_low)
        af_set(conn, AF_FLAG_WINDOW);
    if (role != AF_ROLE_BIND)
        note_linger(conn, values, refused, override);
    else if (refused)
        values->bind_no_port = 0;
}

void af_apply(int fd, struct af_socket *conn, enum af_role role, const struct af_addr *addr, struct af_values *values) {
    const struct af_force *force = af_force();
    if (AF_UNLIKELY(af.changes))
        undo_others(force, fd, conn, role, addr);
    apply_with(force, fd, conn, role, addr, values);
    while (AF_UNLIKELY(force != af_force())) { /* another came meanwhile */
        force = af_force();
        undo_others(force, fd, conn, role, addr);
        apply_with(force, fd, conn, role, addr, values);
    }
}

static __attribute__((noinline)) void apply_connect_otherwise(int fd, struct af_socket *conn) {
    struct af_values values;
    af_apply(fd, conn, AF_ROLE_CONNECT, &conn->peer, &values);
}

/* The one at `at` was refused: on with the others. */
static __attribute__((noinline)) void was_refused(int fd, struct af_socket *conn, const struct af_force *force,
                                                  unsigned at) {
    const struct af_plain *plain = &force->plain[AF_ROLE_CONNECT];
    const bool refused = is_relied_on(&plain->options[at]);
    if (af_set_options(fd, &plain->options[at + 1], plain->n - at - 1) || refused)
        note_linger(conn, &plain->values, true, false);
    else
        af_set(conn, plain->flag);
}

static inline long set_option(int fd, const struct af_option *option) {
    return af_sys(SYS_setsockopt, fd, option->level, option->name, (long)&option->value, option->size, 0);
}

static __attribute__((noinline)) void apply_several(int fd, struct af_socket *conn, const struct af_force *force) {
    const struct af_plain *plain = &force->plain[AF_ROLE_CONNECT];
    for (unsigned i = 0; i < plain->n; i++)
        if (set_option(fd, &plain->options[i]) < 0)
            return was_refused(fd, conn, force, i);
    af_set(conn, plain->flag);
}

/* override is no matter: the program has set nothing itself here. */
static inline void apply_plainly(int fd, struct af_socket *conn, const struct af_force *force) {
    const struct af_plain *plain = &force->plain[AF_ROLE_CONNECT];
    if (AF_UNLIKELY(!plain->known || atomic_load_explicit(&conn->own, memory_order_relaxed) ||
                    af_has(conn, LINGER_FLAGS)))
        return apply_connect_otherwise(fd, conn);
    if (plain->n != 1)
        return apply_several(fd, conn, force);
    if (AF_UNLIKELY(set_option(fd, plain->options) < 0))
        return was_refused(fd, conn, force, 0);
    if (plain->flag)
        atomic_fetch_or_explicit(&conn->flags, plain->flag, memory_order_relaxed);
}

void af_apply_connect(int fd, struct af_socket *conn) {
    const struct af_force *force = af_force();
    apply_plainly(fd, conn, force);
    if (AF_UNLIKELY(force != af_force())) /* another came meanwhile */
        apply_connect_otherwise(fd, conn);
}

/* Where the program's SO_LINGER settles it, our TCP_LINGER2 goes back to the system's default: 0; and the other way
 * round. */
static void undo_linger(int fd, struct af_socket *conn) {
    const struct linger off = { 0 };
    if (af_has(conn, AF_FLAG_ACK))
        set_linger2(fd, 0);
    if (af_has(conn, AF_FLAG_SECONDS))
        AF_SYS5(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    af_clear(conn, LINGER_FLAGS);
}

/* Where nothing ever came from the peer it may still be in connect, or not have looked at the connection
 * yet, and the RST that ends this side's FIN_WAIT2 would cost it all. The FIN is not sent before the close, or
 * waits in FIN_WAIT2 for it (tcp_close() and tcp_rcv_state_process() of Linux look at linger2 of orphans only). */
void af_take_ack_back(int fd, struct af_socket *conn, const struct af_tcp_info *tcp) {
    const bool own = atomic_load(&conn->own) & AF_BIT(LINGER) && !af_force()->policy->override;
    if (own || tcp->received || !af_has(conn, AF_FLAG_ASKS) || set_linger2(fd, 0) < 0)
        return;
    af_clear(conn, AF_FLAG_ACK | AF_FLAG_ASKS);
    af_set(conn, AF_FLAG_UNHEARD);
}

/* That was not its end. */
void af_restore_ack(int fd, struct af_socket *conn) {
    if (!af_has(conn, AF_FLAG_UNHEARD))
        return;
    af_clear(conn, AF_FLAG_UNHEARD);
    if (set_linger2(fd, -1) == 0)
        af_set(conn, AF_FLAG_ACK | AF_FLAG_ASKS);
}

static void apply_again(int fd, struct af_socket *conn, enum af_key key) {
    const struct af_details details = af_details_of(conn);
    uint32_t state = atomic_load(&conn->state);
    struct af_values values;
    if (af_is_joined(conn)) {
        return; /* where it leads is a relative's word */
    } else if (state == AF_CONN_OPEN || state == AF_CONN_PENDING) {
        if (af_has(conn, AF_FLAG_ACCEPTED))
            af_apply(fd, conn, AF_ROLE_LISTEN, &details.bind_to, &values);
        else if (key != AF_KEY_PORT_RANGE && key != AF_KEY_SOURCE)
            af_apply(fd, conn, AF_ROLE_CONNECT, &conn->peer, &values);
    } else if (state == AF_CONN_LISTENER && key != AF_KEY_REUSEADDR) {
        af_apply(fd, conn, AF_ROLE_LISTEN, &details.bind_to, &values);
    }
}

void af_reapply(int fd, struct af_socket *conn, enum af_key key) {
    if (af_force()->policy->override)
        apply_again(fd, conn, key);
    else if (key == AF_KEY_LINGER)
        undo_linger(fd, conn);
}

/* An SO_LINGER with l_onoff=0 settles nothing, but has taken ours away. */
void af_keep_seconds(int fd, struct af_socket *conn) {
    if (af_has(conn, AF_FLAG_SECONDS))
        apply_again(fd, conn, AF_KEY_LINGER);
}

/* No child of ours lives that could hold a copy which our count of references does not know. */
static bool has_no_child(void) {
    char info[128];
    return AF_SYS5(SYS_waitid, 0 /* P_ALL */, 0, info, 0x40000005 /* WEXITED|WNOHANG|__WALL */ | 0x01000000, NULL) ==
           -ECHILD;
}

/* The number may be another connection's by now, when ours was closed where no hook sees (io_uring, system calls past
 * libc). One to the same port, or accepted at it, is one that the policy was meant for. */
static bool is_still_it(int fd, const struct af_socket *conn) {
    struct af_addr now;
    if (af_has(conn, AF_FLAG_ACCEPTED))
        return !conn->local_port || (af_learn_address(fd, SYS_getsockname, &now) && now.port == conn->local_port);
    const uint16_t port = af_peer(conn).port;
    return !port || (af_learn_address(fd, SYS_getpeername, &now) && now.port == port);
}

bool af_apply_rst_now(int fd, struct af_socket *conn) {
    struct linger abort = { 1, 0 };
    uint32_t state = atomic_load(&conn->state);
    if (state != AF_CONN_OPEN && state != AF_CONN_PENDING)
        return false;
    if (conn->generation != af_generation() || af_has(conn, AF_FLAG_RECEIVED | AF_FLAG_SENT) ||
        af_may_be_in_image(fd, conn))
        return false;
    const bool spawned = af_was_spawned(conn) && AF_SYS2(SYS_fcntl, fd, F_GETFD) == 0; /* not close-on-exec */
    if ((af_has(conn, AF_FLAG_SHARED) || af_was_forked(conn) || spawned) &&
        (atomic_load(&af_forks.on_the_way) || !has_no_child()))
        return false;
    if (!is_still_it(fd, conn) || AF_SYS5(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort) < 0)
        return false;
    af_set(conn, AF_FLAG_RST_SET);
    return true;
}

/* Which rule is for it, and nothing where no policy is: one that came from elsewhere is its sender's. */
static bool role_of(int fd, struct af_socket *conn, enum af_role *role, struct af_addr *addr) {
    const uint32_t state = atomic_load(&conn->state);
    const bool listens = state == AF_CONN_LISTENER, lives = state == AF_CONN_OPEN || state == AF_CONN_PENDING;
    if (af_is_joined(conn) || !(listens || lives))
        return false;
    *role = listens || af_has(conn, AF_FLAG_ACCEPTED) ? AF_ROLE_LISTEN : AF_ROLE_CONNECT;
    *addr = *role == AF_ROLE_LISTEN ? af_details_of(conn).bind_to : af_peer(conn);
    if (!addr->port)
        af_learn_address(fd, *role == AF_ROLE_LISTEN ? SYS_getsockname : SYS_getpeername, addr);
    return true;
}

void af_enforce(int fd, struct af_socket *conn) {
    struct af_values values;
    struct af_addr addr;
    enum af_role role;
    if (!role_of(fd, conn, &role, &addr))
        return;
    if (!af.changes) /* but from outside something may have been set */
        undo_others(af_force(), fd, conn, role, &addr);
    af_apply(fd, conn, role, &addr, &values);
}
