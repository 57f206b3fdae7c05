/* See policy_invariants.h. Every string and the rules live in blocks of exactly their size, so that a sanitizer
 * sees a byte read or written beyond. */
#include "tests/policy/policy_invariants.h"
#include "cli/options.h"

#include "policy/policy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETTINGS = 32 };

#define HOLDS(what) \
    do { \
        if (!(what)) \
            return #what; \
    } while (0)

struct block {
    const char *setting[2 * MAX_SETTINGS + 1]; /* room to say everything twice */
    size_t n;
};

static char *copy(const char *head, const uint8_t *s, size_t n) {
    size_t before = strlen(head);
    char *text = malloc(before + n + 1);
    if (!text)
        abort();
    memcpy(text, head, before);
    memcpy(text + before, s, n);
    text[before + n] = '\0';
    return text;
}

static void split(struct block *b, const uint8_t *data, size_t size) {
    *b = (struct block){ 0 };
    if (size && data[size - 1] == '\n')
        size--;
    for (size_t from = 0, to = 0; to <= size && b->n < MAX_SETTINGS; to++) {
        if (to < size && data[to] != '\0' && data[to] != 0x1f)
            continue;
        char *text = copy("AFTERFIN_", data + from, to - from);
        b->setting[b->n++] = text;
        from = to + 1;
    }
}

static uint64_t next(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

static bool is_line(const char *s) {
    if (!*s)
        return false;
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

static const char *check_error(const struct af_error *e) {
    HOLDS(memchr(e->text, '\0', sizeof e->text));
    HOLDS(is_line(e->text));
    HOLDS(strncmp(e->text, "AFTERFIN_", 9) == 0);
    HOLDS(strstr(e->text, "=\"") && strstr(e->text, "\": "));
    return NULL;
}

/* Only the keys in `keys` are set, and to what they may be set to. */
static const char *check_values(const struct af_values *v, uint32_t keys) {
    HOLDS(!v->reuseaddr || keys & AF_BIT(REUSEADDR));
    HOLDS(!v->bind_no_port || keys & AF_BIT(BIND_NO_PORT));
    HOLDS(!v->cycle || keys & AF_BIT(PORT_SEARCH));
    HOLDS(!v->linger || keys & AF_BIT(LINGER));
    HOLDS(!v->source || keys & AF_BIT(SOURCE));
    HOLDS(!v->syn_retries || keys & AF_BIT(SYN_RETRIES));
    HOLDS(!v->port_low || keys & AF_BIT(PORT_RANGE));
    HOLDS(!v->keep_idle || keys & AF_BIT(KEEPALIVE));
    HOLDS(!v->user_timeout_ms || keys & AF_BIT(USER_TIMEOUT));
    HOLDS(v->linger <= AF_LINGER_SECONDS && (v->linger == AF_LINGER_SECONDS) == (v->linger_s > 0));
    HOLDS(v->port_low <= v->port_high && (v->port_low > 0) == (v->port_high > 0));
    HOLDS(v->keep_idle <= 32767 && v->keep_interval <= 32767 && v->keep_count <= 127);
    HOLDS(v->keep_idle || !v->keep_interval);
    HOLDS(v->keep_interval || !v->keep_count);
    HOLDS(v->user_timeout_ms <= INT32_MAX);
    HOLDS(v->syn_retries <= 127 && !v->pad);
    return NULL;
}

static uint32_t keys_in(unsigned roles) {
    uint32_t keys = 0;
    for (int k = 0; k < AF_KEYS; k++)
        keys |= (af_keys[k].roles & roles) ? 1u << k : 0;
    return keys;
}

static const char *check_target(const struct af_rule *r) {
    struct af_addr addr = { .port = r->port_low, .v6 = r->v6 }, other;
    HOLDS(r->any <= 1 && r->v6 <= 1 && r->prefix <= (r->v6 ? 128 : 32));
    HOLDS(r->port_low <= r->port_high);
    memcpy(addr.ip, r->ip, sizeof addr.ip);
    HOLDS(af_target_matches(r, &addr));
    other = addr;
    if (r->prefix) {
        other.ip[0] ^= 0x80;
        HOLDS(!af_target_matches(r, &other));
    }
    other = addr;
    other.port = (uint16_t)(r->port_high + 1);
    HOLDS(other.port == 0 || !af_target_matches(r, &other));
    return NULL;
}

/* Every address that can be picked is of its family, and follows the one before it. */
static const char *check_sources(const struct af_policy *p, const struct af_values *v) {
    for (int v6 = 0; v6 < 2; v6++) {
        const uint32_t n = af_policy_count_sources(p, v, v6);
        struct af_addr first = { 0 }, last = { 0 };
        HOLDS(n <= AF_MOST_SOURCES);
        if (n) {
            af_policy_source(p, v, v6, 0, &first);
            af_policy_source(p, v, v6, n - 1, &last);
        }
        HOLDS(!n || (first.v6 == v6 && last.v6 == v6 && !first.port && !af_addr_is_any(&first)));
        HOLDS(n < 2 || memcmp(&first, &last, sizeof first) != 0 || v->n_sources > 1);
    }
    HOLDS((v->source > 0) == (v->n_sources > 0));
    return NULL;
}

static const char *check_policy(const struct af_policy *p, size_t room) {
    const char *broken = check_values(&p->values, p->set);
    broken = broken ? broken : check_sources(p, &p->values);
    HOLDS(p->n_rules <= room / sizeof *p->rules && p->set < 1u << AF_KEYS);
    HOLDS(p->log <= AF_SINK_FILE && (p->log == AF_SINK_FILE) == (p->log_path && *p->log_path == '/'));
    HOLDS(p->ledger <= AF_LEDGER_DIRECTORY);
    HOLDS((p->ledger == AF_LEDGER_DIRECTORY) == (p->ledger_dir && *p->ledger_dir == '/'));
    for (size_t i = 0; i < p->n_rules && !broken; i++) {
        const struct af_rule *r = &p->rules[i];
        HOLDS(r->role < AF_ROLES && r->named && !(r->named & ~keys_in(1u << r->role)));
        broken = check_values(&r->values, r->named);
        broken = broken ? broken : check_target(r);
        broken = broken ? broken : check_sources(p, &r->values);
    }
    return broken;
}

static const char *check_options(const struct af_values *v, enum af_role role, uint64_t *random) {
    struct af_option options[AF_OPTIONS_MAX];
    uint32_t own = (uint32_t)next(random);
    bool override = next(random) & 1;
    unsigned n = af_policy_options(v, role, (uint16_t)(next(random) % 3), own, override, options);
    HOLDS(n <= AF_OPTIONS_MAX);
    for (unsigned i = 0; i < n; i++) {
        enum af_key key = af_policy_key_of(options[i].level, options[i].name);
        HOLDS(key < AF_KEYS && keys_in(1u << role) >> key & 1);
        HOLDS(override || !(own >> key & 1));
        HOLDS(options[i].size == (options[i].name == SO_LINGER && options[i].level == SOL_SOCKET ? 8 : 4));
    }
    return NULL;
}

/* Half of them near the address of some rule. */
static struct af_addr some_address(const struct af_policy *p, uint64_t *random) {
    struct af_addr addr = { .v6 = next(random) & 1, .port = (uint16_t)next(random) };
    for (int i = 0; i < (addr.v6 ? 16 : 4); i++)
        addr.ip[i] = (uint8_t)next(random);
    if (p->n_rules && next(random) & 1) {
        const struct af_rule *r = &p->rules[next(random) % p->n_rules];
        memcpy(addr.ip, r->ip, sizeof addr.ip);
        addr.v6 = r->v6;
        addr.port = (uint16_t)(r->port_low + next(random) % 2);
        addr.ip[next(random) % (addr.v6 ? 16 : 4)] ^= (uint8_t)(next(random) % 2);
    }
    return addr;
}

/* The same by the plain walk: key by key the first rule that names it and matches, else the variable. */
static bool is_first_match(const struct af_policy *p, enum af_role role, const struct af_addr *addr,
                           const struct af_values *got) {
    bool same = true;
    for (int key = 0; key < AF_KEYS; key++) {
        const struct af_values *v = &p->values;
        if (!(af_keys[key].roles >> role & 1))
            continue;
        for (size_t i = p->n_rules; i-- > 0;)
            if (p->rules[i].role == role && p->rules[i].named >> key & 1 && af_target_matches(&p->rules[i], addr))
                v = &p->rules[i].values;
        switch (key) {
        case AF_KEY_REUSEADDR: same &= v->reuseaddr == got->reuseaddr; break;
        case AF_KEY_BIND_NO_PORT: same &= v->bind_no_port == got->bind_no_port; break;
        case AF_KEY_LINGER: same &= v->linger == got->linger && v->linger_s == got->linger_s; break;
        case AF_KEY_SOURCE: same &= v->source == got->source && v->n_sources == got->n_sources; break;
        case AF_KEY_SYN_RETRIES: same &= v->syn_retries == got->syn_retries; break;
        case AF_KEY_PORT_RANGE: same &= v->port_low == got->port_low && v->port_high == got->port_high; break;
        case AF_KEY_PORT_SEARCH: same &= v->cycle == got->cycle; break;
        case AF_KEY_KEEPALIVE:
            same &= v->keep_idle == got->keep_idle && v->keep_interval == got->keep_interval &&
                    v->keep_count == got->keep_count;
            break;
        case AF_KEY_USER_TIMEOUT: same &= v->user_timeout_ms == got->user_timeout_ms; break;
        default: return false;
        }
    }
    return same;
}

const char *policy_decisions_broken(const struct af_policy *p, uint64_t seed) {
    for (int i = 0; i < 8 * AF_ROLES; i++) {
        enum af_role role = (enum af_role)(i % AF_ROLES);
        struct af_addr addr = some_address(p, &seed);
        struct af_values v;
        char text[AF_ADDR_TEXT];
        memset(&v, 0xff, sizeof v);
        af_policy_decide(p, role, &addr, &v);
        HOLDS(is_first_match(p, role, &addr, &v));
        const char *broken = check_values(&v, keys_in(1u << role));
        broken = broken ? broken : check_options(&v, role, &seed);
        if (broken)
            return broken;
        HOLDS(af_policy_acts(p) || memcmp(&v, &(struct af_values){ 0 }, sizeof v) == 0);
        HOLDS(af_addr_text(&addr, text) == strlen(text) && is_line(text));
        af_policy_touches(p, text);
    }
    HOLDS(p->only || p->skip || af_policy_touches(p, "any"));
    return NULL;
}

static const char *check_parse(struct block *b, struct af_input given, uint64_t seed, bool *parsed) {
    struct af_policy p, again;
    struct af_error error;
    const char *broken;
    memset(&error, 0xff, sizeof error);
    *parsed = af_policy_parse(&p, b->setting, &given, &error);
    broken = *parsed ? check_policy(&p, given.size) : check_error(&error);
    broken = broken ? broken : policy_decisions_broken(&p, seed);
    if (broken)
        return broken;
    HOLDS(*parsed || (!af_policy_acts(&p) && !p.log && !p.ledger && !p.set && !p.n_rules && !p.only && !p.skip));

    /* Said twice it means the same. */
    memcpy(b->setting + b->n, b->setting, b->n * sizeof *b->setting);
    HOLDS(af_policy_room(b->setting, &given) == given.size);
    HOLDS(af_policy_parse(&again, b->setting, &given, &error) == *parsed);
    HOLDS(memcmp(&again.values, &p.values, sizeof p.values) == 0 && again.n_rules == p.n_rules);
    HOLDS(again.set == p.set && again.strict == p.strict && again.log_interval_s == p.log_interval_s);

    /* With too little room it fails and stays inside. */
    if (p.n_rules) {
        const struct af_input less = { (char *)given.room + 8, given.size - 8, given.file, given.file_size, 0 };
        HOLDS(!af_policy_parse(&again, b->setting, &less, &error) && !check_error(&error));
    }
    return NULL;
}

static const char *check_raw_target(const uint8_t *data, size_t size) {
    char *text = malloc(size ? size : 1);
    struct af_rule rule;
    const char *why = NULL, *broken = NULL;
    size_t at = 0;
    if (!text)
        abort();
    memcpy(text, data, size);
    if (af_target_parse(text, size, &rule, &why, &at))
        broken = check_target(&rule);
    else if (!why || !is_line(why) || at > size)
        broken = "a target's error has its why and its place";
    free(text);
    return broken;
}

const char *policy_broken(const uint8_t *data, size_t size, bool *parsed) {
    struct block b;
    uint64_t seed = 14695981039346656037u; /* FNV-1a of the data: the same questions to the same block */
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ data[i]) * 1099511628211u;
    split(&b, data, size);
    /* Rules said in a file mean the same: the block itself is that file, whatever is in it. */
    struct af_input given = { .file = malloc(size ? size : 1), .file_size = size };
    if (!given.file)
        abort();
    memcpy((char *)(uintptr_t)given.file, data, size);
    given.size = af_policy_room(b.setting, &given);
    given.room = malloc(given.size ? given.size : 1);
    if (!given.room)
        abort();
    const char *broken = check_parse(&b, given, seed | 1, parsed);
    for (size_t i = 0; i < b.n; i++)
        free((char *)(uintptr_t)b.setting[i]);
    free(given.room);
    free((char *)(uintptr_t)given.file);
    return broken ? broken : check_raw_target(data, size);
}
