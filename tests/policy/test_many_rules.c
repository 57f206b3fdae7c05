/* Many rules, and rules from a file. */
#include "tests/policy/parsed.h"
#include "tests/policy/policy_invariants.h"

#include <stdlib.h>

static unsigned below(unsigned n) {
    return (unsigned)random() % n;
}

/* Addresses out of few, so that rules overlap; prefixes, ranges of ports, and keys of every kind. */
static size_t random_target(char *out) {
    const unsigned from = 1 + below(20), bits = below(33);
    const uint32_t ip = (10u << 24 | below(4) << 16 | below(4) << 8 | below(8)) & (bits ? ~0u << (32 - bits) : 0);
    const char *dots = ip || bits ? "" : "0.0.0.0";
    switch (below(6)) {
    case 0: return (size_t)sprintf(out, "*:%u-%u", from, from + below(10));
    case 1: return (size_t)sprintf(out, "*");
    case 2: return (size_t)sprintf(out, "[2001:db8:%x::/%u]:%u", below(4), 48 + below(3) * 8, from);
    case 3: return (size_t)sprintf(out, "2001:db8::%x", below(8));
    default:
        if (*dots)
            return (size_t)sprintf(out, "%s/0:%u", dots, from);
        return (size_t)sprintf(out, "%u.%u.%u.%u/%u:%u-%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, bits,
                               from, from + below(3));
    }
}

static size_t random_rule(char *out) {
    static const char *const roles[] = { "bind", "connect", "listen" };
    static const char *const items[AF_ROLES][6] = {
        { "reuseaddr=on", "reuseaddr=off", "bind_no_port=on", "reuseaddr=on,bind_no_port=on" },
        { "linger=ack", "keepalive=60:5", "port_range=5-6,linger=off", "source=10.0.0.1+::5,linger=3", "syn_retries=4",
          "port_search=cycle,user_timeout=5s" },
        { "linger=rst", "keepalive=7", "user_timeout=8ms", "linger=off,keepalive=off" },
    };
    const unsigned role = below(3);
    size_t n = (size_t)sprintf(out, "%s ", roles[role]);
    n += random_target(out + n);
    return n + (size_t)sprintf(out + n, " %s\n", items[role][below(role == 1 ? 6 : 4)]);
}

Test(policy_many_rules, a_decision_is_that_of_the_first_rule_that_matches) {
    static char text[128 << 10];
    srandom(7);
    for (int round = 0; round < 40; round++) {
        struct af_input in = { .file = text };
        struct af_policy p;
        struct af_error error = { "" };
        const char *const settings[] = { "AFTERFIN_RULES=/rules", "AFTERFIN_LINGER=9", NULL };
        for (unsigned n = round % 2 ? 1000 : 10; n > 0; n--)
            in.file_size += random_rule(text + in.file_size);
        in.size = af_policy_room(settings, &in);
        in.room = malloc(in.size);
        cr_assert(af_policy_parse(&p, settings, &in, &error), "%s", error.text);
        for (uint64_t seed = 1; seed <= 100; seed++) {
            const char *broken = policy_decisions_broken(&p, seed * 0x9e3779b97f4a7c15u);
            cr_assert(!broken, "round %d: %s", round, broken);
        }
        free(in.room);
    }
}

static bool parse_file(struct parsed *out, const char *file, size_t size, int error) {
    const char *const settings[] = { "AFTERFIN_RULES=/etc/afterfin.rules", "AFTERFIN_STRICT=on", NULL };
    struct af_input in = {
        .room = out->room, .size = sizeof out->room, .file = file, .file_size = size, .file_error = error
    };
    memset(out, 0xa5, sizeof *out);
    out->ok = af_policy_parse(&out->p, settings, &in, &out->error);
    return out->ok;
}

Test(policy_many_rules, a_file_has_lines_and_comments_and_means_what_the_variable_means) {
    static const char file[] = "# all of ours\n\nconnect 10.0.0.0/8 linger=ack # inside; and = here\n"
                               "\tbind :80 reuseaddr=on;listen * keepalive=60#\n#\n   # end";
    struct parsed r;
    cr_assert(parse_file(&r, file, sizeof file - 1, 0), "%s", r.error.text);
    cr_expect(r.p.n_rules == 3 && r.p.rules[0].values.linger == AF_LINGER_ACK && r.p.rules[1].role == AF_ROLE_BIND &&
              r.p.rules[2].values.keep_idle == 60);
    cr_expect_str_eq(r.p.rules_text, "/etc/afterfin.rules");
    cr_expect(parse_file(&r, "", 0, 0) && r.p.n_rules == 0);
    cr_expect(parse_file(&r, "connect * linger=ack", 20, 0) && r.p.n_rules == 1); /* no newline, no NUL */
    PARSE(&r, "AFTERFIN_RULES=connect * linger=ack # no comment");
    cr_expect(!r.ok);
}

Test(policy_many_rules, what_is_wrong_with_a_file_is_told_with_its_line) {
#define FILE_IS "AFTERFIN_RULES=\"/etc/afterfin.rules\""
    static const struct {
        const char *file;
        size_t size; /* 0: of the text */
        int error;
        const char *line;
    } rows[] = {
        { "connect * lingr=ack\n", 0, 0,
          FILE_IS " line 1, at \"lingr\": unknown key; expected linger, source, syn_retries, port_range, port_search, "
                  "keepalive, user_timeout; did you mean linger?" },
        { "# one\n\nconnect * linger=ack\nconnect 10.1.2.3/8 linger=ack\n", 0, 0,
          FILE_IS " line 4, at \"10.1.2.3/8\": host bits are set; expected 10.0.0.0/8" },
        { "connect * linger=ack;\nconnect", 0, 0,
          FILE_IS " line 2, at \"connect\": the TARGET is missing; expected ROLE TARGET KEY=VALUE[,KEY=VALUE...]" },
        { "connect * linger=ack\r\n", 0, 0,
          FILE_IS " line 1, at \"linger=ack\\x0d\": expected off, ack, ack-always, rst, SECONDS" },
        { "\n\0", 2, 0, FILE_IS " line 2, at \"\\x00\": unknown role; expected bind, connect or listen" },
        { "connect * linger=ack\0", 21, 0,
          FILE_IS " line 1, at \"linger=ack\\x00\": expected off, ack, ack-always, rst, SECONDS" },
        { "connect * port_search=cycle\0\n", 29, 0,
          FILE_IS " line 1, at \"port_search=cycle\\x00\": expected kernel, cycle" },
        { "bind * reuseaddr=on\0\0", 21, 0, FILE_IS " line 1, at \"reuseaddr=on\\x00\\x00\": expected off, on" },
        { "bind\0 * reuseaddr=on", 21, 0,
          FILE_IS " line 1, at \"bind\\x00\": unknown role; expected bind, connect or listen" },
        { "bind * reuseaddr\0=on", 21, 0,
          FILE_IS
          " line 1, at \"reuseaddr\\x00\": unknown key; expected reuseaddr, bind_no_port; did you mean reuseaddr?" },
        { NULL, 0, ENOENT, FILE_IS ": there is no such file" },
        { NULL, 0, EACCES, FILE_IS ": the file may not be read" },
        { NULL, 0, EISDIR, FILE_IS ": not a regular file" },
        { NULL, 0, EFBIG, FILE_IS ": larger than 1 MB" },
        { NULL, 0, EIO, FILE_IS ": the file cannot be read" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        const size_t size = rows[i].size || !rows[i].file ? rows[i].size : strlen(rows[i].file);
        cr_expect(!parse_file(&r, rows[i].file, size, rows[i].error), "row %zu", i);
        cr_expect_str_eq(r.error.text, rows[i].line, "row %zu: %s", i, r.error.text);
        cr_expect(r.p.strict && r.p.n_rules == 0);
    }
}
