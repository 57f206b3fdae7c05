/* Composes the log line from the lists of counters and keys. The two formats differ in how a field and
 * a value are put, nowhere else. */
#include "shim/line.h"

static const char event_names[][9] = {
    [AF_EVENT_EXIT] = "exit", [AF_EVENT_EXEC] = "exec", [AF_EVENT_INTERVAL] = "interval"
};

static const char call_names[][8] = { "socket", "bind", "listen", "connect", "accept" };

struct line {
    struct af_text *text;
    bool json;
    bool inner; /* inside errors, time_wait_to or policy */
    bool first;
};

static void name(struct line *l, const char *field) {
    if (!l->first)
        af_put(l->text, l->inner || l->json ? "," : " ");
    l->first = false;
    if (l->json)
        af_put_json(l->text, field, __builtin_strlen(field));
    else
        af_put(l->text, field);
    af_put_char(l->text, l->json ? ':' : '=');
}

static void put_count(struct line *l, const char *field, uint64_t n) {
    name(l, field);
    af_put_number(l->text, n);
}

static void put_string(struct line *l, const char *field, const char *value) {
    name(l, field);
    if (l->json)
        af_put_json(l->text, value, __builtin_strlen(value));
    else
        af_put_logfmt(l->text, value);
}

/* A field that is a list of its own: an object in JSON, one value of a=1,b=2 in logfmt. */
static bool begin(struct line *l, const char *field, bool empty) {
    name(l, field);
    if (l->json)
        af_put_char(l->text, '{');
    else if (!empty)
        af_put_char(l->text, '"');
    l->inner = l->first = true;
    return !empty;
}

static void end(struct line *l, bool empty) {
    if (l->json)
        af_put_char(l->text, '}');
    else if (!empty)
        af_put_char(l->text, '"');
    l->inner = l->first = false;
}

static void put_errors(struct line *l, const struct af_process *process) {
    uint64_t all = 0;
    for (int i = 0; i < AF_ERROR_ROWS; i++)
        all += process->errors[i].count;
    if (begin(l, "errors", all == 0))
        for (int i = 0; i < AF_ERROR_ROWS; i++) {
            uint32_t key = process->errors[i].key;
            if (!process->errors[i].count || key >> 16 == 0 || key >> 16 > AF_CALLS)
                continue;
            char field[64];
            struct af_text t = { field, sizeof field - 1, 0 };
            af_put(&t, call_names[(key >> 16) - 1]);
            af_put_char(&t, ':');
            af_put(&t, af_errno_name(key & 0xffff));
            field[t.size < sizeof field ? t.size : sizeof field - 1] = 0;
            put_count(l, field, process->errors[i].count);
        }
    end(l, all == 0);
}

static void put_endpoints(struct line *l, struct af_endpoint top[AF_TOP_ENDPOINTS]) {
    /* Those of a slot that is shared are not this process's. */
    size_t n = af.own_counts ? 0 : af_ledger_top_endpoints(af.ledger, af.slot, top, AF_TOP_ENDPOINTS);
    begin(l, "time_wait_to", n == 0);
    for (size_t i = 0; i < n; i++) {
        char text[AF_ADDR_TEXT];
        struct af_text t = { text, sizeof text - 1, 0 };
        if (top[i].accepted) {
            af_put_char(&t, ':');
            af_put_number(&t, top[i].addr.port);
            text[t.size] = 0;
        } else {
            af_addr_text(&top[i].addr, text);
        }
        put_count(l, text, top[i].count);
    }
    end(l, n == 0);
}

/* In JSON the policy's text comes apart again at its commas; the rules, which may hold more, stand last. */
static void put_policy(struct line *l) {
    const char *p = af_force()->text;
    if (!l->json) {
        put_string(l, "policy", p);
        return;
    }
    begin(l, "policy", false);
    while (*p) {
        char key[32] = "";
        for (size_t i = 0; *p && *p != '='; p++)
            if (i < sizeof key - 1)
                key[i++] = *p;
        const char *value = *p ? ++p : p;
        bool rules = !__builtin_strcmp(key, "rules");
        while (*p && (rules || *p != ','))
            p++;
        name(l, key);
        af_put_json(l->text, value, (size_t)(p - value));
        p += *p == ',';
    }
    end(l, false);
}

/* Of a policy that has come while it ran. */
static void put_since(struct line *l) {
    const uint64_t since = atomic_load(&af_mailbox.since);
    if (!since)
        return;
    name(l, "policy_since");
    af_put(l->text, l->json ? "\"" : "");
    af_put_time(l->text, since);
    af_put(l->text, l->json ? "\"" : "");
}

static void put_counts(struct line *l, const struct af_process *process) {
    uint64_t count[AF_COUNTERS];
    for (int i = AF_COUNTERS; i-- > 0;) /* backwards: an ending is never read without its established */
        count[i] = atomic_load(&process->count[i]);
    if ((int64_t)af_ledger_open(count) < 0) /* a child has come back from a handler into a close of its parent's */
        count[AF_COUNT_established] -= af_ledger_open(count);
#define COUNTER(field, help) put_count(l, #field, count[AF_COUNT_##field]);
#define DERIVED(field, help) put_count(l, #field, af_ledger_##field(count));
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

static void put_elapsed(struct line *l, uint64_t ns) {
    name(l, "elapsed_s");
    af_put_number(l->text, ns / 1000000000);
    af_put_char(l->text, '.');
    af_put_padded(l->text, ns / 1000000 % 1000, 3);
}

void af_line(struct af_text *text, const struct af_process *process, enum af_event event, uint64_t now,
             struct af_endpoint room[AF_TOP_ENDPOINTS]) {
    struct line l = { .text = text, .json = af.policy.json, .first = true };
    af_put(text, l.json ? "{" : "afterfin ");
    put_count(&l, "version", 1);
    put_string(&l, "event", event_names[event]);
    name(&l, "time");
    af_put(text, l.json ? "\"" : "");
    af_put_time(text, now);
    af_put(text, l.json ? "\"" : "");
    put_count(&l, "pid", (uint64_t)af.pid);
    put_count(&l, "ppid", (uint64_t)process->ppid);
    put_string(&l, "program", af.program);
    put_elapsed(&l, now > process->started ? now - process->started : 0);
    put_counts(&l, process);
    put_errors(&l, process);
    put_endpoints(&l, room);
    put_policy(&l);
    put_since(&l);
    if (process->sealed)
        put_count(&l, "sealed", 1);
    if (process->lost)
        put_count(&l, "lost", process->lost);
    af_put(text, l.json ? "}\n" : "\n");
}

/* The texts of the variables, in the order of keys.def. */
void af_line_policy(struct af_force *force, const char *const *settings) {
    struct af_text t = { force->text, sizeof force->text - 1, 0 };
    uint32_t shown = AF_BIT(REUSEADDR) | AF_BIT(BIND_NO_PORT) | AF_BIT(LINGER) | AF_BIT(SOURCE) | AF_BIT(SYN_RETRIES) |
                     AF_BIT(PORT_RANGE) | AF_BIT(PORT_SEARCH) | AF_BIT(KEEPALIVE) | AF_BIT(USER_TIMEOUT) |
                     AF_BIT(OVERRIDE) | AF_BIT(RULES);
    for (int key = 0; key < AF_KEYS; key++) {
        bool set = force->policy->set & 1u << key;
        if (!(shown & 1u << key) || (!set && key != AF_KEY_LINGER))
            continue;
        if (t.size)
            af_put_char(&t, ',');
        af_put(&t, af_key_name((enum af_key)key));
        af_put_char(&t, '=');
        const char *value = set ? af_setting(settings, key) : af_key_fallback((enum af_key)key);
        for (; key == AF_KEY_SOURCE && *value; value++)
            if (*value != ' ' && *value != '\t')
                af_put_char(&t, *value == ',' ? '+' : *value); /* as in a rule: a comma ends the key */
        af_put(&t, value);
    }
    if (t.size > t.room) /* rules may be of any length */
        __builtin_memcpy(force->text + t.room - 3, "...", 3);
    force->text[t.size < t.room ? t.size : t.room] = 0;
}
