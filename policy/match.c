/* The first rule that matches an address, among many: what each rule asks for stands side by side, 16 bytes of it for an
 * IPv4 address, so that 1,000 rules are gone through in some microseconds. The order is that of the rules. */
#include "inner.h"

static struct af_match4 match4(const struct af_rule *rule, uint32_t number) {
    struct af_match4 m = { .low = rule->port_low,
                           .width = (uint16_t)(rule->port_high - rule->port_low),
                           .rule = number };
    uint8_t mask[4] = { 0 };
    if (rule->any)
        return m;
    for (unsigned i = 0; i < rule->prefix; i++)
        mask[i / 8] |= (uint8_t)(0x80u >> i % 8);
    __builtin_memcpy(&m.mask, mask, sizeof m.mask);
    __builtin_memcpy(&m.net, rule->ip, sizeof m.net);
    return m;
}

static struct af_match6 match6(const struct af_rule *rule, uint32_t number) {
    struct af_match6 m = { .low = rule->port_low,
                           .width = (uint16_t)(rule->port_high - rule->port_low),
                           .rule = number };
    uint8_t mask[16] = { 0 };
    if (rule->any)
        return m;
    for (unsigned i = 0; i < rule->prefix; i++)
        mask[i / 8] |= (uint8_t)(0x80u >> i % 8);
    __builtin_memcpy(m.mask, mask, sizeof m.mask);
    __builtin_memcpy(m.net, rule->ip, sizeof m.net);
    return m;
}

void af_index_rules(struct af_policy *p, const struct af_lists *lists) {
    struct af_match4 *v4 = lists->v4;
    struct af_match6 *v6 = lists->v6;
    for (int role = 0; role < AF_ROLES && p->n_rules; role++) {
        struct af_index *index = &p->index[role];
        index->v4 = v4;
        index->v6 = v6;
        for (size_t i = 0; i < p->n_rules; i++) {
            const struct af_rule *rule = &p->rules[i];
            if (rule->role != role)
                continue;
            index->named |= rule->named;
            if (rule->any || !rule->v6)
                *v4++ = match4(rule, (uint32_t)i);
            if (rule->any || rule->v6)
                *v6++ = match6(rule, (uint32_t)i);
        }
        index->n4 = (uint32_t)(v4 - index->v4);
        index->n6 = (uint32_t)(v6 - index->v6);
    }
}

static const struct af_rule *next4(const struct af_policy *p, const struct af_index *index, const struct af_addr *addr,
                                   uint32_t *at) {
    uint32_t ip;
    __builtin_memcpy(&ip, addr->ip, sizeof ip);
    for (const struct af_match4 *m = index->v4 + *at, *end = index->v4 + index->n4; m < end; m++)
        if (((ip ^ m->net) & m->mask) == 0 && (uint16_t)(addr->port - m->low) <= m->width) {
            *at = (uint32_t)(m - index->v4) + 1;
            return &p->rules[m->rule];
        }
    return NULL;
}

static const struct af_rule *next6(const struct af_policy *p, const struct af_index *index, const struct af_addr *addr,
                                   uint32_t *at) {
    uint64_t ip[2];
    __builtin_memcpy(ip, addr->ip, sizeof ip);
    for (const struct af_match6 *m = index->v6 + *at, *end = index->v6 + index->n6; m < end; m++)
        if ((((ip[0] ^ m->net[0]) & m->mask[0]) | ((ip[1] ^ m->net[1]) & m->mask[1])) == 0 &&
            (uint16_t)(addr->port - m->low) <= m->width) {
            *at = (uint32_t)(m - index->v6) + 1;
            return &p->rules[m->rule];
        }
    return NULL;
}

const struct af_rule *af_next_match(const struct af_policy *p, enum af_role role, const struct af_addr *addr,
                                    uint32_t *at) {
    return addr->v6 ? next6(p, &p->index[role], addr, at) : next4(p, &p->index[role], addr, at);
}
