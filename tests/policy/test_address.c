/* Addresses: from the kernel's form, to text, and back; libc's inet_pton and inet_ntop are the truth. */
#include "tests/policy/parsed.h"

Test(policy_address, a_sockaddr_becomes_an_endpoint) {
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0x0a000005) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(8080) };
    struct sockaddr_in6 mapped = v6;
    struct af_addr addr;
    memset(&addr, 0xff, sizeof addr);
    cr_assert(af_addr_from((struct sockaddr *)&v4, sizeof v4, &addr));
    cr_expect(addr.port == 443 && !addr.v6);
    cr_expect(memcmp(addr.ip, "\x0a\0\0\5\0\0\0\0\0\0\0\0\0\0\0", 16) == 0, "the rest is zero");

    inet_pton(AF_INET6, "2001:db8::5", &v6.sin6_addr);
    cr_assert(af_addr_from((struct sockaddr *)&v6, sizeof v6, &addr));
    cr_expect(addr.port == 8080 && addr.v6 && memcmp(addr.ip, &v6.sin6_addr, 16) == 0);

    inet_pton(AF_INET6, "::ffff:10.0.0.5", &mapped.sin6_addr);
    cr_assert(af_addr_from((struct sockaddr *)&mapped, sizeof mapped, &addr));
    cr_expect(addr.port == 8080 && !addr.v6);
    cr_expect(memcmp(addr.ip, "\x0a\0\0\5\0\0\0\0\0\0\0\0\0\0\0", 16) == 0, "v4-mapped is IPv4");
}

Test(policy_address, almost_v4_mapped_is_IPv6) {
    for (int i = 0; i < 12; i++) {
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
        struct af_addr addr;
        inet_pton(AF_INET6, "::ffff:10.0.0.5", &v6.sin6_addr);
        v6.sin6_addr.s6_addr[i] ^= 1;
        cr_assert(af_addr_from((struct sockaddr *)&v6, sizeof v6, &addr));
        cr_expect(addr.v6 && memcmp(addr.ip, &v6.sin6_addr, 16) == 0, "byte %d", i);
    }
}

Test(policy_address, other_families_and_short_addresses_are_refused) {
    static const struct {
        int family;
        socklen_t len;
        bool ok;
    } rows[] = {
        { AF_INET, 0, false },   { AF_INET, 1, false },     { AF_INET, 2, false },    { AF_INET, 15, false },
        { AF_INET, 16, true },   { AF_INET, 128, true },    { AF_INET6, 16, false },  { AF_INET6, 23, false },
        { AF_INET6, 24, true },  { AF_INET6, 28, true },    { AF_INET6, 128, true },  { AF_UNSPEC, 16, false },
        { AF_UNIX, 110, false }, { AF_NETLINK, 12, false }, { AF_PACKET, 20, false },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct sockaddr_storage sa = { .ss_family = (sa_family_t)rows[i].family };
        struct af_addr addr;
        cr_expect(af_addr_from((struct sockaddr *)&sa, rows[i].len, &addr) == rows[i].ok, "family %d, %u bytes",
                  rows[i].family, rows[i].len);
    }
    struct af_addr addr;
    cr_expect(!af_addr_from(NULL, 16, &addr), "NULL");
}

Test(policy_address, a_sockaddr_need_not_be_aligned) {
    char room[sizeof(struct sockaddr_in6) + 8] = { 0 };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(1), .sin6_addr.s6_addr = { 1, 2, 3 } };
    for (int i = 0; i < 8; i++) {
        struct af_addr addr;
        memcpy(room + i, &v6, sizeof v6);
        cr_assert(af_addr_from((const struct sockaddr *)(const void *)(room + i), sizeof v6, &addr));
        cr_expect(addr.port == 1 && addr.v6 && memcmp(addr.ip, &v6.sin6_addr, 16) == 0, "offset %d", i);
    }
}

Test(policy_address, text_is_as_in_RFC_5952) {
    static const struct {
        const char *ip, *text;
    } rows[] = {
        { "::", "[::]:80" },
        { "::1", "[::1]:80" },
        { "1::", "[1::]:80" },
        { "2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:80" },
        { "2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:80" }, /* 4.2.2: one group is not shortened */
        { "2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:80" },          /* 4.2.3: the longest run */
        { "2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:80" },    /* 4.2.3: the first of equals */
        { "2001:0db8:000a::00ff", "[2001:db8:a::ff]:80" },       /* 4.1: no leading zeros */
        { "fe80::abcd:0:0:0", "[fe80::abcd:0:0:0]:80" },
        { "0:0:0:0:0:0:102:304", "[::102:304]:80" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_addr addr = { .v6 = 1, .port = 80 };
        char text[AF_ADDR_TEXT];
        cr_assert(inet_pton(AF_INET6, rows[i].ip, addr.ip) == 1, "%s", rows[i].ip);
        cr_expect(af_addr_text(&addr, text) == strlen(rows[i].text), "%s: length", rows[i].ip);
        cr_expect_str_eq(text, rows[i].text, "%s", text);
    }
}

/* Eight groups or four bytes, mostly zeros and small numbers: that is where the rules bite. */
static void random_ip(uint8_t ip[16], bool v6) {
    memset(ip, 0, 16);
    for (int i = 0; i < (v6 ? 16 : 4); i += 2) {
        long kind = random() % 4;
        ip[i] = (uint8_t)(kind == 3 ? random() : 0);
        ip[i + 1] = (uint8_t)(kind ? random() : 0);
    }
}

Test(policy_address, text_agrees_with_libc_and_reads_back) {
    srandom(2);
    for (int round = 0; round < 200000; round++) {
        struct af_addr addr = { .v6 = round % 2, .port = (uint16_t)random() }, back = { 0 };
        char text[AF_ADDR_TEXT], want[AF_ADDR_TEXT + 8], ip[INET6_ADDRSTRLEN];
        random_ip(addr.ip, addr.v6);
        size_t n = af_addr_text(&addr, text);
        inet_ntop(addr.v6 ? AF_INET6 : AF_INET, addr.ip, ip, sizeof ip);
        snprintf(want, sizeof want, addr.v6 ? "[%s]:%u" : "%s:%u", ip, addr.port);
        cr_assert(strlen(text) == n && n < AF_ADDR_TEXT, "%s", text);
        /* libc writes the obsolete ::a.b.c.d too (RFC 4291, 2.5.5.1), RFC 5952 does not */
        if (!addr.v6 || !strchr(ip, '.') || strncmp(ip, "::ffff:", 7) == 0)
            cr_assert_str_eq(text, want);

        struct af_rule rule;
        const char *why = "";
        size_t at;
        if (addr.port == 0 || (addr.v6 && strncmp(ip, "::ffff:", 7) == 0))
            continue;
        cr_assert(af_target_parse(text, n, &rule, &why, &at), "%s: %s", text, why);
        memcpy(back.ip, rule.ip, 16);
        cr_assert(memcmp(back.ip, addr.ip, 16) == 0 && rule.v6 == addr.v6 && rule.port_low == addr.port, "%s", text);
    }
}

/* No ports in it: one colon is ADDRESS:PORTS or :PORTS, as is one after a dot. */
static bool is_bare(const char *text) {
    const char *colon = strchr(text, ':'), *dot = strchr(text, '.');
    if (!colon)
        return true;
    return strchr(colon + 1, ':') && !(dot && dot < colon) && !(colon == text && text[1] != ':');
}

static void expect_as_libc(const char *text) {
    uint8_t want[16] = { 0 };
    bool v6 = strchr(text, ':') != NULL;
    struct af_rule rule;
    const char *why = "accepted";
    size_t at;
    bool valid = inet_pton(v6 ? AF_INET6 : AF_INET, text, want) == 1;
    bool got = af_target_parse(text, strlen(text), &rule, &why, &at);
    cr_assert(got == valid, "%s: %s", text, why);
    if (valid && !(v6 && !rule.v6)) /* not v4-mapped */
        cr_assert(memcmp(rule.ip, want, 16) == 0, "%s", text);
    if (valid && v6 && !rule.v6)
        cr_assert(memcmp(rule.ip, want + 12, 4) == 0, "%s", text);
}

Test(policy_address, reading_agrees_with_libc_on_random_text) {
    static const char *const pieces[] = { "0",  "1",    "00",    "9",       "25",    "255", "256",
                                          "ab", "AFFF", "12345", "fffff",   ":",     ":",   ":",
                                          "::", ".",    ".",     "1.2.3.4", "ffff:", "g",   "01" };
    srandom(3);
    for (int round = 0; round < 500000; round++) {
        char text[128] = "";
        for (long n = 1 + random() % 17; n > 0; n--)
            strcat(text, pieces[(size_t)random() % ROWS(pieces)]);
        if (is_bare(text))
            expect_as_libc(text);
    }
}

Test(policy_address, reading_agrees_with_libc_on_damaged_addresses) {
    srandom(4);
    for (int round = 0; round < 300000; round++) {
        uint8_t ip[16];
        char text[64];
        bool v6 = round % 4;
        random_ip(ip, v6);
        inet_ntop(v6 ? AF_INET6 : AF_INET, ip, text, sizeof text);
        if (random() % 2)
            text[(size_t)random() % strlen(text)] = "0123456789abcdefAF.:"[random() % 20];
        if (is_bare(text))
            expect_as_libc(text);
    }
}
