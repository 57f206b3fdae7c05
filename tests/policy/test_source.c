/* source: which addresses a value has, of which family, and in which order they are numbered. */
#include "tests/policy/parsed.h"

/* "10.0.0.1 10.0.0.2" of one family, as picked one by one. */
static const char *all_of(const struct af_policy *p, const struct af_values *v, bool v6) {
    static char text[1024];
    text[0] = '\0';
    for (uint32_t i = 0; i < af_policy_count_sources(p, v, v6) && strlen(text) < 900; i++) {
        char one[AF_ADDR_TEXT];
        struct af_addr addr;
        af_policy_source(p, v, v6, i, &addr);
        cr_expect(addr.v6 == v6 && addr.port == 0);
        const size_t n = af_addr_text(&addr, one) - 2; /* ":0" */
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? " " : "", (int)n, one);
    }
    return text;
}

Test(policy_source, ranges_and_single_addresses_are_numbered_in_the_order_of_the_text) {
    static const struct {
        const char *setting, *v4, *v6;
    } rows[] = {
        { "AFTERFIN_SOURCE=off", "", "" },
        { "AFTERFIN_SOURCE=10.0.0.7", "10.0.0.7", "" },
        { "AFTERFIN_SOURCE=10.0.0.7-10.0.0.7", "10.0.0.7", "" },
        { "AFTERFIN_SOURCE=10.0.0.254-10.0.1.1", "10.0.0.254 10.0.0.255 10.0.1.0 10.0.1.1", "" },
        { "AFTERFIN_SOURCE=10.255.255.255-11.0.0.1", "10.255.255.255 11.0.0.0 11.0.0.1", "" },
        { "AFTERFIN_SOURCE=255.255.255.254-255.255.255.255", "255.255.255.254 255.255.255.255", "" },
        { "AFTERFIN_SOURCE=10.0.0.9,10.0.0.1-10.0.0.2", "10.0.0.9 10.0.0.1 10.0.0.2", "" },
        { "AFTERFIN_SOURCE= 10.0.0.9 , 10.0.0.1 - 10.0.0.2 ", "10.0.0.9 10.0.0.1 10.0.0.2", "" },
        { "AFTERFIN_SOURCE=10.0.0.9+10.0.0.1", "10.0.0.9 10.0.0.1", "" },
        { "AFTERFIN_SOURCE=::ffff:10.0.0.9-::ffff:10.0.0.10", "10.0.0.9 10.0.0.10", "" },
        { "AFTERFIN_SOURCE=::ffff:10.0.0.9-10.0.0.10", "10.0.0.9 10.0.0.10", "" },
        { "AFTERFIN_SOURCE=2001:db8::fffe-2001:db8::1:1", "",
          "[2001:db8::fffe] [2001:db8::ffff] [2001:db8::1:0] [2001:db8::1:1]" },
        { "AFTERFIN_SOURCE=::ffff:ffff:ffff:ffff-::1:0:0:0:0", "", "[::ffff:ffff:ffff:ffff] [0:0:0:1::]" },
        { "AFTERFIN_SOURCE=::5,10.0.0.1,::9-::a,10.0.0.3", "10.0.0.1 10.0.0.3", "[::5] [::9] [::a]" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        if (strstr(rows[i].setting, "::1:0:0:0:0")) { /* beyond 64 bits there is no end to it */
            cr_expect(!r.ok, "%s", rows[i].setting);
            continue;
        }
        cr_assert(r.ok, "%s: %s", rows[i].setting, r.error.text);
        cr_expect_str_eq(all_of(&r.p, &r.p.values, false), rows[i].v4, "%s", rows[i].setting);
        cr_expect_str_eq(all_of(&r.p, &r.p.values, true), rows[i].v6, "%s", rows[i].setting);
    }
}

Test(policy_source, each_rule_has_its_own_and_off_has_none) {
    struct parsed r;
    struct af_values v;
    PARSE(&r, "AFTERFIN_SOURCE=10.9.9.9",
          "AFTERFIN_RULES=connect :1 source=10.0.0.1+10.0.0.2,linger=ack;connect :2 source=off;connect :3 source=::1");
    cr_assert(r.ok, "%s", r.error.text);
    static const char *const v4[] = { "10.0.0.1 10.0.0.2", "", "", "10.9.9.9" };
    static const char *const v6[] = { "", "", "[::1]", "" };
    for (uint16_t port = 1; port <= 4; port++) {
        struct af_addr addr = { .ip = { 10, 0, 0, 5 }, .port = port };
        af_policy_decide(&r.p, AF_ROLE_CONNECT, &addr, &v);
        cr_expect_str_eq(all_of(&r.p, &v, false), v4[port - 1], "port %u", port);
        cr_expect_str_eq(all_of(&r.p, &v, true), v6[port - 1], "port %u", port);
    }
}

Test(policy_source, too_little_room_is_an_error) {
    const char *const settings[] = { "AFTERFIN_SOURCE=10.0.0.1,10.0.0.2,10.0.0.3", NULL };
    _Alignas(8) unsigned char room[1024];
    struct af_policy p;
    struct af_error error;
    const size_t all = af_policy_room(settings, &(struct af_input){ NULL });
    cr_assert(all >= 3 * sizeof(struct af_source) && all < sizeof room);
    for (size_t size = 0; size <= all; size++) {
        memset(room, 0x5a, sizeof room);
        cr_expect(af_policy_parse(&p, settings, &(struct af_input){ .room = room, .size = size }, &error) ==
                      (size == all),
                  "%zu", size);
        for (size_t i = size; i < sizeof room; i++)
            cr_assert(room[i] == 0x5a, "%zu: %zu", size, i);
    }
}
