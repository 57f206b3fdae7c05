/* A line of the log in one pass, where it is as shim/line.c writes nearly all of them: every field in its place, numbers
 * short, nothing escaped. Whatever else comes, good or broken, is left to line.c, which takes its time; what this one takes
 * that one would take too, and to the same effect (tests/cli/report/test_plain.c). */
#include "cli/report/log.h"

#include <string.h>

/* Digits that no count overflows with; members of an object of which each is compared with each. */
enum { MOST_DIGITS = 17, MOST_MEMBERS = 32, SECOND_MS = 1000, DAY_S = 86400 };

struct cursor {
    const char *at, *end;
    bool json;
};

/* ---- pieces -------------------------------------------------------------------------------------------------- */

static bool after(struct cursor *c, const char *text, size_t size) {
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, text, size) != 0)
        return false;
    c->at += size;
    return true;
}

#define AFTER(c, text) after(c, text, sizeof(text) - 1)
#define FIELD(c, name) ((c)->json ? AFTER(c, ",\"" name "\":") : AFTER(c, " " name "="))

static bool number(struct cursor *c, uint64_t *out) {
    const char *const from = c->at, *at = from, *const end = c->end;
    uint64_t n = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    c->at = at;
    *out = n;
    return at != from && at - from <= MOST_DIGITS && (*from != '0' || at - from == 1);
}

/* What ends a text in quotes, one without, and a name in a list of logfmt; or is written in another way there. */
static const bool quoted[256] = { ['"'] = true, ['\\'] = true };
static const bool bare[256] = { [' '] = true, ['='] = true, ['"'] = true, ['\\'] = true };
static const bool listed[256] = { [','] = true, ['='] = true, ['"'] = true, ['\\'] = true };

static bool plain(struct cursor *c, const bool ends[256], const char **text, size_t *size) {
    const char *const from = c->at, *at = from, *const end = c->end;
    while (at < end && *at >= ' ' && *at <= '~' && !ends[(unsigned char)*at])
        at++;
    *text = from;
    *size = (size_t)(at - from);
    c->at = at;
    return at > from;
}

static bool string(struct cursor *c, const char **text, size_t *size) {
    if (AFTER(c, "\""))
        return plain(c, quoted, text, size) && AFTER(c, "\"");
    return !c->json && plain(c, bare, text, size);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static unsigned digits(const char *at, int n) {
    unsigned value = 0;
    for (; n; n--, at++)
        value = *at >= '0' && *at <= '9' ? value * 10 + (unsigned)(*at - '0') : 1u << 20;
    return value;
}

/* Days since 1970 of the Gregorian calendar; the year begins in March, so that the odd day is its last. */
static uint64_t days(unsigned year, unsigned month, unsigned day) {
    year -= month < 3;
    const unsigned of_year = (153 * (month + (month < 3 ? 9 : -3u)) + 2) / 5 + day - 1;
    return 365ull * year + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

/* 2026-11-23T12:00:00.123Z */
static bool time_of(struct cursor *c, uint64_t *ns) {
    const char *text;
    size_t size;
    if (!string(c, &text, &size) || size != sizeof "2026-11-23T12:00:00.123Z" - 1 || text[4] != '-' || text[7] != '-' ||
        text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z')
        return false;
    const unsigned year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    const unsigned h = digits(text + 11, 2), m = digits(text + 14, 2), s = digits(text + 17, 2);
    const unsigned ms = digits(text + 20, 3);
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || h > 23 || m > 59 || s > 59 ||
        ms >= SECOND_MS)
        return false;
    *ns = ((days(year, month, day) * DAY_S + h * 3600 + m * 60 + s) * SECOND_MS + ms) * 1000000u;
    return true;
}

/* Seconds with three decimals; the same nanoseconds as strtod and a product give. */
static bool started(struct cursor *c, uint64_t at, uint64_t *ns) {
    uint64_t s, ms;
    if (!number(c, &s) || s > UINT32_MAX || !AFTER(c, ".") || c->end - c->at < 3)
        return false;
    ms = digits(c->at, 3);
    c->at += 3;
    const double elapsed = (double)(s * SECOND_MS + ms) / SECOND_MS * 1e9;
    *ns = at - (uint64_t)elapsed;
    return ms < SECOND_MS && elapsed <= (double)at;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

struct member {
    const char *name, *value;
    size_t name_size, value_size;
};

/* No name comes twice: of such the formats think differently. */
static bool is_new(const struct member *members, size_t n) {
    const struct member *last = &members[n];
    for (size_t i = 0; i < n; i++)
        if (members[i].name_size == last->name_size && memcmp(members[i].name, last->name, last->name_size) == 0)
            return false;
    return true;
}

/* {"a":1,"b":2} or "a=1,b=2"; `texts`: values are strings. */
static bool members(struct cursor *c, struct member all[MOST_MEMBERS], size_t *n, bool texts) {
    const bool *ends = c->json ? quoted : listed;
    uint64_t counted;
    for (*n = 0; *n < MOST_MEMBERS; AFTER(c, ",")) {
        struct member *m = &all[*n];
        if (!(c->json ? AFTER(c, "\"") : true) || !plain(c, ends, &m->name, &m->name_size) ||
            !(c->json ? AFTER(c, "\":") : AFTER(c, "=")))
            return false;
        m->value = c->at;
        if (!(texts ? string(c, &m->value, &m->value_size) : number(c, &counted)) || !is_new(all, *n))
            return false;
        if (!texts)
            m->value_size = (size_t)(c->at - m->value);
        ++*n;
        if (c->at < c->end && *c->at != ',')
            return c->json ? AFTER(c, "}") : AFTER(c, "\"");
    }
    return false;
}

static bool is_empty(struct cursor *c) {
    return c->json ? AFTER(c, "{}") : !(c->at < c->end && *c->at == '"');
}

static bool list(struct cursor *c, struct member all[MOST_MEMBERS], size_t *n, bool texts) {
    *n = 0;
    return is_empty(c) || ((c->json ? AFTER(c, "{") : AFTER(c, "\"")) && members(c, all, n, texts));
}

static bool pairs(struct cursor *c, struct af_pairs *to, uint32_t *of) {
    struct member all[MOST_MEMBERS];
    size_t n;
    if (!list(c, all, &n, false))
        return false;
    for (size_t i = 0; i < n; i++)
        af_pairs_add(to, of, all[i].name, all[i].name_size, all[i].value, all[i].value_size);
    return true;
}

static bool policy(struct cursor *c) {
    struct member all[MOST_MEMBERS];
    size_t n;
    return c->json ? list(c, all, &n, true) : string(c, &all[0].value, &all[0].value_size);
}

/* ---- a line -------------------------------------------------------------------------------------------------- */

static bool counts(struct cursor *c, uint64_t count[AF_COUNTERS]) {
    uint64_t open;
#define COUNTER(name, help) \
    if (!FIELD(c, #name) || !number(c, &count[AF_COUNT_##name])) \
        return false;
#define DERIVED(name, help) \
    if (!FIELD(c, #name) || !number(c, &name)) \
        return false;
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
    return (int64_t)open == af_seen_open(count);
}

static bool who(struct cursor *c, struct af_log_line *out) {
    const char *event;
    size_t size;
    uint64_t pid, ppid;
    if (!FIELD(c, "event") || !string(c, &event, &size) || !FIELD(c, "time") || !time_of(c, &out->image.at) ||
        !FIELD(c, "pid") || !number(c, &pid) || !FIELD(c, "ppid") || !number(c, &ppid) || !FIELD(c, "program") ||
        !string(c, &out->program, &out->program_size) || !FIELD(c, "elapsed_s"))
        return false;
    out->image.pid = (int64_t)pid;
    return pid && out->program_size < AF_PROGRAM_SIZE - 1 && started(c, out->image.at, &out->image.started);
}

/* What stands in few lines. */
static bool rest(struct cursor *c) {
    uint64_t n;
    if (FIELD(c, "policy_since") && !time_of(c, &n))
        return false;
    if (FIELD(c, "sealed") && !number(c, &n))
        return false;
    if (FIELD(c, "lost") && !number(c, &n))
        return false;
    return (!c->json || AFTER(c, "}")) && c->at == c->end;
}

bool af_log_plain(const char *line, size_t size, struct af_log_line *out) {
    struct cursor c = { .at = line, .end = line + size, .json = size && *line == '{' };
    struct af_pairs *to = &out->image.pairs;
    to->errors = to->time_wait_to = 0;
    return (c.json ? AFTER(&c, "{\"version\":1") : AFTER(&c, "afterfin version=1")) && who(&c, out) &&
           counts(&c, out->image.count) && FIELD(&c, "errors") && pairs(&c, to, &to->errors) &&
           FIELD(&c, "time_wait_to") && pairs(&c, to, &to->time_wait_to) && FIELD(&c, "policy") && policy(&c) &&
           rest(&c);
}
