/* TARGET: V4[/N][:PORTS], V6[/N], [V6[/N]]:PORTS, *[:PORTS] or :PORTS. */
#include "inner.h"

enum { MAPPED_BITS = 96 };

static bool read_port(struct af_span s, uint16_t *out, struct af_fault *f) {
    uint32_t n;
    if (!af_read_number(s, &n))
        return af_fail(f, s, "not a port; expected P or P-Q", NULL);
    if (n < 1 || n > UINT16_MAX)
        return af_fail(f, s, "port out of range; expected 1 to 65535", NULL);
    *out = (uint16_t)n;
    return true;
}

/* s begins at the colon. */
static bool read_ports(struct af_span s, struct af_rule *rule, struct af_fault *f) {
    struct af_span ports = af_from(s, 1);
    size_t dash = af_index(ports, '-');
    if (dash == 0 || (dash < ports.n && dash == ports.n - 1) || !ports.n)
        return af_fail(f, s, "a port is missing; expected P or P-Q", NULL);
    if (!read_port(af_cut(ports, 0, dash), &rule->port_low, f))
        return false;
    rule->port_high = rule->port_low;
    if (dash < ports.n && !read_port(af_from(ports, dash + 1), &rule->port_high, f))
        return false;
    if (rule->port_low > rule->port_high)
        return af_fail(f, ports, "the port range is reversed; expected P-Q with P the smaller", NULL);
    return true;
}

static void clear_host_bits(uint8_t *ip, unsigned prefix, unsigned size) {
    for (unsigned i = 0; i < size; i++) {
        unsigned keep = prefix > 8 * i ? prefix - 8 * i : 0;
        if (keep < 8)
            ip[i] &= (uint8_t)(0xff00u >> keep);
    }
}

static bool host_bits_clear(struct af_span net, bool v6, struct af_rule *rule, struct af_fault *f) {
    uint8_t clear[16];
    unsigned size = v6 ? 16 : 4;
    bool same = true;
    __builtin_memcpy(clear, rule->ip, sizeof clear);
    clear_host_bits(clear, rule->prefix, size);
    for (unsigned i = 0; i < size; i++)
        same &= clear[i] == rule->ip[i];
    if (same)
        return true;

    size_t n = af_ip_text(clear, v6, f->room);
    f->room[n++] = '/';
    n += af_write_number(rule->prefix, f->room + n);
    f->room[n] = '\0';
    return af_fail(f, net, "host bits are set", f->room);
}

static bool read_prefix(struct af_span s, bool v6, struct af_rule *rule, struct af_fault *f) {
    uint32_t n;
    if (!af_read_number(s, &n))
        return af_fail(f, s, "not a prefix length; expected a number of bits", NULL);
    if (n > (v6 ? 128 : 32))
        return af_fail(f, s,
                       v6 ? "prefix length out of range; expected 0 to 128"
                          : "prefix length out of range; expected 0 to 32",
                       NULL);
    rule->prefix = (uint8_t)n;
    return true;
}

/* A name has a character that no IPv4 address has. */
static bool is_name(struct af_span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.s[i] != '.' && (s.s[i] < '0' || s.s[i] > '9'))
            return true;
    return false;
}

/* ADDRESS[/N], the part `net` of the target `text`. */
static bool read_net(struct af_span text, struct af_span net, bool v6, struct af_rule *rule, struct af_fault *f) {
    size_t slash = af_index(net, '/');
    struct af_span address = af_cut(net, 0, slash);
    if (!address.n)
        return af_fail(f, net.n ? net : text, "an address is missing; expected V4 or V6", NULL);
    if (af_index(address, '%') < address.n)
        return af_fail(f, address, "scope ids are not matched; expected an address without %", NULL);
    if (!v6 && is_name(address))
        return af_fail(f, address, "names are not looked up; expected an address, * or :PORTS", NULL);
    const char *why = v6 ? af_ip6_read(address, rule->ip) : af_ip4_read(address, rule->ip);
    if (why)
        return af_fail(f, address, why, NULL);
    rule->prefix = v6 ? 128 : 32;
    if (slash + 1 == net.n)
        return af_fail(f, net, "a prefix length is missing; expected a number of bits after /", NULL);
    if (slash < net.n && !read_prefix(af_from(net, slash + 1), v6, rule, f))
        return false;
    if (!host_bits_clear(net, v6, rule, f))
        return false;
    rule->v6 = v6 && !(af_ip_is_mapped(rule->ip) && rule->prefix >= MAPPED_BITS);
    if (v6 && !rule->v6) { /* v4-mapped matches as IPv4 */
        for (int i = 0; i < 16; i++)
            rule->ip[i] = i < 4 ? rule->ip[MAPPED_BITS / 8 + i] : 0;
        rule->prefix -= MAPPED_BITS;
    }
    return true;
}

static bool read_bracketed(struct af_span s, struct af_rule *rule, struct af_fault *f) {
    size_t end = af_index(s, ']');
    if (end == s.n)
        return af_fail(f, s, "a ] is missing; expected [V6[/N]]:PORTS", NULL);
    struct af_span net = af_cut(s, 1, end), rest = af_from(s, end + 1);
    if (!rest.n || rest.s[0] != ':')
        return af_fail(f, s, "ports are missing after ]; expected [V6[/N]]:PORTS, or V6[/N] without brackets", NULL);
    return read_net(s, net, true, rule, f) && read_ports(rest, rule, f);
}

/* Two colons and no dot before the first: 10.0.0.1:80:90 is a mistake in IPv4. */
static bool looks_v6(struct af_span s) {
    size_t colon = af_index(s, ':');
    return colon < s.n && af_index(s, '.') > colon && af_index(af_from(s, colon + 1), ':') < s.n - colon - 1;
}

bool af_target_read(struct af_span s, struct af_rule *rule, struct af_fault *f) {
    *rule = (struct af_rule){ .port_high = UINT16_MAX };
    if (!s.n)
        return af_fail(f, s, "a TARGET is missing; expected an address, * or :PORTS", NULL);
    if (s.s[0] == '*' || (s.s[0] == ':' && !(s.n > 1 && s.s[1] == ':'))) {
        struct af_span ports = af_from(s, s.s[0] == '*');
        rule->any = true;
        if (ports.n && ports.s[0] != ':')
            return af_fail(f, s, "not a TARGET; expected *, *:PORTS or an address", NULL);
        return !ports.n || read_ports(ports, rule, f);
    }
    if (s.s[0] == '[')
        return read_bracketed(s, rule, f);
    if (looks_v6(s))
        return read_net(s, s, true, rule, f);
    size_t colon = af_index(s, ':');
    return read_net(s, af_cut(s, 0, colon), false, rule, f) && (colon == s.n || read_ports(af_from(s, colon), rule, f));
}

bool af_target_parse(const char *text, size_t len, struct af_rule *rule, const char **why, size_t *at) {
    struct af_fault f;
    if (af_target_read((struct af_span){ text, len }, rule, &f))
        return true;
    *why = f.why;
    *at = (size_t)(f.at.s - text);
    return false;
}

bool af_target_matches(const struct af_rule *rule, const struct af_addr *addr) {
    if (addr->port < rule->port_low || addr->port > rule->port_high)
        return false;
    if (rule->any)
        return true;
    if (!rule->v6 != !addr->v6)
        return false;
    unsigned whole = rule->prefix / 8, bits = rule->prefix % 8;
    for (unsigned i = 0; i < whole; i++)
        if (rule->ip[i] != addr->ip[i])
            return false;
    return !bits || (rule->ip[whole] ^ addr->ip[whole]) >> (8 - bits) == 0;
}
