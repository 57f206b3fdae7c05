/* Bad settings: each gives its one line. */
#include "tests/policy/parsed.h"

struct row {
    const char *setting, *text;
};

static void expect_lines(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        cr_expect(!r.ok, "%s is an error", rows[i].setting);
        if (!r.ok)
            cr_expect_str_eq(r.error.text, rows[i].text, "%s\n got: %s\nwant: %s", rows[i].setting, r.error.text,
                             rows[i].text);
    }
}

Test(policy_errors, a_bad_value_is_named_with_its_place_and_what_was_expected) {
    static const struct row rows[] = {
        { "AFTERFIN_REUSEADDR=maybe", "AFTERFIN_REUSEADDR=\"maybe\": expected off, on" },
        { "AFTERFIN_BIND_NO_PORT=ON", "AFTERFIN_BIND_NO_PORT=\"ON\": expected off, on" },
        { "AFTERFIN_OVERRIDE=2", "AFTERFIN_OVERRIDE=\"2\": expected off, on" },
        { "AFTERFIN_STRICT= on", "AFTERFIN_STRICT=\" on\": expected off, on" },
        { "AFTERFIN_LINGER=no", "AFTERFIN_LINGER=\"no\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=+1", "AFTERFIN_LINGER=\"+1\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=-1", "AFTERFIN_LINGER=\"-1\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=5s", "AFTERFIN_LINGER=\"5s\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=ack ", "AFTERFIN_LINGER=\"ack \": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=65536", "AFTERFIN_LINGER=\"65536\": seconds out of range; expected 1 to 65535" },
        { "AFTERFIN_LINGER=4294967297", "AFTERFIN_LINGER=\"4294967297\": seconds out of range; expected 1 to 65535" },
        { "AFTERFIN_LINGER=18446744073709551617",
          "AFTERFIN_LINGER=\"18446744073709551617\": seconds out of range; expected 1 to 65535" },
        { "AFTERFIN_LINGER=ack_always", "AFTERFIN_LINGER=\"ack_always\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_LINGER=on",
          "AFTERFIN_LINGER=\"on\": linger=on does not say how; expected ack, ack-always, rst or SECONDS" },
        { "AFTERFIN_LINGER=0", "AFTERFIN_LINGER=\"0\": no time at all aborts the connection: say rst for that; "
                               "expected off, ack, ack-always, rst or 1 to 65535" },
        { "AFTERFIN_PORT_RANGE=on", "AFTERFIN_PORT_RANGE=\"on\": expected off, LOW-HIGH" },
        { "AFTERFIN_PORT_RANGE=80", "AFTERFIN_PORT_RANGE=\"80\": expected off, LOW-HIGH" },
        { "AFTERFIN_PORT_RANGE=80-", "AFTERFIN_PORT_RANGE=\"80-\": expected off, LOW-HIGH" },
        { "AFTERFIN_PORT_RANGE=-80", "AFTERFIN_PORT_RANGE=\"-80\": expected off, LOW-HIGH" },
        { "AFTERFIN_PORT_RANGE=1-2-3",
          "AFTERFIN_PORT_RANGE=\"1-2-3\", at \"2-3\": not a port; expected off, LOW-HIGH" },
        { "AFTERFIN_PORT_RANGE=0-9", "AFTERFIN_PORT_RANGE=\"0-9\", at \"0\": port out of range; expected 1 to 65535" },
        { "AFTERFIN_PORT_RANGE=1-65536",
          "AFTERFIN_PORT_RANGE=\"1-65536\", at \"65536\": port out of range; expected 1 to 65535" },
        { "AFTERFIN_PORT_RANGE=9-3",
          "AFTERFIN_PORT_RANGE=\"9-3\": the range is reversed; expected LOW-HIGH with LOW the smaller" },
        { "AFTERFIN_PORT_SEARCH=off", "AFTERFIN_PORT_SEARCH=\"off\": expected kernel, cycle" },
        { "AFTERFIN_KEEPALIVE=on", "AFTERFIN_KEEPALIVE=\"on\": expected off, IDLE[:INTERVAL[:COUNT]]" },
        { "AFTERFIN_KEEPALIVE=60:", "AFTERFIN_KEEPALIVE=\"60:\": expected off, IDLE[:INTERVAL[:COUNT]]" },
        { "AFTERFIN_KEEPALIVE=1:2:3:4", "AFTERFIN_KEEPALIVE=\"1:2:3:4\": expected off, IDLE[:INTERVAL[:COUNT]]" },
        { "AFTERFIN_KEEPALIVE=0", "AFTERFIN_KEEPALIVE=\"0\": seconds out of range; expected 1 to 32767" },
        { "AFTERFIN_KEEPALIVE=9:32768",
          "AFTERFIN_KEEPALIVE=\"9:32768\", at \"32768\": seconds out of range; expected 1 to 32767" },
        { "AFTERFIN_KEEPALIVE=9:9:128",
          "AFTERFIN_KEEPALIVE=\"9:9:128\", at \"128\": count out of range; expected 1 to 127" },
        { "AFTERFIN_SOURCE=here", "AFTERFIN_SOURCE=\"here\": not an IPv4 address; expected four numbers, A.B.C.D" },
        { "AFTERFIN_SOURCE=10.0.0.1,",
          "AFTERFIN_SOURCE=\"10.0.0.1,\", at \"\": an address is missing; expected ADDR[-ADDR][,ADDR...]" },
        { "AFTERFIN_SOURCE=10.0.0.1-",
          "AFTERFIN_SOURCE=\"10.0.0.1-\": an address is missing; expected ADDR or ADDR-ADDR" },
        { "AFTERFIN_SOURCE=10.0.0.9-10.0.0.1",
          "AFTERFIN_SOURCE=\"10.0.0.9-10.0.0.1\": the range is reversed; expected ADDR-ADDR with the smaller first" },
        { "AFTERFIN_SOURCE=2001:db8:0:1::-2001:db8::",
          "AFTERFIN_SOURCE=\"2001:db8:0:1::-2001:db8::\": the range is reversed; expected ADDR-ADDR with the smaller "
          "first" },
        { "AFTERFIN_SOURCE=10.0.0.1-::2",
          "AFTERFIN_SOURCE=\"10.0.0.1-::2\": a range from one family to the other; expected ADDR or ADDR-ADDR" },
        { "AFTERFIN_SOURCE=10.0.0.0/8",
          "AFTERFIN_SOURCE=\"10.0.0.0/8\": a prefix has more addresses than connections can start from; expected "
          "ADDR-ADDR" },
        { "AFTERFIN_SOURCE=10.0.0.1,fe80::1%eth0",
          "AFTERFIN_SOURCE=\"10.0.0.1,fe80::1%eth0\", at \"fe80::1%eth0\": scope ids are not taken; expected an address "
          "without %" },
        { "AFTERFIN_SOURCE=0.0.0.0-0.0.0.9",
          "AFTERFIN_SOURCE=\"0.0.0.0-0.0.0.9\", at \"0.0.0.0\": the kernel's own choice: say off for that; expected ADDR "
          "or ADDR-ADDR" },
        { "AFTERFIN_SOURCE=::",
          "AFTERFIN_SOURCE=\"::\": the kernel's own choice: say off for that; expected ADDR or ADDR-ADDR" },
        { "AFTERFIN_SOURCE=10.0.0.0-10.255.255.255,11.0.0.0",
          "AFTERFIN_SOURCE=\"10.0.0.0-10.255.255.255,11.0.0.0\", at \"11.0.0.0\": too many addresses; expected 16777216 "
          "at most" },
        { "AFTERFIN_SOURCE=2001:db8::1-2001:db9::1",
          "AFTERFIN_SOURCE=\"2001:db8::1-2001:db9::1\": too many addresses; expected 16777216 at most" },
        { "AFTERFIN_RULES=connect * source=10.0.0.1,10.0.0.2",
          "AFTERFIN_RULES=\"connect * source=10.0.0.1,10.0.0.2\", at \"10.0.0.2\": expected KEY=VALUE" },
        { "AFTERFIN_RULES=connect * source=10.0.0.1++10.0.0.2",
          "AFTERFIN_RULES=\"connect * source=10.0.0.1++10.0.0.2\", at \"+10.0.0.2\": an address is missing; expected "
          "ADDR[-ADDR][,ADDR...]" },
        { "AFTERFIN_SYN_RETRIES=few", "AFTERFIN_SYN_RETRIES=\"few\": expected off, RETRIES" },
        { "AFTERFIN_SYN_RETRIES=0", "AFTERFIN_SYN_RETRIES=\"0\": count out of range; expected 1 to 127" },
        { "AFTERFIN_SYN_RETRIES=128", "AFTERFIN_SYN_RETRIES=\"128\": count out of range; expected 1 to 127" },
        { "AFTERFIN_USER_TIMEOUT=s", "AFTERFIN_USER_TIMEOUT=\"s\": expected off, Ns, Nms" },
        { "AFTERFIN_USER_TIMEOUT=30", "AFTERFIN_USER_TIMEOUT=\"30\": the unit is missing; expected off, Ns, Nms" },
        { "AFTERFIN_USER_TIMEOUT=30m", "AFTERFIN_USER_TIMEOUT=\"30m\": unknown unit; expected off, Ns, Nms" },
        { "AFTERFIN_USER_TIMEOUT=0s", "AFTERFIN_USER_TIMEOUT=\"0s\": no time at all would leave the kernel's own: say "
                                      "off for that; expected 1ms to 2147483647ms" },
        { "AFTERFIN_USER_TIMEOUT=2147484s",
          "AFTERFIN_USER_TIMEOUT=\"2147484s\": time out of range; expected 1ms to 2147483647ms" },
        { "AFTERFIN_USER_TIMEOUT=2147483648ms",
          "AFTERFIN_USER_TIMEOUT=\"2147483648ms\": time out of range; expected 1ms to 2147483647ms" },
        { "AFTERFIN_ONLY=a,,b", "AFTERFIN_ONLY=\"a,,b\", at \",,\": an empty name; expected NAME[,NAME...]" },
        { "AFTERFIN_ONLY=a, ,b", "AFTERFIN_ONLY=\"a, ,b\", at \", ,\": an empty name; expected NAME[,NAME...]" },
        { "AFTERFIN_ONLY= ", "AFTERFIN_ONLY=\" \": an empty name; expected NAME[,NAME...]" },
        { "AFTERFIN_SKIP=sh,", "AFTERFIN_SKIP=\"sh,\", at \",\": an empty name; expected NAME[,NAME...]" },
        { "AFTERFIN_SKIP=,sh", "AFTERFIN_SKIP=\",sh\", at \",\": an empty name; expected NAME[,NAME...]" },
        { "AFTERFIN_SKIP=sh,/bin/ls",
          "AFTERFIN_SKIP=\"sh,/bin/ls\", at \"/bin/ls\": a path would never match; expected "
          "a program's name without its directory" },
        { "AFTERFIN_LOG=on",
          "AFTERFIN_LOG=\"on\": neither a word nor an absolute path; expected off, stderr, stdout, /FILE" },
        { "AFTERFIN_LOG=log/x",
          "AFTERFIN_LOG=\"log/x\": neither a word nor an absolute path; expected off, stderr, stdout, /FILE" },
        { "AFTERFIN_LOG=/a%d%p", "AFTERFIN_LOG=\"/a%d%p\", at \"%d\": expected %p, %n or %%" },
        { "AFTERFIN_LOG=/a%%%", "AFTERFIN_LOG=\"/a%%%\", at \"%\": expected %p, %n or %%" },
        { "AFTERFIN_LOG_FORMAT=JSON", "AFTERFIN_LOG_FORMAT=\"JSON\": expected logfmt, json" },
        { "AFTERFIN_LOG_INTERVAL=0",
          "AFTERFIN_LOG_INTERVAL=\"0\": seconds out of range; expected 1 to 2147483647, or off" },
        { "AFTERFIN_LOG_INTERVAL=2147483648",
          "AFTERFIN_LOG_INTERVAL=\"2147483648\": seconds out of range; expected 1 to 2147483647, or off" },
        { "AFTERFIN_LOG_INTERVAL=1m", "AFTERFIN_LOG_INTERVAL=\"1m\": expected SECONDS, off" },
        { "AFTERFIN_LEDGER=run",
          "AFTERFIN_LEDGER=\"run\": neither a word nor an absolute path; expected off, on, /DIRECTORY" },
    };
    expect_lines(rows, ROWS(rows));
}

Test(policy_errors, a_bad_rule_is_named_with_its_place_and_what_was_expected) {
#define IN(rule) "AFTERFIN_RULES=\"" rule "\""
#define FORM "expected ROLE TARGET KEY=VALUE[,KEY=VALUE...]"
#define CONNECT_KEYS "expected linger, source, syn_retries, port_range, port_search, keepalive, user_timeout"
    static const struct row rows[] = {
        { "AFTERFIN_RULES=accept * linger=ack",
          IN("accept * linger=ack") ", at \"accept\": unknown role; expected bind, connect or listen" },
        { "AFTERFIN_RULES=connect", IN("connect") ": the TARGET is missing; " FORM },
        { "AFTERFIN_RULES=connect linger=ack", IN("connect linger=ack") ": the TARGET is missing; " FORM },
        { "AFTERFIN_RULES=connect *", IN("connect *") ": the policies are missing; " FORM },
        { "AFTERFIN_RULES=bind * reuseaddr=on; connect * ;",
          IN("bind * reuseaddr=on; connect * ;") ", at \"connect *\": the policies are missing; " FORM },
        { "AFTERFIN_RULES=connect * linger", IN("connect * linger") ", at \"linger\": expected KEY=VALUE" },
        { "AFTERFIN_RULES=connect * =ack", IN("connect * =ack") ", at \"=ack\": expected KEY=VALUE" },
        { "AFTERFIN_RULES=connect * linger=",
          IN("connect * linger=") ", at \"linger=\": expected off, ack, ack-always, rst, SECONDS" },
        { "AFTERFIN_RULES=connect * linger=ack,",
          IN("connect * linger=ack,") ", at \",\": nothing between commas; expected KEY=VALUE[,KEY=VALUE...]" },
        { "AFTERFIN_RULES=connect * linger=ack , , keepalive=1",
          IN("connect * linger=ack , , keepalive=1") ", at \", ,\": nothing between commas; expected "
                                                     "KEY=VALUE[,KEY=VALUE...]" },
        { "AFTERFIN_RULES=connect * linger=ack keepalive=1",
          IN("connect * linger=ack keepalive=1") ", at \"linger=ack keepalive=1\": a space inside; expected "
                                                 "KEY=VALUE[,KEY=VALUE...]" },
        { "AFTERFIN_RULES=connect * lingr=ack",
          IN("connect * lingr=ack") ", at \"lingr\": unknown key; " CONNECT_KEYS "; did you mean linger?" },
        { "AFTERFIN_RULES=connect * foo=1",
          IN("connect * foo=1") ", at \"foo\": unknown key; " CONNECT_KEYS }, /* no log: two of three letters */
        { "AFTERFIN_RULES=connect * logs=1", IN("connect * logs=1") ", at \"logs\": unknown key; " CONNECT_KEYS },
        { "AFTERFIN_RULES=listen * sorce=1",
          IN("listen * sorce=1") ", at \"sorce\": unknown key; expected linger, keepalive, user_timeout" },
        { "AFTERFIN_RULES=connect * sorce=1",
          IN("connect * sorce=1") ", at \"sorce\": unknown key; " CONNECT_KEYS "; did you mean source?" },
        { "AFTERFIN_RULES=connect * nonsense=1",
          IN("connect * nonsense=1") ", at \"nonsense\": unknown key; " CONNECT_KEYS },
        { "AFTERFIN_RULES=connect * LINGER=ack",
          IN("connect * LINGER=ack") ", at \"LINGER\": unknown key; " CONNECT_KEYS "; did you mean linger?" },
        { "AFTERFIN_RULES=connect * override=on",
          IN("connect * override=on") ", at \"override=on\": no rule may carry this key; " CONNECT_KEYS },
        { "AFTERFIN_RULES=listen * log=stderr",
          IN("listen * log=stderr") ", at \"log=stderr\": no rule may carry this key; expected linger, keepalive, "
                                    "user_timeout" },
        { "AFTERFIN_RULES=bind * linger=ack",
          IN("bind * linger=ack") ", at \"linger=ack\": this key does not belong to this role; expected reuseaddr, "
                                  "bind_no_port" },
        { "AFTERFIN_RULES=connect * linger=ack,linger=rst",
          IN("connect * linger=ack,linger=rst") ", at \"linger=rst\": the same key twice in one rule; expected each key "
                                                "once" },
        { "AFTERFIN_RULES=connect * linger=0",
          IN("connect * linger=0") ", at \"linger=0\": no time at all aborts the connection: say rst for that; "
                                   "expected off, ack, ack-always, rst or 1 to 65535" },
        { "AFTERFIN_RULES=connect * linger=on",
          IN("connect * linger=on") ", at \"linger=on\": linger=on does not say how; expected ack, ack-always, rst or SECONDS" },
        { "AFTERFIN_RULES=connect * keepalive=9:9:128",
          IN("connect * keepalive=9:9:128") ", at \"128\": count out of range; expected 1 to 127" },
        { "AFTERFIN_RULES=connect 10.1.2.3/8 linger=ack",
          IN("connect 10.1.2.3/8 linger=ack") ", at \"10.1.2.3/8\": host bits are set; expected 10.0.0.0/8" },
        { "AFTERFIN_RULES=connect 10.0.0.0/8:0 linger=ack",
          IN("connect 10.0.0.0/8:0 linger=ack") ", at \"0\": port out of range; expected 1 to 65535" },
    };
    expect_lines(rows, ROWS(rows));
}

Test(policy_errors, an_unknown_variable_is_named_with_the_one_that_was_meant) {
    static const struct row rows[] = {
        { "AFTERFIN_LINGR=ack", "AFTERFIN_LINGR=\"ack\": unknown variable; did you mean AFTERFIN_LINGER?" },
        { "AFTERFIN_LNIGER=ack", "AFTERFIN_LNIGER=\"ack\": unknown variable; did you mean AFTERFIN_LINGER?" },
        { "AFTERFIN_linger=ack", "AFTERFIN_linger=\"ack\": unknown variable; did you mean AFTERFIN_LINGER?" },
        { "AFTERFIN_LINGERING=ack",
          "AFTERFIN_LINGERING=\"ack\": unknown variable; expected one that afterfin(7) lists" },
        { "AFTERFIN_BINDNOPORT=on",
          "AFTERFIN_BINDNOPORT=\"on\": unknown variable; did you mean AFTERFIN_BIND_NO_PORT?" },
        { "AFTERFIN_LOGFORMAT=json",
          "AFTERFIN_LOGFORMAT=\"json\": unknown variable; did you mean AFTERFIN_LOG_FORMAT?" },
        { "AFTERFIN_LOGS=/x", "AFTERFIN_LOGS=\"/x\": unknown variable; did you mean AFTERFIN_LOG?" },
        { "AFTERFIN_FOO=1", "AFTERFIN_FOO=\"1\": unknown variable; expected one that afterfin(7) lists" },
        { "AFTERFIN_VERBOSE=1", "AFTERFIN_VERBOSE=\"1\": unknown variable; expected one that afterfin(7) lists" },
        { "AFTERFIN_=1", "AFTERFIN_=\"1\": unknown variable; expected one that afterfin(7) lists" },
        { "AFTERFIN_A\"\x01=\xc3\xa9\\",
          "AFTERFIN_A\\\"\\x01=\"\\xc3\\xa9\\\\\": unknown variable; expected one that afterfin(7) lists" },
    };
    expect_lines(rows, ROWS(rows));
}

/* DESIGN.md, "Policy: the environment", sentence by sentence. */
Test(policy_errors, the_rulings_on_odd_strings_hold) {
    static const struct {
        const char *setting, *says; /* NULL: no error */
    } rows[] = {
        { "AFTERFIN_REUSEADDR=yes", NULL },
        { "AFTERFIN_REUSEADDR=Yes", "expected off, on" },
        { "AFTERFIN_LINGER=ACK", "expected off, ack" },
        { "AFTERFIN_LINGER=", NULL },
        { "AFTERFIN_LINGER=off", NULL },
        { "AFTERFIN_LINGER=0", "say rst" },
        { "AFTERFIN_LINGER=on", "ack, ack-always, rst or SECONDS" },
        { "AFTERFIN_LINGER=1", NULL },
        { "AFTERFIN_USER_TIMEOUT=30", "unit is missing" },
        { "AFTERFIN_USER_TIMEOUT=30s", NULL },
        { "AFTERFIN_PORT_RANGE=50000-40000", "reversed" },
        { "AFTERFIN_LOG=relative.log", "absolute path" },
        { "AFTERFIN_LOG=/abs/%p-%n-%%", NULL },
        { "AFTERFIN_LOG=/abs/%s", "%p, %n or %%" },
        { "AFTERFIN_ONLY=curl , wrk", NULL },
        { "AFTERFIN_TYPO=1", "unknown variable" },
        { "AFTERFIN_RULES=;;\n ;", NULL },
        { "AFTERFIN_RULES=connect * linger=ack , keepalive=60", NULL },
        { "AFTERFIN_RULES=bind * linger=ack", "does not belong to this role" },
        { "AFTERFIN_RULES=connect 10.1.2.3/8 linger=ack", "host bits" },
        { "AFTERFIN_RULES=connect localhost linger=ack", "names are not looked up" },
        { "AFTERFIN_RULES=connect example.com:80 linger=ack", "names are not looked up" },
        { "AFTERFIN_RULES=connect fe80::1%eth0 linger=ack", "scope ids" },
        { "AFTERFIN_RULES=connect :90-80 linger=ack", "reversed" },
        { "AFTERFIN_RULES=connect * linger=ack,linger=ack", "same key twice" },
        { "AFTERFIN_RULES=connect * linger=0", "say rst" },
        { "AFTERFIN_RULES=connect * linger=on", "ack, ack-always, rst or SECONDS" },
        { "AFTERFIN_RULES=connect ::ffff:10.0.0.0/104 linger=ack", NULL },
        { "AFTERFIN_RULES=bind :8080 reuseaddr=on; listen :8080 linger=ack\n"
          "connect 10.0.0.0/8:5432 linger=ack; connect * keepalive=60",
          NULL },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        cr_expect(r.ok == !rows[i].says, "%s: %s", rows[i].setting, r.error.text);
        cr_expect(!rows[i].says || strstr(r.error.text, rows[i].says), "%s: %s", rows[i].setting, r.error.text);
    }
}

static void expect_one_short_line(const struct parsed *r, const char *row) {
    const char *end = memchr(r->error.text, '\0', sizeof r->error.text);
    cr_assert(end && end > r->error.text, "%s: ends within its room", row);
    for (const char *c = r->error.text; c < end; c++)
        cr_assert(*c >= ' ' && *c <= '~', "%s: %s", row, r->error.text);
}

Test(policy_errors, a_long_value_is_shown_around_the_place) {
    static char setting[400000];
    const size_t lengths[] = { 0, 10, 100, 1000, 100000 };
    for (size_t i = 0; i < ROWS(lengths); i++)
        for (size_t j = 0; j < ROWS(lengths); j++) {
            struct parsed r;
            size_t n = (size_t)sprintf(setting, "AFTERFIN_RULES=");
            memset(setting + n, i % 2 ? '\t' : ' ', lengths[i]);
            n += lengths[i];
            n += (size_t)sprintf(setting + n, "connect * linger=bad;");
            memset(setting + n, i % 2 ? '\t' : ' ', lengths[j]);
            setting[n + lengths[j]] = '\0';
            PARSE(&r, setting);
            cr_assert(!r.ok);
            expect_one_short_line(&r, "long");
            cr_expect(strstr(r.error.text, "linger=bad;"), "%s", r.error.text);
            cr_expect(strstr(r.error.text, ", at \"linger=bad\": expected off, ack"), "%s", r.error.text);
            bool cut = strncmp(r.error.text, "AFTERFIN_RULES=\"...", 19) == 0;
            cr_expect(lengths[i] == 100 || cut == (lengths[i] > 100), "%s", r.error.text);
            cr_expect(strlen(r.error.text) < 300, "%s", r.error.text);
        }
}

Test(policy_errors, whatever_is_wrong_fits_its_room) {
    static char setting[70000];
    static const char *const heads[] = {
        "AFTERFIN_LINGER=",         "AFTERFIN_",       "AFTERFIN_RULES=", "AFTERFIN_RULES=connect * ",
        "AFTERFIN_RULES=connect ",  "AFTERFIN_ONLY=/", "AFTERFIN_LOG=",   "AFTERFIN_RULES=connect * override=",
        "AFTERFIN_RULES=connect [",
    };
    for (size_t h = 0; h < ROWS(heads); h++)
        for (int byte = 1; byte < 256; byte += 3) {
            struct parsed r;
            size_t n = strlen(heads[h]);
            memcpy(setting, heads[h], n);
            memset(setting + n, byte, sizeof setting - n - 3);
            strcpy(setting + sizeof setting - 3, "=1");
            PARSE(&r, setting);
            if (!r.ok)
                expect_one_short_line(&r, heads[h]);
        }
}

Test(policy_errors, after_an_error_nothing_is_asked_but_strict_is_kept) {
    static const struct {
        const char *settings[4];
        bool strict;
    } rows[] = {
        { { "AFTERFIN_STRICT=on", "AFTERFIN_LINGER=x", "AFTERFIN_LOG=stderr" }, true },
        { { "AFTERFIN_LINGER=x", "AFTERFIN_STRICT=on", "AFTERFIN_OVERRIDE=on" }, true },
        { { "AFTERFIN_TYPO=x", "AFTERFIN_STRICT=1", "AFTERFIN_SKIP=any" }, true },
        { { "AFTERFIN_STRICT=off", "AFTERFIN_LINGER=x", "AFTERFIN_LEDGER=on" }, false },
        { { "AFTERFIN_LINGER=x", "AFTERFIN_RULES=connect * linger=ack" }, false },
        { { "AFTERFIN_RULES=connect * linger=ack;connect * linger=x", "AFTERFIN_REUSEADDR=on" }, false },
        { { "AFTERFIN_STRICT=maybe", "AFTERFIN_LINGER=ack" }, false },
        { { "AFTERFIN_STRICT=on", "AFTERFIN_STRICT=maybe", "AFTERFIN_LOG_FORMAT=json" }, false },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        parse_list(&r, rows[i].settings);
        cr_expect(!r.ok, "row %zu", i);
        cr_expect(r.p.strict == rows[i].strict, "row %zu: strict", i);
        expect_nothing_asked(&r.p, rows[i].settings[0]);
    }
}
