/* Endpoints: from the kernel's form, and to and from text. */
#include "inner.h"

#include <netinet/in.h>

enum { MAPPED = 12 }; /* bytes before the IPv4 address in ::ffff:0:0/96 */

bool af_ip_is_mapped(const uint8_t ip[16]) {
    for (int i = 0; i < MAPPED - 2; i++)
        if (ip[i])
            return false;
    return ip[10] == 0xff && ip[11] == 0xff;
}

bool af_addr_from(const struct sockaddr *sa, socklen_t len, struct af_addr *out) {
    const uint8_t *bytes = (const uint8_t *)sa; /* the caller's may not be aligned */
    sa_family_t family;
    if (!sa || len < sizeof(struct sockaddr_in))
        return false;
    __builtin_memcpy(&family, bytes + offsetof(struct sockaddr, sa_family), sizeof family);
    if (family != AF_INET && (family != AF_INET6 || len < offsetof(struct sockaddr_in6, sin6_scope_id)))
        return false;

    *out = (struct af_addr){ 0 };
    out->port = (uint16_t)(bytes[2] << 8 | bytes[3]); /* one place in both families */
    if (family == AF_INET) {
        __builtin_memcpy(out->ip, bytes + offsetof(struct sockaddr_in, sin_addr), 4);
        return true;
    }
    const uint8_t *ip = bytes + offsetof(struct sockaddr_in6, sin6_addr);
    out->v6 = !af_ip_is_mapped(ip);
    if (out->v6)
        __builtin_memcpy(out->ip, ip, 16);
    else
        __builtin_memcpy(out->ip, ip + MAPPED, 4);
    return true;
}

static size_t ip4_text(const uint8_t *ip, char *out) {
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (i)
            out[n++] = '.';
        n += af_write_number(ip[i], out + n);
    }
    return n;
}

static size_t group_text(unsigned group, char *out) {
    size_t n = 0;
    for (int shift = 12; shift >= 0; shift -= 4)
        if (group >> shift || shift == 0)
            out[n++] = "0123456789abcdef"[group >> shift & 15];
    return n;
}

/* RFC 5952, 4.2: the longest run of zero groups, the first of equals, is "::"; a single group is none. */
static void longest_zeros(const unsigned group[8], int *start, int *length) {
    *start = -1;
    *length = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = group[i] ? 0 : run + 1;
        if (run > *length) {
            *length = run;
            *start = i + 1 - run;
        }
    }
}

static size_t ip6_text(const uint8_t *ip, char *out) {
    unsigned group[8];
    int zeros, length;
    size_t n = 0;
    for (int i = 0; i < 8; i++)
        group[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
    longest_zeros(group, &zeros, &length);
    for (int i = 0; i < 8; i++) {
        if (i == zeros) {
            out[n++] = ':';
            out[n++] = ':';
            i += length - 1;
            continue;
        }
        if (i && out[n - 1] != ':')
            out[n++] = ':';
        n += group_text(group[i], out + n);
    }
    return n;
}

size_t af_ip_text(const uint8_t *ip, bool v6, char *out) {
    if (!v6)
        return ip4_text(ip, out);
    if (!af_ip_is_mapped(ip))
        return ip6_text(ip, out);
    __builtin_memcpy(out, "::ffff:", 7); /* RFC 5952, 5 */
    return 7 + ip4_text(ip + MAPPED, out + 7);
}

size_t af_addr_text(const struct af_addr *addr, char out[AF_ADDR_TEXT]) {
    size_t n = 0;
    if (addr->v6)
        out[n++] = '[';
    n += af_ip_text(addr->ip, addr->v6, out + n);
    if (addr->v6)
        out[n++] = ']';
    out[n++] = ':';
    n += af_write_number(addr->port, out + n);
    out[n] = '\0';
    return n;
}

const char *af_ip4_read(struct af_span s, uint8_t out[4]) {
    for (int i = 0; i < 4; i++) {
        size_t end = i < 3 ? af_index(s, '.') : s.n;
        struct af_span octet = af_cut(s, 0, end);
        uint32_t n;
        if (!af_read_number(octet, &n) || (i < 3 && end == s.n))
            return "not an IPv4 address; expected four numbers, A.B.C.D";
        if (octet.n > 1 && octet.s[0] == '0')
            return "a leading zero in an IPv4 address could be octal or decimal; expected none";
        if (n > 255)
            return "a number of an IPv4 address is out of range; expected 0 to 255";
        out[i] = (uint8_t)n;
        if (i < 3)
            s = af_from(s, end + 1);
    }
    return NULL;
}

/* One to four hexadecimal digits; returns how many, 0 for anything else. */
static size_t read_group(struct af_span s, unsigned *out) {
    size_t n = 0;
    *out = 0;
    for (; n < s.n && s.s[n] != ':'; n++) {
        char c = s.s[n];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit > 15 || n == 4)
            return 0;
        *out = *out << 4 | digit;
    }
    return n;
}

/* Groups up to the end of s or to "::", as many as `room` bytes hold, the last perhaps as A.B.C.D; returns the
 * bytes filled, and in *used how much of s they took. SIZE_MAX: not groups. */
static size_t read_groups(struct af_span s, uint8_t *out, size_t room, size_t *used) {
    size_t i = 0, bytes = 0;
    while (i < s.n && s.s[i] != ':') {
        struct af_span rest = af_from(s, i);
        unsigned group;
        size_t digits = read_group(rest, &group);
        if (!digits && bytes + 4 <= room && !af_ip4_read(rest, out + bytes)) {
            *used = s.n;
            return bytes + 4;
        }
        if (!digits || bytes + 2 > room)
            return SIZE_MAX;
        out[bytes++] = (uint8_t)(group >> 8);
        out[bytes++] = (uint8_t)group;
        i += digits;
        if (i + 1 < s.n && s.s[i + 1] != ':')
            i++; /* one colon, and a group after it */
        else if (i + 1 == s.n)
            return SIZE_MAX; /* one colon at the end */
    }
    *used = i;
    return bytes;
}

const char *af_ip6_read(struct af_span s, uint8_t out[16]) {
    static const char bad[] = "not an IPv6 address; expected groups of hexadecimal digits and one :: at most";
    uint8_t tail[16];
    size_t used = 0, head_bytes = read_groups(s, out, 16, &used), tail_bytes;
    if (head_bytes == SIZE_MAX)
        return bad;
    if (used == s.n)
        return head_bytes == 16 ? NULL : bad;
    struct af_span rest = af_from(s, used);
    if (rest.n < 2 || rest.s[1] != ':' || head_bytes > 14)
        return bad;
    rest = af_from(rest, 2);
    tail_bytes = read_groups(rest, tail, 14 - head_bytes, &used); /* "::" is one group at least */
    if (tail_bytes == SIZE_MAX || used != rest.n)
        return bad;
    for (size_t i = head_bytes; i < 16; i++)
        out[i] = i < 16 - tail_bytes ? 0 : tail[i - (16 - tail_bytes)];
    return NULL;
}
