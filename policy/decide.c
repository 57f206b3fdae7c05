/* From settings and facts to decisions, and from decisions to socket options. */
#include "inner.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62 /* Linux 5.0 */
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

bool af_policy_touches(const struct af_policy *p, const char *program) {
    const char *const lists[] = { p->only, p->skip };
    bool in[2] = { true, false };
    for (int i = 0; i < 2; i++) {
        struct af_span list = { lists[i], 0 }, item;
        if (!list.s)
            continue;
        while (list.s[list.n])
            list.n++;
        in[i] = false;
        for (size_t pos = 0; !in[i] && af_next_item(list, &pos, &item);)
            in[i] = af_is(item, program);
    }
    return in[0] && !in[1];
}

static bool all_defaults(const struct af_values *v) {
    return !v->reuseaddr && !v->bind_no_port && !v->cycle && v->linger == AF_LINGER_OFF && !v->port_low && !v->source &&
           !v->syn_retries && !v->keep_idle && !v->user_timeout_ms;
}

bool af_policy_acts(const struct af_policy *p) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (!all_defaults(&p->rules[i].values))
            return true;
    return !all_defaults(&p->values);
}

/* Bits of the keys that a role takes: constants, folded by the compiler. */
static uint32_t keys_of_role(enum af_role role) {
    uint32_t keys = 0;
#define KEY(id, name, roles, fallback, values, help) keys |= ((roles) >> role & 1u) << AF_KEY_##id;
#include "keys.def"
#undef KEY
    return keys;
}

static void take(uint32_t keys, const struct af_values *from, struct af_values *to) {
    if (keys & AF_BIT(REUSEADDR))
        to->reuseaddr = from->reuseaddr;
    if (keys & AF_BIT(BIND_NO_PORT))
        to->bind_no_port = from->bind_no_port;
    if (keys & AF_BIT(LINGER)) {
        to->linger = from->linger;
        to->linger_s = from->linger_s;
    }
    if (keys & AF_BIT(SOURCE)) {
        to->source = from->source;
        to->n_sources = from->n_sources;
    }
    if (keys & AF_BIT(SYN_RETRIES))
        to->syn_retries = from->syn_retries;
    if (keys & AF_BIT(PORT_RANGE)) {
        to->port_low = from->port_low;
        to->port_high = from->port_high;
    }
    if (keys & AF_BIT(PORT_SEARCH))
        to->cycle = from->cycle;
    if (keys & AF_BIT(KEEPALIVE)) {
        to->keep_idle = from->keep_idle;
        to->keep_interval = from->keep_interval;
        to->keep_count = from->keep_count;
    }
    if (keys & AF_BIT(USER_TIMEOUT))
        to->user_timeout_ms = from->user_timeout_ms;
}

bool af_policy_asks_address(const struct af_policy *p, enum af_role role) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].role == role)
            return true;
    return role == AF_ROLE_BIND      ? p->values.reuseaddr || p->values.bind_no_port
           : role == AF_ROLE_CONNECT ? p->values.source != 0
                                     : false;
}

bool af_policy_lingers(const struct af_policy *p, enum af_linger linger) {
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].named & AF_BIT(LINGER) && p->rules[i].values.linger == linger)
            return true;
    return p->values.linger == linger;
}

void af_policy_decide(const struct af_policy *p, enum af_role role, const struct af_addr *addr, struct af_values *out) {
    uint32_t undecided = keys_of_role(role);
    *out = (struct af_values){ 0 };                            /* every default is zero */
    for (uint32_t at = 0; undecided & p->index[role].named;) { /* some rule could have more to say */
        const struct af_rule *rule = af_next_match(p, role, addr, &at);
        if (!rule)
            break;
        take(rule->named & undecided, &rule->values, out);
        undecided &= ~rule->named;
    }
    take(undecided, &p->values, out);
}

static void add(struct af_option **next, int level, int name, int number) {
    *(*next)++ = (struct af_option){ .level = level, .name = name, .size = sizeof number, .value.number = number };
}

static void add_linger(struct af_option **next, int on, int seconds) {
    *(*next)++ = (struct af_option){
        .level = SOL_SOCKET,
        .name = SO_LINGER,
        .size = sizeof(struct linger),
        .value.linger = { on, seconds },
    };
}

/* `again`: the program has its own SO_LINGER or TCP_LINGER2 in place, and whichever of the two the policy does
 * not use must go: an SO_LINGER of 0 would abort before TCP_LINGER2 has a say, and the reverse. */
static void linger_options(const struct af_values *v, bool again, struct af_option **next) {
    if (v->linger == AF_LINGER_ACK || v->linger == AF_LINGER_ACK_ALWAYS) {
        if (again)
            add_linger(next, 0, 0);
        add(next, IPPROTO_TCP, TCP_LINGER2, -1);
    }
    if (v->linger == AF_LINGER_SECONDS) {
        if (again)
            add(next, IPPROTO_TCP, TCP_LINGER2, 0); /* the kernel's default */
        add_linger(next, 1, v->linger_s);
    }
}

static void keepalive_options(const struct af_values *v, struct af_option **next) {
    if (!v->keep_idle)
        return;
    add(next, SOL_SOCKET, SO_KEEPALIVE, 1);
    add(next, IPPROTO_TCP, TCP_KEEPIDLE, v->keep_idle);
    if (v->keep_interval)
        add(next, IPPROTO_TCP, TCP_KEEPINTVL, v->keep_interval);
    if (v->keep_count)
        add(next, IPPROTO_TCP, TCP_KEEPCNT, v->keep_count);
}

unsigned af_policy_options(const struct af_values *v, enum af_role role, uint16_t port, uint32_t own, bool override,
                           struct af_option out[AF_OPTIONS_MAX]) {
    uint32_t may = override ? UINT32_MAX : ~own;
    struct af_option *next = out;
    if (role == AF_ROLE_BIND) {
        if (port && v->reuseaddr && (may & AF_BIT(REUSEADDR)))
            add(&next, SOL_SOCKET, SO_REUSEADDR, 1);
        if (!port && v->bind_no_port && (may & AF_BIT(BIND_NO_PORT)))
            add(&next, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        return (unsigned)(next - out);
    }
    if (may & AF_BIT(LINGER))
        linger_options(v, own & AF_BIT(LINGER), &next);
    if (may & AF_BIT(KEEPALIVE))
        keepalive_options(v, &next);
    if (v->user_timeout_ms && (may & AF_BIT(USER_TIMEOUT)))
        add(&next, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)v->user_timeout_ms);
    if (role == AF_ROLE_CONNECT && v->syn_retries && (may & AF_BIT(SYN_RETRIES)))
        add(&next, IPPROTO_TCP, TCP_SYNCNT, v->syn_retries);
    if (role == AF_ROLE_CONNECT && v->port_low && !v->cycle && (may & AF_BIT(PORT_RANGE)))
        add(&next, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)((uint32_t)v->port_high << 16 | v->port_low));
    return (unsigned)(next - out);
}

static enum af_key key_of_socket(int name) {
    return name == SO_REUSEADDR                                  ? AF_KEY_REUSEADDR
           : name == SO_LINGER                                   ? AF_KEY_LINGER
           : name == SO_KEEPALIVE                                ? AF_KEY_KEEPALIVE
           : name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX ? AF_KEY_SOURCE
                                                                 : AF_KEYS;
}

static enum af_key key_of_tcp(int name) {
    switch (name) {
    case TCP_LINGER2: return AF_KEY_LINGER;
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
    case TCP_KEEPCNT: return AF_KEY_KEEPALIVE;
    case TCP_USER_TIMEOUT: return AF_KEY_USER_TIMEOUT;
    case TCP_SYNCNT: return AF_KEY_SYN_RETRIES;
    default: return AF_KEYS;
    }
}

/* Who has bound it to a device, or may start from an address that is none of this machine's, has a source in mind. */
static enum af_key key_of_ip(int name) {
    switch (name) {
    case IP_BIND_ADDRESS_NO_PORT: return AF_KEY_BIND_NO_PORT;
    case IP_LOCAL_PORT_RANGE: return AF_KEY_PORT_RANGE;
    case IP_FREEBIND:
    case IP_TRANSPARENT: return AF_KEY_SOURCE;
    default: return AF_KEYS;
    }
}

enum af_key af_policy_key_of(int level, int name) {
    if (level == SOL_SOCKET)
        return key_of_socket(name);
    if (level == IPPROTO_TCP)
        return key_of_tcp(name);
    if (level == IPPROTO_IP)
        return key_of_ip(name);
    if (level == IPPROTO_IPV6)
        return name == IPV6_FREEBIND || name == IPV6_TRANSPARENT ? AF_KEY_SOURCE : AF_KEYS;
    return AF_KEYS;
}
