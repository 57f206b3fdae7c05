/* Settings parsed into something a test can look at, for the tests of policy/. */
#ifndef AFTERFIN_TESTS_POLICY_PARSED_H
#define AFTERFIN_TESTS_POLICY_PARSED_H

#include "policy/policy.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

struct parsed {
    bool ok;
    struct af_policy p;
    uint64_t room[512];
    struct af_error error;
};

static inline void parse_list(struct parsed *out, const char *const *settings) {
    memset(out, 0xa5, sizeof *out);
    out->ok = af_policy_parse(&out->p, settings, &(struct af_input){ .room = out->room, .size = sizeof out->room },
                              &out->error);
    if (out->ok)
        out->error.text[0] = '\0';
}

/* PARSE(&parsed, "AFTERFIN_LINGER=ack", ...) */
#define PARSE(out, ...) parse_list(out, (const char *const[]){ __VA_ARGS__, NULL })

static inline bool all_zero(const struct af_values *v) {
    return memcmp(v, &(const struct af_values){ 0 }, sizeof *v) == 0; /* it has no padding */
}

/* The defaults of DESIGN.md, all but strict. */
static inline void expect_nothing_asked(const struct af_policy *p, const char *row) {
    cr_expect(all_zero(&p->values), "%s: values are the defaults", row);
    cr_expect(p->set == 0 && p->n_rules == 0 && !p->override && !p->json, "%s: nothing is set", row);
    cr_expect(p->log == AF_SINK_OFF && p->ledger == AF_LEDGER_OFF && p->log_interval_s == 60, "%s: no log", row);
    cr_expect(!p->only && !p->skip && !p->log_path && !p->ledger_dir && !p->rules_text, "%s: no text", row);
    cr_expect(!af_policy_acts(p) && af_policy_touches(p, "any"), "%s: watches", row);
}

/* A valid setting of each key that has no other word to show for itself, and then some. */
static const char *const policy_examples[] = {
    "AFTERFIN_REUSEADDR=on",
    "AFTERFIN_BIND_NO_PORT=yes",
    "AFTERFIN_LINGER=ack",
    "AFTERFIN_LINGER=30",
    "AFTERFIN_SOURCE=10.0.0.1-10.0.0.9, 10.0.1.1 ,2001:db8::5",
    "AFTERFIN_RULES=connect 10.0.0.0/8 source=10.0.0.1-10.0.0.9+10.0.1.1,linger=ack;connect * source=::2+::9",
    "AFTERFIN_SYN_RETRIES=3",
    "AFTERFIN_PORT_RANGE=40000-49999",
    "AFTERFIN_PORT_SEARCH=cycle",
    "AFTERFIN_KEEPALIVE=60",
    "AFTERFIN_KEEPALIVE=60:10:5",
    "AFTERFIN_USER_TIMEOUT=30s",
    "AFTERFIN_USER_TIMEOUT=1500ms",
    "AFTERFIN_OVERRIDE=1",
    "AFTERFIN_RULES=bind :8080 reuseaddr=on; listen :8080 linger=ack\nconnect 10.0.0.0/8:5432 linger=ack",
    "AFTERFIN_RULES=connect 10.0.0.0/8:5432 linger=ack , keepalive=60; connect * keepalive=60:5:3",
    "AFTERFIN_RULES=connect [2001:db8::/32]:443 linger=rst;;connect ::ffff:10.0.0.0/104 port_search=cycle",
    "AFTERFIN_ONLY=curl, wrk",
    "AFTERFIN_SKIP=sh,bash",
    "AFTERFIN_LOG=/var/log/afterfin/%n-%p.log",
    "AFTERFIN_LOG_FORMAT=json",
    "AFTERFIN_LOG_INTERVAL=5",
    "AFTERFIN_LEDGER=/run/afterfin",
    "AFTERFIN_SET=off",
    "AFTERFIN_STRICT=true",
};

#endif
