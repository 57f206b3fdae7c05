/* source=ADDR[-ADDR][,...]: the local address of an outgoing connection, chosen here instead of by the kernel.
 *
 * Each address brings a port range of its own towards a destination. It is bound with IP_BIND_ADDRESS_NO_PORT, so that the
 * port is left to connect; as long as no port is taken the kernel lets a socket be bound again, to the next address, and at
 * last to none (inet_bind() and inet6_bind() of Linux). The order is a keyed one, another in each lap, in which every
 * address has its turn once a lap: nobody's share is larger, and no two processes walk in step. */
#include "shim/shim.h"

enum { MOST_TRIES = 256 }; /* a pool of addresses that are all gone is not to hold a connect up */

static void set_no_port(int fd, int on) {
    AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
}

/* Of an IPv6 socket that takes both families, one bound to an address of IPv6 is IPV6_V6ONLY from then on. */
static bool takes_both(int fd) {
    int only = 1;
    socklen_t size = sizeof only;
    return AF_SYS5(SYS_getsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && !only;
}

/* That the address may have been bound (SOCK_BINDADDR_LOCK) the kernel remembers: it keeps whatever address a connect has
 * then chosen, so this is done before each one that follows. */
void af_take_back_source_now(int fd, struct af_socket *conn) {
    const struct af_addr any = { .v6 = conn->family_v6 };
    const int both = 0;
    set_no_port(fd, 1);
    const bool done = af_bind_address(fd, conn, &any, 0) == 0; /* EINVAL: there is a connection, or one is on its way */
    if (done && af_has(conn, AF_FLAG_BOTH))
        AF_SYS5(SYS_setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
    if (!af_has(conn, AF_FLAG_OWN_NO_PORT))
        set_no_port(fd, 0);
    if (done)
        af_clear(conn, AF_FLAG_BOTH);
}

static __attribute__((noinline)) bool has_no_port(int fd) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    struct af_addr at;
    return AF_SYS3(SYS_getsockname, fd, &sa, &size) == 0 && af_addr_from((struct sockaddr *)&sa, size, &at) && !at.port;
}

/* No port is free towards the peer, or no route leads there from this address. The same errors may come from the network,
 * after a SYN and a time of waiting; by then there was a port. */
static bool is_no_source(int fd, long result) {
    if (result >= 0)
        return false;
    return errno == EADDRNOTAVAIL ||
           ((errno == EINVAL || errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EACCES) && has_no_port(fd));
}

/* The program has an address in mind, or there is none to choose. */
static bool is_left_alone(const struct af_socket *conn) {
    return af_sealed || af_has(conn, AF_FLAG_BOUND | AF_FLAG_MPTCP) || !conn->peer.port ||
           (conn->peer.v6 && !conn->family_v6) ||
           af_addr_is_any(&conn->peer) /* 0.0.0.0 is for the kernel wherever the connection starts from */ ||
           (atomic_load(&conn->own) & AF_BIT(SOURCE) && !af_force()->policy->override);
}

/* Lets connect choose the port; false where this kernel (before 4.2) cannot. */
static bool prepare(int fd, struct af_socket *conn) {
    const int on = 1;
    if (conn->peer.v6 && takes_both(fd))
        af_set(conn, AF_FLAG_BOTH);
    return af_has(conn, AF_FLAG_OWN_NO_PORT) ||
           AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0;
}

static void say_foreign(void) {
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        af_say((const char *const[]){ "source has no address of this machine's: the kernel chooses", NULL });
}

long af_open_from_source(struct af_socket *conn, const struct af_attempt *attempt, const struct af_values *values) {
    const bool v6 = conn->peer.v6;
    const struct af_policy *policy = af_force()->policy;
    struct af_values ranges; /* of this very policy: another may have come since `values` were decided */
    af_policy_decide(policy, AF_ROLE_CONNECT, &conn->peer, &ranges);
    const uint32_t n = is_left_alone(conn) ? 0 : af_policy_count_sources(policy, &ranges, v6);
    const int before = errno;
    if (!n || !prepare(attempt->fd, conn))
        return af_search(attempt, values);
    struct af_order *order = af_order();
    const uint32_t turn = atomic_fetch_add(&order->turn[(2 * ranges.source + v6) % AF_TURNS], 1);
    const uint64_t key = order->key ^ (ranges.source + (uint64_t)(turn / n) * 0x9e3779b97f4a7c15u);
    long bound = -EADDRNOTAVAIL;
    for (uint32_t i = 0; i < n && i < MOST_TRIES && (bound == 0 || bound == -EADDRNOTAVAIL || bound == -EINVAL); i++) {
        struct af_addr from;
        af_policy_source(policy, &ranges, v6, af_permute(key, (turn + i) % n, n), &from);
        bound = af_bind_address(attempt->fd, conn, &from, 0);
        if (bound < 0)
            continue;
        af_set(conn, AF_FLAG_SOURCE);
        const long result = af_search(attempt, values);
        if (!is_no_source(attempt->fd, result))
            return result;
        errno = before;
    }
    if (!af_has(conn, AF_FLAG_SOURCE) && bound == -EADDRNOTAVAIL)
        say_foreign();
    if (af_has(conn, AF_FLAG_SOURCE))
        af_take_back_source_now(attempt->fd, conn);
    else if (!af_has(conn, AF_FLAG_OWN_NO_PORT))
        set_no_port(attempt->fd, 0);
    return af_search(attempt, values);
}
