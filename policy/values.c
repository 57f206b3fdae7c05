/* The value of each key that acts on a socket, in a variable or in a rule. */
#include "inner.h"

/* The kernel's own limits: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT, MAX_TCP_SYNCNT. */
enum { KEEP_SECONDS_MAX = 32767, KEEP_COUNT_MAX = 127, SYN_RETRIES_MAX = 127, PORT_MAX = 65535, LINGER_MAX = 65535 };

bool af_flag_read(struct af_span s, bool *out) {
    bool on = af_is(s, "on") || af_is(s, "1") || af_is(s, "yes") || af_is(s, "true");
    if (!on && !af_is(s, "off") && !af_is(s, "0") && !af_is(s, "no") && !af_is(s, "false"))
        return false;
    *out = on;
    return true;
}

static bool read_linger(struct af_span s, struct af_values *out, struct af_fault *f) {
    uint32_t n;
    static const struct {
        char word[11]; /* no pointer: that would be a relocation, paid at every exec */
        uint8_t linger;
    } words[] = { { "ack", AF_LINGER_ACK }, { "ack-always", AF_LINGER_ACK_ALWAYS }, { "rst", AF_LINGER_RST } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (af_is(s, words[i].word)) {
            out->linger = words[i].linger;
            return true;
        }
    if (af_is(s, "on"))
        return af_fail(f, s, "linger=on does not say how", "ack, ack-always, rst or SECONDS");
    if (!af_read_number(s, &n))
        return af_fail(f, s, NULL, af_key_values(AF_KEY_LINGER));
    if (n == 0)
        return af_fail(f, s, "no time at all aborts the connection: say rst for that",
                       "off, ack, ack-always, rst or 1 to 65535");
    if (n > LINGER_MAX)
        return af_fail(f, s, "seconds out of range", "1 to 65535");
    out->linger = AF_LINGER_SECONDS;
    out->linger_s = (uint16_t)n;
    return true;
}

static bool read_port(struct af_span s, uint16_t *out, struct af_fault *f) {
    uint32_t n;
    if (!af_read_number(s, &n))
        return af_fail(f, s, "not a port", "off, LOW-HIGH");
    if (n < 1 || n > PORT_MAX)
        return af_fail(f, s, "port out of range", "1 to 65535");
    *out = (uint16_t)n;
    return true;
}

static bool read_port_range(struct af_span s, struct af_values *out, struct af_fault *f) {
    size_t dash = af_index(s, '-');
    uint16_t low, high;
    if (dash == s.n || dash == 0 || dash == s.n - 1)
        return af_fail(f, s, NULL, af_key_values(AF_KEY_PORT_RANGE));
    if (!read_port(af_cut(s, 0, dash), &low, f) || !read_port(af_from(s, dash + 1), &high, f))
        return false;
    if (low > high)
        return af_fail(f, s, "the range is reversed", "LOW-HIGH with LOW the smaller");
    out->port_low = low;
    out->port_high = high;
    return true;
}

static bool read_syn_retries(struct af_span s, struct af_values *out, struct af_fault *f) {
    uint32_t n;
    if (!af_read_number(s, &n))
        return af_fail(f, s, NULL, af_key_values(AF_KEY_SYN_RETRIES));
    if (n < 1 || n > SYN_RETRIES_MAX)
        return af_fail(f, s, "count out of range", "1 to 127");
    out->syn_retries = (uint16_t)n;
    return true;
}

static bool read_keepalive(struct af_span all, struct af_values *out, struct af_fault *f) {
    struct af_span s = all;
    uint16_t *const field[] = { &out->keep_idle, &out->keep_interval, &out->keep_count };
    for (unsigned i = 0;; i++) {
        size_t colon = af_index(s, ':');
        struct af_span part = af_cut(s, 0, colon);
        uint32_t n, most = i < 2 ? KEEP_SECONDS_MAX : KEEP_COUNT_MAX;
        if (i == 3 || !af_read_number(part, &n))
            return af_fail(f, all, NULL, af_key_values(AF_KEY_KEEPALIVE));
        if (n < 1 || n > most)
            return af_fail(f, part, i < 2 ? "seconds out of range" : "count out of range",
                           i < 2 ? "1 to 32767" : "1 to 127");
        *field[i] = (uint16_t)n;
        if (colon == s.n)
            return true;
        s = af_from(s, colon + 1);
    }
}

static bool read_user_timeout(struct af_span s, struct af_values *out, struct af_fault *f) {
    uint32_t n, unit;
    size_t digits = 0;
    while (digits < s.n && s.s[digits] >= '0' && s.s[digits] <= '9')
        digits++;
    if (!af_read_number(af_cut(s, 0, digits), &n))
        return af_fail(f, s, NULL, af_key_values(AF_KEY_USER_TIMEOUT));
    if (digits == s.n)
        return af_fail(f, s, "the unit is missing", "off, Ns, Nms");
    if (af_is(af_from(s, digits), "s"))
        unit = 1000;
    else if (af_is(af_from(s, digits), "ms"))
        unit = 1;
    else
        return af_fail(f, s, "unknown unit", "off, Ns, Nms");
    if (n == 0)
        return af_fail(f, s, "no time at all would leave the kernel's own: say off for that", "1ms to 2147483647ms");
    if (n > INT32_MAX / unit) /* the option is an int of milliseconds */
        return af_fail(f, s, "time out of range", "1ms to 2147483647ms");
    out->user_timeout_ms = n * unit;
    return true;
}

bool af_value_read(enum af_key key, struct af_span s, struct af_values *out, struct af_lists *lists,
                   struct af_fault *f) {
    bool off = af_is(s, "off");
    switch (key) {
    case AF_KEY_REUSEADDR: return af_flag_read(s, &out->reuseaddr) || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_BIND_NO_PORT: return af_flag_read(s, &out->bind_no_port) || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_LINGER: return off || read_linger(s, out, f);
    case AF_KEY_SOURCE: return off || af_source_read(s, out, lists, f);
    case AF_KEY_SYN_RETRIES: return off || read_syn_retries(s, out, f);
    case AF_KEY_PORT_RANGE: return off || read_port_range(s, out, f);
    case AF_KEY_PORT_SEARCH:
        out->cycle = af_is(s, "cycle");
        return out->cycle || af_is(s, "kernel") || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_KEEPALIVE: return off || read_keepalive(s, out, f);
    case AF_KEY_USER_TIMEOUT: return off || read_user_timeout(s, out, f);
    default: return af_fail(f, s, "not a policy", NULL);
    }
}
