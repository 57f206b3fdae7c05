/* source=ADDR[-ADDR][,ADDR...]: the local addresses that connections start from, as ranges. */
#include "inner.h"

static const char form[] = "ADDR or ADDR-ADDR";
enum { MAPPED = 12 };

static bool read_address(struct af_span s, struct af_addr *out, struct af_fault *f) {
    *out = (struct af_addr){ .v6 = af_index(s, ':') < s.n };
    if (af_index(s, '%') < s.n)
        return af_fail(f, s, "scope ids are not taken", "an address without %");
    if (af_index(s, '/') < s.n)
        return af_fail(f, s, "a prefix has more addresses than connections can start from", "ADDR-ADDR");
    const char *why = out->v6 ? af_ip6_read(s, out->ip) : af_ip4_read(s, out->ip);
    if (why)
        return af_fail(f, s, why, NULL);
    if (out->v6 && af_ip_is_mapped(out->ip)) {
        struct af_addr v4 = { .v6 = 0 };
        __builtin_memcpy(v4.ip, out->ip + MAPPED, 4);
        *out = v4;
    }
    if (af_addr_is_any(out))
        return af_fail(f, s, "the kernel's own choice: say off for that", form);
    return true;
}

static uint64_t word(const uint8_t *bytes, unsigned n) {
    uint64_t word = 0;
    for (unsigned i = 0; i < n; i++)
        word = word << 8 | bytes[i];
    return word;
}

/* How many addresses lie from first to last, or UINT32_MAX where it is more than that; 0: the last is the smaller. */
static uint32_t span_of(const struct af_addr *first, const struct af_addr *last) {
    const unsigned tail = first->v6 ? 8 : 4;
    const uint64_t a = word(first->ip + (first->v6 ? 8 : 0), tail), b = word(last->ip + (first->v6 ? 8 : 0), tail);
    if (first->v6 && word(first->ip, 8) != word(last->ip, 8))
        return word(first->ip, 8) < word(last->ip, 8) ? UINT32_MAX : 0;
    return b < a ? 0 : b - a >= UINT32_MAX ? UINT32_MAX : (uint32_t)(b - a + 1);
}

static bool read_range(struct af_span item, struct af_source *out, struct af_fault *f) {
    const size_t dash = af_index(item, '-');
    struct af_addr first, last;
    if (dash == 0 || dash + 1 == item.n)
        return af_fail(f, item, "an address is missing", form);
    if (!read_address(af_trim(af_cut(item, 0, dash)), &first, f))
        return false;
    last = first;
    if (dash < item.n && !read_address(af_trim(af_from(item, dash + 1)), &last, f))
        return false;
    if (first.v6 != last.v6)
        return af_fail(f, item, "a range from one family to the other", form);
    *out = (struct af_source){ .n = span_of(&first, &last), .v6 = first.v6 };
    __builtin_memcpy(out->ip, first.ip, sizeof out->ip);
    if (!out->n)
        return af_fail(f, item, "the range is reversed", "ADDR-ADDR with the smaller first");
    return true;
}

/* Where the next , or + is: inside a rule a comma ends the key. */
static size_t end_of_item(struct af_span s) {
    size_t end = 0; /* one look for both: either may be far away, or nowhere, in a list of a megabyte */
    while (end < s.n && s.s[end] != ',' && s.s[end] != '+')
        end++;
    return end;
}

bool af_source_read(struct af_span s, struct af_values *out, struct af_lists *lists, struct af_fault *f) {
    uint32_t n[2] = { 0, 0 };
    out->source = lists->n_sources + 1;
    for (bool more = true; more;) {
        const size_t end = end_of_item(s);
        const struct af_span item = af_trim(af_cut(s, 0, end));
        if (!item.n)
            return af_fail(f, s, "an address is missing", "ADDR[-ADDR][,ADDR...]");
        if (lists->n_sources == lists->room_sources)
            return af_fail(f, item, "no room for this many addresses", NULL);
        struct af_source *range = &lists->sources[lists->n_sources];
        if (!read_range(item, range, f))
            return false;
        if (range->n > AF_MOST_SOURCES - n[range->v6])
            return af_fail(f, item, "too many addresses", "16777216 at most");
        n[range->v6] += range->n;
        lists->n_sources++;
        more = end < s.n;
        s = af_from(s, more ? end + 1 : end);
    }
    out->n_sources = lists->n_sources + 1 - out->source;
    return true;
}

size_t af_source_room(struct af_span text, size_t values) {
    for (size_t i = 0; i < text.n; i++)
        values += text.s[i] == ',' || text.s[i] == '+';
    return values;
}

uint32_t af_policy_count_sources(const struct af_policy *p, const struct af_values *values, bool v6) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < values->n_sources; i++)
        if (p->sources[values->source - 1 + i].v6 == v6)
            n += p->sources[values->source - 1 + i].n;
    return n;
}

void af_policy_source(const struct af_policy *p, const struct af_values *values, bool v6, uint32_t i,
                      struct af_addr *out) {
    const struct af_source *range = &p->sources[values->source - 1];
    for (; range->v6 != v6 || i >= range->n; range++)
        i -= range->v6 == v6 ? range->n : 0;
    *out = (struct af_addr){ .v6 = v6 };
    __builtin_memcpy(out->ip, range->ip, sizeof out->ip);
    for (unsigned at = v6 ? 16 : 4; at-- > 0 && i; i >>= 8) {
        const uint32_t sum = out->ip[at] + (i & 0xff);
        out->ip[at] = (uint8_t)sum;
        i += sum & 0x100; /* the carry, into what is shifted down next */
    }
}

bool af_addr_is_any(const struct af_addr *addr) {
    uint8_t any = 0;
    for (unsigned i = 0; i < (addr->v6 ? 16 : 4); i++)
        any |= addr->ip[i];
    return !any;
}
