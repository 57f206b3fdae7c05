/* See supervisor_inner.h. The copy that we take is the program's very socket: what is set on it is set. A program whose
 * threads race each other for one descriptor number may see another socket of its own treated than it meant. */
#include "cli/launch/supervisor_inner.h"
#include "cli/kernel/sysctl.h"
#include "ledger/layout.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

/* ---- which calls ---------------------------------------------------------------------------------------------- */

uint32_t af_keys_asked(const struct af_policy *policy, enum af_role role) {
    uint32_t keys = 0;
    for (int key = 0; key < AF_KEYS; key++)
        if (role == AF_ROLES || af_keys[key].roles & 1u << role)
            keys |= policy->set & 1u << key;
    for (size_t i = 0; i < policy->n_rules; i++)
        if (role == AF_ROLES || policy->rules[i].role == role)
            keys |= policy->rules[i].named;
    return keys;
}

unsigned af_supervised_calls(const struct af_settings *settings, bool counts) {
    const struct af_policy *policy = &settings->policy;
    const uint32_t bind = af_policy_acts(policy) ? af_keys_asked(policy, AF_ROLE_BIND) : 0;
    unsigned calls = 0;
    if (settings->supervised == AF_SOCKETS_HANDED_IN)
        return counts || af_policy_acts(policy) ? AF_NOTIFY_SOCKET : 0;
    if (counts || (af_policy_acts(policy) && af_keys_asked(policy, AF_ROLE_CONNECT)))
        calls |= AF_NOTIFY_CONNECT;
    if (counts) /* that there is a server is worth knowing, too */
        calls |= AF_NOTIFY_LISTEN;
    if (af_policy_acts(policy) && (af_keys_asked(policy, AF_ROLE_LISTEN) || bind & AF_BIT(REUSEADDR)))
        calls |= AF_NOTIFY_LISTEN;
    if (af_policy_acts(policy) && af_keys_asked(policy, AF_ROLE_CONNECT) & AF_BIT(SOURCE))
        calls |= AF_NOTIFY_LISTEN; /* of one whose connect has failed */
    if (bind)
        calls |= AF_NOTIFY_BIND;
    if (bind & AF_BIT(BIND_NO_PORT)) /* connect and listen: the port is there then */
        calls |= AF_NOTIFY_GETSOCKNAME | AF_NOTIFY_V6ONLY | AF_NOTIFY_CONNECT | AF_NOTIFY_LISTEN;
    return calls;
}

/* ---- the socket ----------------------------------------------------------------------------------------------- */

static int number(int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : 0;
}

struct copy {
    int fd;
    bool mptcp;
    int linger2; /* TCP_LINGER2 as it stands: seconds, or below 0 */
};

/* Of a raw socket, whose protocol may be that of TCP too, there is no TCP_LINGER2. Of MPTCP neither, but all are streams. */
static bool is_tcp(struct copy *socket) {
    const int protocol = number(socket->fd, SOL_SOCKET, SO_PROTOCOL);
    socklen_t size = sizeof socket->linger2;
    socket->mptcp = protocol == IPPROTO_MPTCP;
    return socket->mptcp ||
           (protocol == IPPROTO_TCP && getsockopt(socket->fd, IPPROTO_TCP, TCP_LINGER2, &socket->linger2, &size) == 0);
}

/* Once a thread's pidfd is known to be that of a call that waits, a copy that it has given is of whoever calls now: a
 * thread that is held in its call either waits or has been killed. */
static bool still_waits(const struct af_supervision *s, struct af_charge *charge,
                        const struct af_notification *notification) {
    if (s->holds && !charge->fresh)
        return true;
    charge->fresh = !af_notify_waits(s->listener, notification);
    return !charge->fresh;
}

/* What the kernel does where nobody has a wish; the same whoever reads it first. */
static int usual(const char *sysctl, int default_value, _Atomic int *known) {
    if (!*known) {
        const int64_t now = af_sysctl_value(sysctl);
        *known = now > 0 ? (int)now : default_value;
    }
    return *known;
}
static int usual_syn_retries(void) {
    static _Atomic int known;
    return usual("net.ipv4.tcp_syn_retries", 6, &known);
}
static int usual_linger2(void) {
    static _Atomic int known;
    return usual("net.ipv4.tcp_fin_timeout", 60, &known);
}

/* By SO_LINGER or TCP_LINGER2; in another network namespace the usual value may be another. */
static bool lingers(const struct copy *socket) {
    struct linger linger = { 0 };
    socklen_t size = sizeof linger;
    return (getsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && linger.l_onoff) ||
           (!socket->mptcp && socket->linger2 >= 0 && socket->linger2 != usual_linger2() &&
            af_is_of_our_network(socket->fd));
}

/* Keys whose options the program has chosen itself, as far as that shows from outside. */
static uint32_t own_choices(const struct copy *socket, const struct af_values *values) {
    uint32_t own = 0;
    if (values->linger && lingers(socket))
        own |= AF_BIT(LINGER);
    if (values->keep_idle && number(socket->fd, SOL_SOCKET, SO_KEEPALIVE))
        own |= AF_BIT(KEEPALIVE);
    if (values->user_timeout_ms && number(socket->fd, IPPROTO_TCP, TCP_USER_TIMEOUT))
        own |= AF_BIT(USER_TIMEOUT);
    if (values->syn_retries && number(socket->fd, IPPROTO_TCP, TCP_SYNCNT) != usual_syn_retries())
        own |= AF_BIT(SYN_RETRIES);
    if (values->port_low && number(socket->fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE))
        own |= AF_BIT(PORT_RANGE);
    return own;
}

void af_values_from_outside(struct af_values *values) {
    if (values->linger == AF_LINGER_ACK)
        values->linger = AF_LINGER_ACK_ALWAYS;
    if (values->linger == AF_LINGER_RST)
        values->linger = AF_LINGER_OFF;
    values->cycle = false;
}

void af_treat(int fd, const struct af_values *values, enum af_role role, uint16_t port, uint32_t own, bool override) {
    struct af_option options[AF_OPTIONS_MAX];
    const unsigned n = af_policy_options(values, role, port, own, override, options);
    for (unsigned i = 0; i < n; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, options[i].size);
}

/* `port`: the one that a bind asks for, where that is not the address's. */
static struct af_values treat(const struct af_supervision *s, const struct copy *socket, enum af_role role,
                              const struct af_addr *addr, uint16_t port) {
    const struct af_policy *policy = &s->settings->policy;
    struct af_values values = { 0 };
    if (!af_policy_acts(policy))
        return values;
    af_policy_decide(policy, role, addr, &values);
    af_values_from_outside(&values);
    af_treat(socket->fd, &values, role, port, policy->override ? 0 : own_choices(socket, &values), policy->override);
    return values;
}

uint64_t af_cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/* ---- the calls ------------------------------------------------------------------------------------------------ */

static void on_connect(const struct af_supervision *s, const struct af_charge *charge, const struct copy *socket,
                       const struct af_addr *addr) {
    const uint64_t cookie = s->late || s->sources || charge->slot != AF_NO_SLOT ? af_cookie_of(socket->fd) : 0;
    const struct af_values values = treat(s, socket, AF_ROLE_CONNECT, addr, 0);
    const bool is_bound = af_cookies_take(s->late, cookie);
    if (!is_bound)
        af_choose_source(s, socket->fd, cookie, addr, &values);
    if (cookie && charge->slot != AF_NO_SLOT)
        af_book_socket(charge->book, charge->slot, cookie, addr, socket->mptcp);
}

static bool local_of(int fd, struct sockaddr_storage *to, socklen_t *size, struct af_addr *addr) {
    *size = sizeof *to;
    return getsockname(fd, (struct sockaddr *)to, size) == 0 && af_addr_from((struct sockaddr *)to, *size, addr);
}

static void on_listen(const struct af_supervision *s, const struct af_charge *charge, const struct copy *socket) {
    const int fd = socket->fd;
    struct sockaddr_storage local;
    socklen_t size;
    struct af_addr addr;
    if (charge->slot != AF_NO_SLOT)
        af_book_listener(charge->book, charge->slot);
    if (s->sources)
        af_take_back_source(s, fd, af_cookie_of(fd));
    if (!local_of(fd, &local, &size, &addr))
        return;
    if (!addr.port && !af_cookies_take(s->late, af_cookie_of(fd))) /* no bind preceded */
        treat(s, socket, AF_ROLE_BIND, &(struct af_addr){ .v6 = addr.v6 }, 1);
    treat(s, socket, AF_ROLE_LISTEN, &addr, 0);
}

/* A port that we have left to connect is to be there before that: the kernel chooses it now. 0, or what bind would have
 * said had it chosen. */
static int bind_now(const struct af_supervision *s, int fd) {
    struct sockaddr_storage local;
    socklen_t size;
    struct af_addr addr;
    const int off = 0, on = 1;
    if (!af_cookies_take(s->late, af_cookie_of(fd)) || !local_of(fd, &local, &size, &addr) || addr.port)
        return 0;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&local, size) == 0 || errno == EINVAL)
        return 0;
    const int error = errno;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    af_cookies_put(s->late, af_cookie_of(fd));
    return error;
}

static void on_bind(const struct af_supervision *s, const struct copy *socket, const struct af_addr *addr) {
    const int fd = socket->fd;
    const bool own = number(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    bind_now(s, fd); /* a second bind: the kernel is to see what it would have seen */
    treat(s, socket, AF_ROLE_BIND, addr, addr->port);
    if (!addr->port && !own && number(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT))
        af_cookies_put(s->late, af_cookie_of(fd));
}

/* With the address in hand a socket of another family costs no more. */
static bool has_address(unsigned call) {
    return call == AF_NOTIFY_CONNECT || call == AF_NOTIFY_BIND;
}

/* 0: the call goes on; else it ends with this errno. */
static int look_at(const struct af_supervision *s, struct af_charges *charges,
                   const struct af_notification *notification, const struct af_notified_call *call) {
    struct sockaddr_storage storage = { 0 };
    struct af_addr addr = { .v6 = 0 };
    const uint32_t size = has_address(call->call) ? (uint32_t)call->arguments[2] : 0;
    int error = 0;
    if (!call->thread || size > sizeof storage)
        return 0;
    struct af_charge *charge = af_charge_of(charges, s, call->thread, call->arguments[1], &storage, size);
    if (!charge || charge->left_alone || (size && !af_addr_from((struct sockaddr *)&storage, size, &addr)))
        return 0;
    struct copy socket = { .fd = af_charge_take(charges, s, &charge, (int)call->arguments[0]) };
    if (socket.fd < 0)
        return 0;
    if (!is_tcp(&socket) || !charge || !still_waits(s, charge, notification))
        ; /* not ours, or not its any more */
    else if (call->call == AF_NOTIFY_CONNECT)
        on_connect(s, charge, &socket, &addr);
    else if (call->call == AF_NOTIFY_BIND)
        on_bind(s, &socket, &addr);
    else if (call->call == AF_NOTIFY_LISTEN)
        on_listen(s, charge, &socket);
    else
        error = bind_now(s, socket.fd);
    close(socket.fd);
    return error;
}

void af_supervise_call(const struct af_supervision *s, struct af_charges *charges,
                       const struct af_notification *notification, const struct af_notified_call *call) {
    if (call->call == AF_NOTIFY_SOCKET) {
        if (!af_supervise_socket(s, charges, notification, call))
            af_notify_let_go(s->listener, notification);
        return;
    }
    const int error = look_at(s, charges, notification, call);
    if (error)
        af_notify_fail(s->listener, notification, error);
    else
        af_notify_let_go(s->listener, notification);
}
