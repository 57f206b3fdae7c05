/* Rules: separators, roles and keys, targets and what they match. */
#include "tests/policy/parsed.h"

static struct af_addr addr_of(const char *text, uint16_t port) {
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct af_addr out = { 0 };
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        cr_assert(af_addr_from((const struct sockaddr *)&v6, sizeof v6, &out), "%s", text);
    else if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        cr_assert(af_addr_from((const struct sockaddr *)&v4, sizeof v4, &out), "%s", text);
    else
        cr_assert_fail("%s is no address", text);
    return out;
}

Test(policy_rules, semicolons_and_newlines_separate_and_empty_rules_are_skipped) {
    static const struct {
        const char *text;
        size_t n;
    } rows[] = {
        { NULL, 0 },
        { "", 0 },
        { " \t ", 0 },
        { ";;\n;\n", 0 },
        { "bind * reuseaddr=on", 1 },
        { "bind * reuseaddr=on;", 1 },
        { ";bind * reuseaddr=on", 1 },
        { "bind * reuseaddr=on;bind :1 reuseaddr=on", 2 },
        { "bind * reuseaddr=on\nbind :1 reuseaddr=on\n\n", 2 },
        { "\tbind\t*\treuseaddr=on\t;  bind   :1   reuseaddr=on  ", 2 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const char *text = rows[i].text ? rows[i].text : "";
        char setting[128];
        struct parsed r;
        snprintf(setting, sizeof setting, "AFTERFIN_RULES=%s", text);
        PARSE(&r, setting);
        cr_assert(r.ok, "%s: %s", text, r.error.text);
        cr_expect(r.p.n_rules == rows[i].n, "\"%s\": %zu rules", text, r.p.n_rules);
        cr_expect(af_policy_room((const char *const[]){ setting, NULL }, &(struct af_input){ NULL }) >=
                      rows[i].n * sizeof(struct af_rule),
                  "%s", text);
    }
}

Test(policy_rules, more_rules_than_room_is_an_error_and_writes_nothing_beyond) {
    const char *const settings[] = { "AFTERFIN_RULES=bind * reuseaddr=on;bind :1 reuseaddr=on;bind :2 reuseaddr=on",
                                     NULL };
    for (size_t room = 0; room <= 3; room++) {
        _Alignas(8) unsigned char memory[1024];
        struct af_policy p;
        struct af_error error;
        memset(memory, 0x5a, sizeof memory);
        const size_t all = af_policy_room(settings, &(struct af_input){ NULL }), size = all * room / 3;
        cr_assert(all < sizeof memory);
        cr_expect(af_policy_parse(&p, settings, &(struct af_input){ .room = memory, .size = size }, &error) ==
                      (room == 3),
                  "room %zu", room);
        for (size_t i = size; i < sizeof memory; i++)
            cr_assert(memory[i] == 0x5a, "room %zu: %zu", room, i);
    }
}

Test(policy_rules, a_rule_takes_the_keys_of_its_role_and_no_others) {
    static const struct {
        const char *key, *item;
        bool in[AF_ROLES]; /* the table of DESIGN.md: bind, connect, listen */
    } rows[] = {
        { "reuseaddr", "reuseaddr=on", { true, false, false } },
        { "bind_no_port", "bind_no_port=on", { true, false, false } },
        { "linger", "linger=ack", { false, true, true } },
        { "source", "source=10.0.0.1+10.0.0.9-10.0.1.2", { false, true, false } },
        { "syn_retries", "syn_retries=3", { false, true, false } },
        { "port_range", "port_range=1-2", { false, true, false } },
        { "port_search", "port_search=cycle", { false, true, false } },
        { "keepalive", "keepalive=60", { false, true, true } },
        { "user_timeout", "user_timeout=1s", { false, true, true } },
        { "override", "override=on", { false } },
        { "rules", "rules=x", { false } },
        { "only", "only=x", { false } },
        { "skip", "skip=x", { false } },
        { "log", "log=stderr", { false } },
        { "log_format", "log_format=json", { false } },
        { "log_interval", "log_interval=1", { false } },
        { "ledger", "ledger=on", { false } },
        { "set", "set=off", { false } },
        { "strict", "strict=on", { false } },
    };
    static const char *const roles[] = { "bind", "connect", "listen" };
    cr_assert(ROWS(rows) == AF_KEYS);
    for (int k = 0; k < AF_KEYS; k++)
        for (int role = 0; role < AF_ROLES; role++) {
            char setting[128];
            struct parsed r;
            cr_assert_str_eq(af_keys[k].name, rows[k].key);
            snprintf(setting, sizeof setting, "AFTERFIN_RULES=%s * %s", roles[role], rows[k].item);
            PARSE(&r, setting);
            cr_expect(r.ok == rows[k].in[role], "%s %s", setting, r.error.text);
            cr_expect(!r.ok || (r.p.rules[0].role == role && r.p.rules[0].named == 1u << k), "%s", setting);
            cr_expect(!r.ok || af_policy_acts(&r.p), "%s", setting);
        }
}

Test(policy_rules, a_rule_with_several_keys_names_them_all) {
    static const char *const rows[] = {
        "connect * linger=3,keepalive=60:5,user_timeout=9ms",
        "connect * linger=3 , keepalive=60:5 ,\tuser_timeout=9ms ;",
        "  connect\t*\tlinger=3,   keepalive=60:5,user_timeout=9ms\t",
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct af_values want = {
            .linger = AF_LINGER_SECONDS, .linger_s = 3, .keep_idle = 60, .keep_interval = 5, .user_timeout_ms = 9
        };
        char setting[128];
        struct parsed r;
        snprintf(setting, sizeof setting, "AFTERFIN_RULES=%s", rows[i]);
        PARSE(&r, setting);
        cr_assert(r.ok, "%s", r.error.text);
        cr_expect(memcmp(&r.p.rules[0].values, &want, sizeof want) == 0, "%s", rows[i]);
        cr_expect(r.p.rules[0].named == (AF_BIT(LINGER) | AF_BIT(KEEPALIVE) | AF_BIT(USER_TIMEOUT)), "%s", rows[i]);
    }
}

Test(policy_rules, each_form_of_target_is_understood) {
    static const struct {
        const char *text, *ip; /* NULL: any */
        unsigned prefix;
        uint16_t low, high;
    } rows[] = {
        { "*", NULL, 0, 0, 65535 },
        { "*:80", NULL, 0, 80, 80 },
        { "*:80-90", NULL, 0, 80, 90 },
        { ":80", NULL, 0, 80, 80 },
        { ":1-65535", NULL, 0, 1, 65535 },
        { "10.0.0.1", "10.0.0.1", 32, 0, 65535 },
        { "10.0.0.1:443", "10.0.0.1", 32, 443, 443 },
        { "10.0.0.0/8", "10.0.0.0", 8, 0, 65535 },
        { "10.0.0.0/8:5432", "10.0.0.0", 8, 5432, 5432 },
        { "0.0.0.0/0:1-2", "0.0.0.0", 0, 1, 2 },
        { "0.0.0.0", "0.0.0.0", 32, 0, 65535 },
        { "255.255.255.255/32", "255.255.255.255", 32, 0, 65535 },
        { "10.128.0.0/9", "10.128.0.0", 9, 0, 65535 },
        { "::", "::", 128, 0, 65535 },
        { "::/0", "::", 0, 0, 65535 },
        { "::1", "::1", 128, 0, 65535 },
        { "::80", "::80", 128, 0, 65535 },
        { "2001:DB8::/32", "2001:db8::", 32, 0, 65535 },
        { "[::]:80", "::", 128, 80, 80 },
        { "[::/0]:80-81", "::", 0, 80, 81 },
        { "[2001:db8:8000::/33]:443", "2001:db8:8000::", 33, 443, 443 },
        { "::ffff:10.0.0.0/104", "10.0.0.0", 8, 0, 65535 },
        { "[::ffff:10.0.0.0/104]:80", "10.0.0.0", 8, 80, 80 },
        { "::ffff:10.1.2.3", "10.1.2.3", 32, 0, 65535 },
        { "::ffff:0:0/96", "0.0.0.0", 0, 0, 65535 },
        { "::ffff:a01:203", "10.1.2.3", 32, 0, 65535 },
        { "::10.1.2.3", "::a01:203", 128, 0, 65535 },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 128, 0, 65535 },
        { "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304", 128, 0, 65535 },
        { "1:2:3:4:5::1.2.3.4", "1:2:3:4:5:0:102:304", 128, 0, 65535 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_rule rule;
        const char *why = "?";
        size_t at = 0;
        cr_assert(af_target_parse(rows[i].text, strlen(rows[i].text), &rule, &why, &at), "%s: %s", rows[i].text, why);
        cr_expect(rule.port_low == rows[i].low && rule.port_high == rows[i].high, "%s: ports", rows[i].text);
        cr_expect(rule.any == !rows[i].ip && rule.named == 0, "%s: any", rows[i].text);
        if (!rows[i].ip)
            continue;
        struct af_addr want = addr_of(rows[i].ip, 0);
        cr_expect(rule.v6 == want.v6 && rule.prefix == rows[i].prefix, "%s: family and prefix", rows[i].text);
        cr_expect(memcmp(rule.ip, want.ip, 16) == 0, "%s: address", rows[i].text);
    }
}

Test(policy_rules, each_wrong_target_says_where_and_what) {
#define NAMES "names are not looked up; expected an address, * or :PORTS"
#define V4 "not an IPv4 address; expected four numbers, A.B.C.D"
#define V6 "not an IPv6 address; expected groups of hexadecimal digits and one :: at most"
#define BRACKETS "ports are missing after ]; expected [V6[/N]]:PORTS, or V6[/N] without brackets"
#define PORT "not a port; expected P or P-Q"
#define NO_PORT "a port is missing; expected P or P-Q"
#define PORT_RANGE "port out of range; expected 1 to 65535"
#define SCOPE "scope ids are not matched; expected an address without %"
#define ZERO "a leading zero in an IPv4 address could be octal or decimal; expected none"
#define ADDRESS "an address is missing; expected V4 or V6"
    static const struct {
        const char *text, *why;
        size_t at;
    } rows[] = {
        { "", "a TARGET is missing; expected an address, * or :PORTS", 0 },
        { "localhost", NAMES, 0 },
        { "localhost:80", NAMES, 0 },
        { "db1.example.com", NAMES, 0 },
        { "10.0.0.x/8", NAMES, 0 },
        { "any", NAMES, 0 },
        { "-", NAMES, 0 },
        { "10", V4, 0 },
        { "10.0.0", V4, 0 },
        { "10.0.0/8", V4, 0 },
        { "10.0.0.0.0", V4, 0 },
        { "10..0.0", V4, 0 },
        { "10.0.0.", V4, 0 },
        { ".10.0.0.1", V4, 0 },
        { "10.0.0.256", "a number of an IPv4 address is out of range; expected 0 to 255", 0 },
        { "10.0.0.01", ZERO, 0 },
        { "010.0.0.1:80", ZERO, 0 },
        { "10.0.0.00", ZERO, 0 },
        { "/8", ADDRESS, 0 },
        { "[]:80", ADDRESS, 0 },
        { "[/64]:80", ADDRESS, 1 },
        { "10.0.0.0/", "a prefix length is missing; expected a number of bits after /", 0 },
        { "10.0.0.0/x", "not a prefix length; expected a number of bits", 9 },
        { "10.0.0.0/-1", "not a prefix length; expected a number of bits", 9 },
        { "10.0.0.0/255.0.0.0", "not a prefix length; expected a number of bits", 9 },
        { "10.0.0.0/33", "prefix length out of range; expected 0 to 32", 9 },
        { "10.0.0.0/4294967304", "prefix length out of range; expected 0 to 32", 9 },
        { "::/129", "prefix length out of range; expected 0 to 128", 3 },
        { "10.1.2.3/8", "host bits are set", 0 },
        { "10.0.0.1/31", "host bits are set", 0 },
        { "0.0.0.1/0", "host bits are set", 0 },
        { "2001:db8::1/64", "host bits are set", 0 },
        { "[2001:db8::1/127]:80", "host bits are set", 1 },
        { "::ffff:10.1.0.0/104", "host bits are set", 0 },
        { "::ffff:0:0/95", "host bits are set", 0 },
        { "fe80::1%eth0", SCOPE, 0 },
        { "fe80::%1/64", SCOPE, 0 },
        { "[fe80::1%eth0]:80", SCOPE, 1 },
        { "10.0.0.1%lo", SCOPE, 0 },
        { ":::", V6, 0 },
        { "1::2::3", V6, 0 },
        { "1:2:3:4:5:6:7", V6, 0 },
        { "1:2:3:4:5:6:7:8:9", V6, 0 },
        { "::12345", V6, 0 },
        { "::g", V6, 0 },
        { "::1.2.3", V6, 0 },
        { "::01.2.3.4", V6, 0 },
        { "1:2:3:4:5:6:7:8::", V6, 0 },
        { "1:2:3:4:5:6:7::8", V6, 0 },
        { "1:2:3:4:5:6:7:", V6, 0 },
        { "[:1]:80", V6, 1 },
        { "[1:2:3]:80", V6, 1 },
        { "[10.0.0.1]:80", V6, 1 },
        { "[::1", "a ] is missing; expected [V6[/N]]:PORTS", 0 },
        { "[::1]", BRACKETS, 0 },
        { "[::1]80", BRACKETS, 0 },
        { "[2001:db8::]/32:80", BRACKETS, 0 },
        { "[::1]:", NO_PORT, 5 },
        { "*:", NO_PORT, 1 },
        { ":", NO_PORT, 0 },
        { "10.0.0.1:", NO_PORT, 8 },
        { ":80-", NO_PORT, 0 },
        { ":-80", NO_PORT, 0 },
        { ":http", PORT, 1 },
        { "*:80,81", PORT, 2 },
        { "10.0.0.1:80:81", PORT, 9 },
        { ":80-90-99", PORT, 4 },
        { ":0", PORT_RANGE, 1 },
        { ":0-80", PORT_RANGE, 1 },
        { ":80-65536", PORT_RANGE, 4 },
        { ":99999999999999999999", PORT_RANGE, 1 },
        { ":90-80", "the port range is reversed; expected P-Q with P the smaller", 1 },
        { "**", "not a TARGET; expected *, *:PORTS or an address", 0 },
        { "*/0", "not a TARGET; expected *, *:PORTS or an address", 0 },
        { "*.example.com", "not a TARGET; expected *, *:PORTS or an address", 0 },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_rule rule;
        const char *why = NULL;
        size_t at = 99;
        cr_expect(!af_target_parse(rows[i].text, strlen(rows[i].text), &rule, &why, &at), "%s", rows[i].text);
        cr_expect(why && strcmp(why, rows[i].why) == 0, "%s: %s", rows[i].text, why);
        cr_expect(at == rows[i].at, "%s: at %zu", rows[i].text, at);
    }
}

Test(policy_rules, host_bits_that_are_set_come_with_the_network_that_was_meant) {
    static const struct {
        const char *target, *net;
    } rows[] = {
        { "10.1.2.3/8", "10.0.0.0/8" },
        { "10.1.2.3/31:80", "10.1.2.2/31" },
        { "255.255.255.255/0", "0.0.0.0/0" },
        { "128.0.0.0/0", "0.0.0.0/0" },
        { "8000::/0", "::/0" },
        { "192.168.1.130/25", "192.168.1.128/25" },
        { "2001:db8::1/64", "2001:db8::/64" },
        { "2001:db8:ffff::/33", "2001:db8:8000::/33" },
        { "::1/0", "::/0" },
        { "[fe80::1/10]:80", "fe80::/10" },
        { "::ffff:10.1.0.0/104", "::ffff:10.0.0.0/104" },
        { "::ffff:0:0/80", "::/80" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char setting[128], want[128];
        struct parsed r;
        snprintf(setting, sizeof setting, "AFTERFIN_RULES=connect %s linger=ack", rows[i].target);
        snprintf(want, sizeof want, "host bits are set; expected %s", rows[i].net);
        PARSE(&r, setting);
        cr_assert(!r.ok, "%s", setting);
        const char *says = strstr(r.error.text, "host");
        cr_expect(says && strcmp(says, want) == 0, "%s: %s", setting, r.error.text);
    }
}

Test(policy_rules, a_target_matches_what_it_names) {
    static const struct {
        const char *target, *ip;
        uint16_t port;
        bool matches;
    } rows[] = {
        { "*", "10.0.0.1", 80, true },
        { "*", "::1", 0, true },
        { "*:80", "::1", 80, true },
        { "*:80", "::1", 81, false },
        { ":80-90", "1.2.3.4", 80, true },
        { ":80-90", "1.2.3.4", 90, true },
        { ":80-90", "1.2.3.4", 79, false },
        { ":80-90", "1.2.3.4", 91, false },
        { "10.0.0.0/8", "10.255.255.255", 1, true },
        { "10.0.0.0/8", "11.0.0.0", 1, false },
        { "10.0.0.0/8", "::ffff:10.1.2.3", 1, true },
        { "10.0.0.0/8", "::10.1.2.3", 1, false },
        { "::ffff:10.0.0.0/104", "10.1.2.3", 1, true },
        { "::ffff:0:0/96", "10.1.2.3", 1, true },
        { "::ffff:0:0/96", "::1", 1, false },
        { "0.0.0.0/0", "::", 1, false },
        { "::/0", "10.0.0.1", 1, false },
        { "::/0", "::ffff:10.0.0.1", 1, false },
        { "0.0.0.0:80", "::", 80, false }, /* a socket bound to [::]:80 */
        { "0.0.0.0:80", "0.0.0.0", 80, true },
        { "[::]:80", "::", 80, true },
        { "[::]:80", "0.0.0.0", 80, false },
        { "10.0.0.1", "10.0.0.1", 0, true },
        { "10.0.0.1", "10.0.0.2", 0, false },
        { "2001:db8::/33", "2001:db8:7fff::1", 0, true },
        { "2001:db8::/33", "2001:db8:8000::1", 0, false },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_addr addr = addr_of(rows[i].ip, rows[i].port);
        struct af_rule rule;
        const char *why;
        size_t at;
        cr_assert(af_target_parse(rows[i].target, strlen(rows[i].target), &rule, &why, &at), "%s", rows[i].target);
        cr_expect(af_target_matches(&rule, &addr) == rows[i].matches, "%s on %s %d", rows[i].target, rows[i].ip,
                  rows[i].port);
    }
}

/* The truth here is arithmetic on whole numbers, and text goes through libc only. */
Test(policy_rules, matching_agrees_with_masks_on_random_networks) {
    typedef unsigned __int128 wide;
    unsigned matched = 0;
    srandom(1);
    for (int round = 0; round < 200000; round++) {
        int bits = round % 2 ? 32 : 128, prefix = (int)(random() % (bits + 1));
        wide mask = prefix ? ~(wide)0 << (bits - prefix) : 0, net = 0, peer;
        for (int i = 0; i < 8; i++)
            net = net << 16 | (wide)(random() & 0xffff);
        net &= mask & (~(wide)0 >> (128 - bits));
        peer = net;
        for (int flips = (int)(random() % 4); flips > 0; flips--)
            peer ^= (wide)1 << random() % bits;

        uint8_t bytes[2][16];
        char text[2][INET6_ADDRSTRLEN], target[64];
        for (int i = 0; i < bits / 8; i++) {
            bytes[0][i] = (uint8_t)(net >> (bits - 8 - 8 * i));
            bytes[1][i] = (uint8_t)(peer >> (bits - 8 - 8 * i));
        }
        int family = bits == 32 ? AF_INET : AF_INET6;
        inet_ntop(family, bytes[0], text[0], sizeof text[0]);
        inet_ntop(family, bytes[1], text[1], sizeof text[1]);
        snprintf(target, sizeof target, "%s/%d", text[0], prefix);
        struct af_addr addr = addr_of(text[1], 7);
        struct af_rule rule;
        const char *why = "";
        size_t at;
        if (family == AF_INET6 && (peer >> 32 == 0xffff || (net >> 32 == 0xffff && prefix >= 96)))
            continue; /* v4-mapped: rows above */
        cr_assert(af_target_parse(target, strlen(target), &rule, &why, &at), "%s: %s", target, why);
        cr_assert(af_target_matches(&rule, &addr) == ((peer & mask) == net), "%s on %s", target, text[1]);
        matched += (peer & mask) == net;
    }
    cr_assert(matched > 50000 && matched < 150000, "%u matched: both answers were asked for", matched);
}
