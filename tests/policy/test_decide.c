/* Decisions: which setting decides for a socket, which socket options bring it about. */
#include "cli/options.h"
#include "tests/policy/parsed.h"

#include <netinet/tcp.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

enum { BIND = AF_ROLE_BIND, CONNECT = AF_ROLE_CONNECT, LISTEN = AF_ROLE_LISTEN };

static struct af_addr endpoint(const char *ip, uint16_t port) {
    struct af_addr addr = { .port = port };
    addr.v6 = inet_pton(AF_INET, ip, addr.ip) != 1;
    cr_assert(!addr.v6 || inet_pton(AF_INET6, ip, addr.ip) == 1, "%s", ip);
    return addr;
}

static bool same(const struct af_values *a, const struct af_values *b) {
    return memcmp(a, b, sizeof *a) == 0; /* it has no padding */
}

Test(policy_decide, the_first_matching_rule_that_names_a_key_beats_the_variable_and_that_the_default) {
    /* clang-format off */
    static const struct {
        const char *settings[5];
        int role;
        const char *ip;
        uint16_t port;
        struct af_values want;
    } rows[] = {
        /* defaults, and variables alone */
        {{NULL}, CONNECT, "10.0.0.1", 80, {0}},
        {{"AFTERFIN_LINGER=ack"}, CONNECT, "10.0.0.1", 80, {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_LINGER=7"}, LISTEN, "::", 80, {.linger = AF_LINGER_SECONDS, .linger_s = 7}},
        /* a rule before the variable, where it matches */
        {{"AFTERFIN_LINGER=ack", "AFTERFIN_RULES=connect 10.0.0.0/8 linger=rst"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_RST}},
        {{"AFTERFIN_LINGER=ack", "AFTERFIN_RULES=connect 10.0.0.0/8 linger=rst"}, CONNECT, "11.0.0.1", 80,
         {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_LINGER=ack", "AFTERFIN_RULES=listen * linger=rst"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_LINGER=9", "AFTERFIN_RULES=connect * linger=ack"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_KEEPALIVE=9:9:9", "AFTERFIN_RULES=connect * keepalive=60"}, CONNECT, "::1", 80, {.keep_idle = 60}},
        /* the first of several */
        {{"AFTERFIN_RULES=connect :80 linger=rst; connect * linger=ack"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_RST}},
        {{"AFTERFIN_RULES=connect :81 linger=rst; connect * linger=ack"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_RULES=connect * linger=ack; connect :80 linger=rst"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_ACK}},
        /* key by key: the first rule decides linger, the second keepalive, the variable user_timeout */
        {{"AFTERFIN_RULES=connect :80 linger=ack\nconnect * linger=rst,keepalive=60", "AFTERFIN_USER_TIMEOUT=1s",
          "AFTERFIN_KEEPALIVE=5"}, CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_ACK, .keep_idle = 60, .user_timeout_ms = 1000}},
        /* off is a decision and ends the search */
        {{"AFTERFIN_LINGER=ack", "AFTERFIN_RULES=connect 127.0.0.0/8 linger=off; connect * linger=rst"}, CONNECT,
         "127.0.0.1", 80, {0}},
        {{"AFTERFIN_PORT_SEARCH=cycle", "AFTERFIN_RULES=connect * port_search=kernel"}, CONNECT, "::1", 80, {0}},
        {{"AFTERFIN_PORT_RANGE=5-6", "AFTERFIN_RULES=connect * port_range=off"}, CONNECT, "::1", 80, {0}},
        {{"AFTERFIN_KEEPALIVE=5", "AFTERFIN_RULES=connect * keepalive=off"}, CONNECT, "::1", 80, {0}},
        {{"AFTERFIN_USER_TIMEOUT=5s", "AFTERFIN_RULES=connect * user_timeout=off"}, CONNECT, "::1", 80, {0}},
        {{"AFTERFIN_SYN_RETRIES=5", "AFTERFIN_RULES=connect * syn_retries=off"}, CONNECT, "::1", 80, {0}},
        {{"AFTERFIN_SYN_RETRIES=5", "AFTERFIN_RULES=connect :81 syn_retries=2"}, CONNECT, "::1", 80,
         {.syn_retries = 5}},
        {{"AFTERFIN_SYN_RETRIES=5", "AFTERFIN_RULES=connect :80 syn_retries=2"}, CONNECT, "::1", 80,
         {.syn_retries = 2}},
        {{"AFTERFIN_SYN_RETRIES=5"}, LISTEN, "::1", 80, {0}},
        {{"AFTERFIN_REUSEADDR=on", "AFTERFIN_RULES=bind :80 reuseaddr=off"}, BIND, "::1", 80, {0}},
        {{"AFTERFIN_BIND_NO_PORT=on", "AFTERFIN_RULES=bind 10.0.0.1 bind_no_port=off"}, BIND, "10.0.0.1", 0, {0}},
        {{"AFTERFIN_BIND_NO_PORT=on", "AFTERFIN_RULES=bind 10.0.0.1 bind_no_port=off"}, BIND, "10.0.0.2", 0,
         {.bind_no_port = true}},
        /* families */
        {{"AFTERFIN_RULES=listen 0.0.0.0:80 linger=ack"}, LISTEN, "::", 80, {0}},
        {{"AFTERFIN_RULES=listen 0.0.0.0:80 linger=ack"}, LISTEN, "0.0.0.0", 80, {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_RULES=listen *:80 linger=ack"}, LISTEN, "::", 80, {.linger = AF_LINGER_ACK}},
        {{"AFTERFIN_RULES=listen *:80 linger=ack"}, LISTEN, "0.0.0.0", 80, {.linger = AF_LINGER_ACK}},
        /* every key of a role at once, and none of another's */
        {{"AFTERFIN_REUSEADDR=on", "AFTERFIN_BIND_NO_PORT=on", "AFTERFIN_LINGER=ack", "AFTERFIN_PORT_SEARCH=cycle"},
         BIND, "10.0.0.1", 80, {.reuseaddr = true, .bind_no_port = true}},
        {{"AFTERFIN_REUSEADDR=on", "AFTERFIN_PORT_RANGE=3-4", "AFTERFIN_LINGER=3", "AFTERFIN_PORT_SEARCH=cycle"},
         CONNECT, "10.0.0.1", 80,
         {.linger = AF_LINGER_SECONDS, .linger_s = 3, .port_low = 3, .port_high = 4, .cycle = true}},
        {{"AFTERFIN_REUSEADDR=on", "AFTERFIN_PORT_RANGE=3-4", "AFTERFIN_LINGER=rst", "AFTERFIN_PORT_SEARCH=cycle"},
         LISTEN, "10.0.0.1", 80, {.linger = AF_LINGER_RST}},
        {{"AFTERFIN_KEEPALIVE=1:2:3", "AFTERFIN_USER_TIMEOUT=4ms"}, CONNECT, "::1", 80,
         {.keep_idle = 1, .keep_interval = 2, .keep_count = 3, .user_timeout_ms = 4}},
        {{"AFTERFIN_KEEPALIVE=1:2:3", "AFTERFIN_USER_TIMEOUT=4ms"}, LISTEN, "::1", 80,
         {.keep_idle = 1, .keep_interval = 2, .keep_count = 3, .user_timeout_ms = 4}},
        {{"AFTERFIN_KEEPALIVE=1:2:3", "AFTERFIN_USER_TIMEOUT=4ms"}, BIND, "::1", 80, {0}},
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_addr addr = endpoint(rows[i].ip, rows[i].port);
        struct af_values got;
        struct parsed r;
        parse_list(&r, rows[i].settings);
        cr_assert(r.ok, "row %zu: %s", i, r.error.text);
        memset(&got, 0xff, sizeof got);
        af_policy_decide(&r.p, (enum af_role)rows[i].role, &addr, &got);
        cr_expect(same(&got, &rows[i].want), "row %zu: %s, %s: linger %d, idle %d", i, rows[i].settings[0], rows[i].ip,
                  got.linger, got.keep_idle);
    }
}

Test(policy_decide, a_setting_that_is_its_default_does_not_act) {
    /* clang-format off */
    static const struct {
        const char *setting;
        bool acts;
    } rows[] = {
        {"AFTERFIN_LINGER=off", false},
        {"AFTERFIN_LINGER=ack", true},
        {"AFTERFIN_LINGER=ack-always", true},
        {"AFTERFIN_REUSEADDR=on", true},
        {"AFTERFIN_BIND_NO_PORT=on", true},
        {"AFTERFIN_SOURCE=10.0.0.1", true},
        {"AFTERFIN_SOURCE=off", false},
        {"AFTERFIN_SYN_RETRIES=1", true},
        {"AFTERFIN_PORT_RANGE=1-2", true},
        {"AFTERFIN_PORT_SEARCH=cycle", true},
        {"AFTERFIN_PORT_SEARCH=kernel", false},
        {"AFTERFIN_KEEPALIVE=1", true},
        {"AFTERFIN_USER_TIMEOUT=1ms", true},
        {"AFTERFIN_OVERRIDE=on", false},
        {"AFTERFIN_LOG=stderr", false},
        {"AFTERFIN_LEDGER=on", false},
        {"AFTERFIN_SKIP=x", false},
        {"AFTERFIN_RULES=connect * linger=off", false},
        {"AFTERFIN_RULES=connect * linger=off; connect * linger=ack", true},
        {"AFTERFIN_RULES=listen 1.2.3.4:5 keepalive=1", true},
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        cr_assert(r.ok, "%s", r.error.text);
        cr_expect(af_policy_acts(&r.p) == rows[i].acts, "%s", rows[i].setting);
    }
}

Test(policy_decide, only_and_skip_choose_programs_and_skip_wins) {
    /* clang-format off */
    static const struct {
        const char *settings[3], *program;
        bool touched;
    } rows[] = {
        {{NULL}, "curl", true},
        {{"AFTERFIN_ONLY=curl"}, "curl", true},
        {{"AFTERFIN_ONLY=curl"}, "curl2", false},
        {{"AFTERFIN_ONLY=curl"}, "cur", false},
        {{"AFTERFIN_ONLY=curl"}, "", false},
        {{"AFTERFIN_ONLY=curl"}, "CURL", false},
        {{"AFTERFIN_ONLY=sh , curl\t,wrk"}, "curl", true},
        {{"AFTERFIN_ONLY=sh , curl\t,wrk"}, "wrk", true},
        {{"AFTERFIN_ONLY=sh , curl\t,wrk"}, "ab", false},
        {{"AFTERFIN_ONLY=two words"}, "two words", true},
        {{"AFTERFIN_ONLY=two words"}, "two", false},
        {{"AFTERFIN_SKIP=curl"}, "curl", false},
        {{"AFTERFIN_SKIP=curl"}, "wrk", true},
        {{"AFTERFIN_SKIP=sh,curl"}, "curl", false},
        {{"AFTERFIN_ONLY=curl,wrk", "AFTERFIN_SKIP=curl"}, "curl", false},
        {{"AFTERFIN_ONLY=curl,wrk", "AFTERFIN_SKIP=curl"}, "wrk", true},
        {{"AFTERFIN_ONLY=curl,wrk", "AFTERFIN_SKIP=curl"}, "ab", false},
        {{"AFTERFIN_ONLY=", "AFTERFIN_SKIP="}, "ab", true},
    };
    /* clang-format on */
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        parse_list(&r, rows[i].settings);
        cr_assert(r.ok, "row %zu: %s", i, r.error.text);
        cr_expect(af_policy_touches(&r.p, rows[i].program) == rows[i].touched, "row %zu: %s", i, rows[i].program);
    }
}

static const struct {
    int level, name;
    const char *text;
    enum af_key key;
} names[] = {
    { SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", AF_KEY_REUSEADDR },
    { SOL_SOCKET, SO_LINGER, "SO_LINGER", AF_KEY_LINGER },
    { SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", AF_KEY_KEEPALIVE },
    { IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", AF_KEY_LINGER },
    { IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", AF_KEY_KEEPALIVE },
    { IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", AF_KEY_KEEPALIVE },
    { IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", AF_KEY_KEEPALIVE },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", AF_KEY_USER_TIMEOUT },
    { IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", AF_KEY_SYN_RETRIES },
    { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", AF_KEY_BIND_NO_PORT },
    { IPPROTO_IP, IP_LOCAL_PORT_RANGE, "IP_LOCAL_PORT_RANGE", AF_KEY_PORT_RANGE },
    { SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE", AF_KEY_SOURCE },
    { SOL_SOCKET, 62, "SO_BINDTOIFINDEX", AF_KEY_SOURCE },
    { IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", AF_KEY_SOURCE },
    { IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", AF_KEY_SOURCE },
    { IPPROTO_IPV6, 78, "IPV6_FREEBIND", AF_KEY_SOURCE },
    { IPPROTO_IPV6, 75, "IPV6_TRANSPARENT", AF_KEY_SOURCE },
    { SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", AF_KEYS },
    { SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", AF_KEYS },
    { IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", AF_KEYS },
    { IPPROTO_IP, IP_TTL, "IP_TTL", AF_KEYS },
    { IPPROTO_IPV6, IP_BIND_ADDRESS_NO_PORT, "24 of IPv6", AF_KEYS },
    { IPPROTO_UDP, TCP_LINGER2, "8 of UDP", AF_KEYS },
};

Test(policy_decide, each_socket_option_belongs_to_the_key_that_sets_it) {
    for (size_t i = 0; i < ROWS(names); i++)
        cr_expect(af_policy_key_of(names[i].level, names[i].name) == names[i].key, "%s", names[i].text);
}

/* "SO_LINGER={0,0} TCP_LINGER2=-1" */
static const char *describe(const struct af_option *options, unsigned n) {
    static char text[512];
    text[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        const struct af_option *o = &options[i];
        const char *name = "?";
        size_t used = strlen(text);
        for (size_t j = 0; j < ROWS(names); j++)
            if (names[j].level == o->level && names[j].name == o->name)
                name = names[j].text;
        if (o->size == sizeof(struct linger))
            snprintf(text + used, sizeof text - used, "%s%s={%d,%d}", i ? " " : "", name, o->value.linger.l_onoff,
                     o->value.linger.l_linger);
        else
            snprintf(text + used, sizeof text - used, "%s%s=%d", i ? " " : "", name, o->value.number);
        cr_expect(o->size == (strcmp(name, "SO_LINGER") == 0 ? sizeof(struct linger) : sizeof(int)), "%s", name);
    }
    return text;
}

#define OWN(key) AF_BIT(key)

static const struct {
    struct af_values values;
    int role;
    uint16_t port;
    uint32_t own;
    bool override;
    const char *want;
} option_rows[] = {
    { { 0 }, BIND, 80, 0, true, "" },
    { { 0 }, CONNECT, 80, ~0u, true, "" },
    { { .reuseaddr = true }, BIND, 80, 0, false, "SO_REUSEADDR=1" },
    { { .reuseaddr = true }, BIND, 0, 0, false, "" },
    { { .reuseaddr = true }, BIND, 80, OWN(REUSEADDR), false, "" },
    { { .reuseaddr = true }, BIND, 80, OWN(REUSEADDR), true, "SO_REUSEADDR=1" },
    { { .reuseaddr = true }, BIND, 80, OWN(LINGER) | OWN(BIND_NO_PORT), false, "SO_REUSEADDR=1" },
    { { .bind_no_port = true }, BIND, 0, 0, false, "IP_BIND_ADDRESS_NO_PORT=1" },
    { { .bind_no_port = true }, BIND, 80, 0, false, "" },
    { { .bind_no_port = true }, BIND, 0, OWN(BIND_NO_PORT), false, "" },
    { { .bind_no_port = true }, BIND, 0, OWN(BIND_NO_PORT), true, "IP_BIND_ADDRESS_NO_PORT=1" },
    { { .reuseaddr = true, .bind_no_port = true }, BIND, 0, 0, false, "IP_BIND_ADDRESS_NO_PORT=1" },
    { { .reuseaddr = true, .bind_no_port = true }, BIND, 1, 0, false, "SO_REUSEADDR=1" },
    { { .linger = AF_LINGER_ACK }, BIND, 0, 0, false, "" },
    { { .linger = AF_LINGER_ACK }, CONNECT, 80, 0, false, "TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_ACK }, LISTEN, 80, 0, false, "TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_ACK }, CONNECT, 80, 0, true, "TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_ACK }, CONNECT, 80, OWN(LINGER), false, "" },
    { { .linger = AF_LINGER_ACK }, CONNECT, 80, OWN(LINGER), true, "SO_LINGER={0,0} TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_ACK_ALWAYS }, CONNECT, 80, 0, false, "TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_ACK_ALWAYS }, LISTEN, 80, OWN(LINGER), true, "SO_LINGER={0,0} TCP_LINGER2=-1" },
    { { .linger = AF_LINGER_RST }, CONNECT, 80, 0, false, "" },
    { { .linger = AF_LINGER_RST }, LISTEN, 80, OWN(LINGER), true, "" },
    { { .linger = AF_LINGER_SECONDS, .linger_s = 65535 }, CONNECT, 80, 0, false, "SO_LINGER={1,65535}" },
    { { .linger = AF_LINGER_SECONDS, .linger_s = 5 }, LISTEN, 80, 0, true, "SO_LINGER={1,5}" },
    { { .linger = AF_LINGER_SECONDS, .linger_s = 5 }, CONNECT, 80, OWN(LINGER), false, "" },
    { { .linger = AF_LINGER_SECONDS, .linger_s = 5 }, CONNECT, 80, OWN(LINGER), true, "TCP_LINGER2=0 SO_LINGER={1,5}" },
    { { .keep_idle = 60 }, CONNECT, 80, 0, false, "SO_KEEPALIVE=1 TCP_KEEPIDLE=60" },
    { { .keep_idle = 60, .keep_interval = 5 }, LISTEN, 80, 0, false, "SO_KEEPALIVE=1 TCP_KEEPIDLE=60 TCP_KEEPINTVL=5" },
    { { .keep_idle = 1, .keep_interval = 2, .keep_count = 3 },
      CONNECT,
      80,
      0,
      false,
      "SO_KEEPALIVE=1 TCP_KEEPIDLE=1 TCP_KEEPINTVL=2 TCP_KEEPCNT=3" },
    { { .keep_idle = 60 }, CONNECT, 80, OWN(KEEPALIVE), false, "" },
    { { .keep_idle = 60 }, CONNECT, 80, OWN(KEEPALIVE), true, "SO_KEEPALIVE=1 TCP_KEEPIDLE=60" },
    { { .user_timeout_ms = 1500 }, CONNECT, 80, 0, false, "TCP_USER_TIMEOUT=1500" },
    { { .user_timeout_ms = 2147483647 }, LISTEN, 80, 0, false, "TCP_USER_TIMEOUT=2147483647" },
    { { .user_timeout_ms = 1500 }, CONNECT, 80, OWN(USER_TIMEOUT), false, "" },
    { { .user_timeout_ms = 1500 }, CONNECT, 80, OWN(USER_TIMEOUT), true, "TCP_USER_TIMEOUT=1500" },
    { { .syn_retries = 127 }, CONNECT, 80, 0, false, "TCP_SYNCNT=127" },
    { { .syn_retries = 3 }, LISTEN, 80, 0, false, "" },
    { { .syn_retries = 3 }, CONNECT, 80, OWN(SYN_RETRIES), false, "" },
    { { .syn_retries = 3 }, CONNECT, 80, OWN(SYN_RETRIES), true, "TCP_SYNCNT=3" },
    { { .port_low = 1000, .port_high = 2000 }, CONNECT, 80, 0, false, "IP_LOCAL_PORT_RANGE=131073000" },
    { { .port_low = 1, .port_high = 65535 }, CONNECT, 80, 0, false, "IP_LOCAL_PORT_RANGE=-65535" },
    { { .port_low = 1000, .port_high = 2000 }, LISTEN, 80, 0, false, "" },
    { { .port_low = 1000, .port_high = 2000, .cycle = true }, CONNECT, 80, 0, false, "" },
    { { .port_low = 1000, .port_high = 2000 }, CONNECT, 80, OWN(PORT_RANGE), false, "" },
    { { .port_low = 1000, .port_high = 2000 }, CONNECT, 80, OWN(PORT_RANGE), true, "IP_LOCAL_PORT_RANGE=131073000" },
    { { .linger = AF_LINGER_ACK,
        .keep_idle = 1,
        .keep_interval = 2,
        .keep_count = 3,
        .user_timeout_ms = 4,
        .syn_retries = 5,
        .port_low = 1,
        .port_high = 2 },
      CONNECT,
      80,
      OWN(LINGER),
      true,
      "SO_LINGER={0,0} TCP_LINGER2=-1 SO_KEEPALIVE=1 TCP_KEEPIDLE=1 TCP_KEEPINTVL=2 TCP_KEEPCNT=3 TCP_USER_TIMEOUT=4 "
      "TCP_SYNCNT=5 IP_LOCAL_PORT_RANGE=131073" },
};

Test(policy_decide, a_decision_becomes_these_socket_options_in_this_order) {
    for (size_t i = 0; i < ROWS(option_rows); i++) {
        struct af_option out[AF_OPTIONS_MAX];
        unsigned n = af_policy_options(&option_rows[i].values, (enum af_role)option_rows[i].role, option_rows[i].port,
                                       option_rows[i].own, option_rows[i].override, out);
        cr_assert(n <= AF_OPTIONS_MAX);
        cr_expect_str_eq(describe(out, n), option_rows[i].want, "row %zu: %s", i, describe(out, n));
    }
}

/* getsockopt is the judge: what was asked for is what the socket then has. */
Test(policy_decide, the_kernel_takes_every_option_on_both_families) {
    static const int families[] = { AF_INET, AF_INET6 };
    for (size_t f = 0; f < ROWS(families); f++)
        for (size_t i = 0; i < ROWS(option_rows); i++) {
            struct af_option out[AF_OPTIONS_MAX];
            unsigned n = af_policy_options(&option_rows[i].values, (enum af_role)option_rows[i].role,
                                           option_rows[i].port, option_rows[i].own, option_rows[i].override, out);
            int fd = socket(families[f], SOCK_STREAM, 0);
            cr_assert(fd >= 0, "family %d: %s", families[f], strerror(errno));
            for (unsigned o = 0; o < n; o++) {
                int rc = setsockopt(fd, out[o].level, out[o].name, &out[o].value, out[o].size), got = 0;
                socklen_t len = sizeof got;
                if (rc < 0 && errno == ENOPROTOOPT && out[o].name == IP_LOCAL_PORT_RANGE && out[o].level == IPPROTO_IP)
                    continue; /* before Linux 6.3 */
                cr_expect(rc == 0, "row %zu: %s: %s", i, describe(&out[o], 1), strerror(errno));
                if (out[o].size != sizeof got || out[o].value.number == 0)
                    continue; /* TCP_LINGER2 0 reads back as the system's default */
                cr_assert(getsockopt(fd, out[o].level, out[o].name, &got, &len) == 0);
                cr_expect(got == out[o].value.number, "row %zu: %s reads back as %d", i, describe(&out[o], 1), got);
            }
            close(fd);
        }
}
