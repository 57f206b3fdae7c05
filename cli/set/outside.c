/* See set.h. The copy is the very socket, whatever the process does with its number meanwhile: what is asked of it and
 * what is set concern one socket. */
#include "cli/set/set.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What is to be known of a socket before anything is decided. */
struct facts {
    uint64_t cookie;
    int state; /* TCP_LISTEN, ... */
    uint32_t waiting;
    struct af_addr local, peer;
    bool has_peer;
};

static int number(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

/* Other families have a protocol 6 too, and raw sockets: but no TCP_INFO. */
static bool is_tcp(int fd, struct facts *f) {
    const int protocol = number(fd, SOL_SOCKET, SO_PROTOCOL);
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    if ((protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return false;
    f->state = info.tcpi_state;
    f->waiting = info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : 0;
    size = sizeof f->cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &f->cookie, &size) == 0;
}

/* As far as anything depends on them: ten thousand sockets want to be done with. */
static void read_addresses(const struct af_set *set, int fd, struct facts *f) {
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;
    const bool by_rule = set->settings.policy.n_rules || (set->old && set->old->n_rules);
    if (!by_rule && !set->givens.n_listening && !set->n_listeners && f->state != TCP_LISTEN)
        return;
    if (getsockname(fd, (struct sockaddr *)&addr, &size) == 0)
        af_addr_from((struct sockaddr *)&addr, size, &f->local);
    size = sizeof addr;
    f->has_peer = by_rule && f->state != TCP_LISTEN && getpeername(fd, (struct sockaddr *)&addr, &size) == 0 &&
                  af_addr_from((struct sockaddr *)&addr, size, &f->peer);
}

/* ---- which values --------------------------------------------------------------------------------------------- */

static bool is_any(const struct af_addr *addr) {
    for (size_t i = 0; i < sizeof addr->ip; i++)
        if (addr->ip[i])
            return false;
    return true;
}

/* The kernel does not tell an accepted connection from one that was opened: but where it listens it accepts. */
static bool was_accepted(const struct af_set *set, const struct af_addr *local) {
    for (const struct af_addr *at = set->listeners; at < set->listeners + set->n_listeners; at++)
        if (at->port == local->port &&
            (is_any(at) || (at->v6 == local->v6 && !memcmp(at->ip, local->ip, sizeof at->ip))))
            return true;
    return false;
}

/* The values for it; returns the keys that are asked for it. One that neither listens nor has a peer may become
 * anything: no rule is for it. */
static uint32_t decide(const struct af_set *set, const struct af_policy *policy, const struct facts *f,
                       struct af_values *values) {
    const bool listens = f->state == TCP_LISTEN, accepted = !listens && f->has_peer && was_accepted(set, &f->local);
    const enum af_role role = listens || accepted ? AF_ROLE_LISTEN : AF_ROLE_CONNECT;
    const struct af_addr *addr = role == AF_ROLE_LISTEN ? &f->local : &f->peer;
    uint32_t named = policy->set;
    *values = policy->values;
    if (!listens && !f->has_peer)
        return named;
    for (size_t i = 0; i < policy->n_rules; i++)
        if (policy->rules[i].role == role && af_target_matches(&policy->rules[i], addr))
            named |= policy->rules[i].named;
    af_policy_decide(policy, role, addr, values);
    return named;
}

/* ---- treat ---------------------------------------------------------------------------------------------------- */

/* What was there before us, as far as it is known: set has noted it, or the library in the process has set it. */
static struct af_state before_us(struct af_set *set, const struct facts *f, enum af_choice choice,
                                 const struct af_state *now) {
    const struct af_state *noted = af_givens_before(&set->givens, f->cookie, choice, f->local.port, now);
    struct af_values values;
    if (noted)
        return *noted;
    const struct af_state plain = af_state_plain(choice, now);
    if (set->old && decide(set, set->old, f, &values) & 1u << af_choice_key(choice)) {
        const struct af_state library = af_state_wanted(choice, &values, &plain);
        if (af_state_equal(&library, now))
            return plain;
    }
    return af_state_before(choice, now);
}

/* MPTCP has never had what it does not know: off is what it has. */
static bool asks_nothing(enum af_choice choice, const struct af_values *values) {
    const struct af_state none = { { 0 } }, wanted = af_state_wanted(choice, values, &none);
    return af_state_equal(&none, &wanted);
}

static unsigned treat(struct af_set *set, const struct af_held *held, int fd, const struct facts *f,
                      enum af_choice choice, const struct af_values *values, int *why) {
    struct af_state now;
    *why = af_state_read(fd, choice, &now);
    if (*why == -EOPNOTSUPP && asks_nothing(choice, values)) {
        *why = 0;
        return AF_OUTCOME_SET;
    }
    if (*why)
        return AF_OUTCOME_REFUSED;
    const struct af_state before = before_us(set, f, choice, &now);
    const struct af_state wanted = af_state_wanted(choice, values, &before);
    const bool own = af_state_chosen(choice, &before) && !set->settings.policy.override;
    const struct af_state *to = own ? &before : &wanted;
    const bool notes = !af_state_equal(to, &before);
    if (notes)
        af_givens_add(&set->givens, &(struct af_given){ .cookie = f->cookie,
                                                        .pid = held->pid,
                                                        .start_ticks = held->start_ticks,
                                                        .choice = (uint8_t)choice,
                                                        .listens = f->state == TCP_LISTEN,
                                                        .port = f->local.port,
                                                        .before = before,
                                                        .set = *to });
    *why = af_state_write(fd, choice, &now, to);
    if (*why && notes)
        af_givens_drop_last(&set->givens);
    if (*why)
        return AF_OUTCOME_REFUSED;
    return own && !af_state_equal(&wanted, &before) ? AF_OUTCOME_CHOSEN : AF_OUTCOME_SET;
}

unsigned af_set_outside(struct af_set *set, const struct af_held *held, int fd, bool *listens, int *why_refused) {
    struct facts f = { 0 };
    struct af_values values;
    unsigned outcome = AF_OUTCOME_TCP;
    if (!is_tcp(fd, &f))
        return 0;
    read_addresses(set, fd, &f);
    *listens = f.state == TCP_LISTEN;
    if (*listens)
        af_set_add_listener(set, &f.local);
    else if (f.state != TCP_CLOSE && !was_accepted(set, &f.local))
        outcome |= AF_OUTCOME_OPENED;
    if (set->only_look)
        return outcome | (set->acts ? AF_OUTCOME_SET : 0);
    const uint32_t named = decide(set, &set->settings.policy, &f, &values);
    for (int choice = 0; choice < AF_CHOICES; choice++) {
        int why = 0;
        if (!set->every_key && !(named & 1u << af_choice_key((enum af_choice)choice)))
            continue;
        outcome |= treat(set, held, fd, &f, (enum af_choice)choice, &values, &why);
        *why_refused = why ? why : *why_refused;
    }
    set->has_waiting |= f.waiting && outcome & AF_OUTCOME_SET;
    return outcome;
}

/* ---- what is not to be had so --------------------------------------------------------------------------------- */

static char *listed(char *list, const char *word) {
    char *longer = list ? af_format("%s, %s", list, word) : af_format("%s", word);
    free(list);
    return longer;
}

/* Of each rule, and of the variables. */
static bool has_other_linger(uint32_t named, const struct af_values *values, bool *rst) {
    const bool is_rst = named & AF_BIT(LINGER) && values->linger == AF_LINGER_RST;
    *rst |= is_rst;
    return named & AF_BIT(LINGER) && !is_rst;
}

void af_set_find_beyond(struct af_set *set) {
    const struct af_policy *policy = &set->settings.policy;
    uint32_t named = policy->set, within = 0;
    bool rst = false, other = has_other_linger(policy->set, &policy->values, &rst);
    for (size_t i = 0; i < policy->n_rules; i++) {
        named |= policy->rules[i].named;
        other |= has_other_linger(policy->rules[i].named, &policy->rules[i].values, &rst);
    }
    for (int choice = 0; choice < AF_CHOICES; choice++)
        within |= 1u << af_choice_key((enum af_choice)choice);
    for (int key = 0; key < AF_KEYS; key++)
        if (named & ~within & 1u << key && af_keys[key].roles)
            set->beyond = listed(set->beyond, af_keys[key].name);
    if (rst)
        set->beyond = listed(set->beyond, "linger=rst");
    set->acts = set->every_key || other || (named & within & ~AF_BIT(LINGER));
}
