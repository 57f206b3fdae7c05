/* Any line of the log, logfmt or JSON. Both become a JSON object first, and one check is made of both. What a whole log
 * consists of is read by plain.c. */
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"
#include "cli/report/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char ours[] = "afterfin ";

/* ---- logfmt ------------------------------------------------------------------------------------------------- */

static int hex(char c) {
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One escape behind a backslash; bytes eaten, 0: there is none such. */
static size_t unescape(const char *s, char *out) {
    if (s[0] == '"' || s[0] == '\\' || s[0] == 'n') {
        *out = s[0] == 'n' ? '\n' : s[0];
        return 1;
    }
    if (s[0] != 'x' || hex(s[1]) < 0 || hex(s[2]) < 0)
        return 0;
    *out = (char)(hex(s[1]) << 4 | hex(s[2]));
    return 3;
}

/* A value at *at, quoted or plain, unescaped in place; *at is moved behind it. NULL: broken. */
static char *value_at(char **at) {
    char *from = *at, *to = *at, *value = *at;
    const bool quoted = *from == '"';
    from += quoted;
    while (*from && (quoted ? *from != '"' : *from != ' ')) {
        size_t eaten = 1;
        if (!quoted && *from == '"') /* the library quotes what has one: here another line begins */
            return NULL;
        if (quoted && *from == '\\')
            eaten += unescape(from + 1, to++);
        else
            *to++ = *from;
        if (eaten == 1 && quoted && *from == '\\')
            return NULL;
        from += eaten;
    }
    if (quoted && *from++ != '"')
        return NULL;
    if (*from && *from != ' ')
        return NULL;
    *at = from + (*from == ' ');
    *to = 0;
    return value;
}

static bool number(const char *text, json_int_t *out) {
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0;
}

/* "a=1,b=2" */
static json_t *pairs(char *text) {
    json_t *object = json_object();
    char *rest = NULL;
    for (char *pair = strtok_r(text, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        json_int_t n;
        char *equals = strrchr(pair, '=');
        if (equals)
            *equals = 0;
        if (!equals || !number(equals + 1, &n)) {
            json_decref(object);
            return NULL;
        }
        char *name = af_utf8_text(pair, strlen(pair), NULL);
        json_object_set_new_nocheck(object, name, json_integer(n));
        free(name);
    }
    return object;
}

static json_t *program_of(const char *name) {
    char *program = af_entry_program(name, strlen(name));
    json_t *text = json_string_nocheck(program);
    free(program);
    return text;
}

static json_t *typed(const char *name, char *value) {
    static const char *const texts[] = { "event", "time", "policy" };
    json_int_t n;
    if (strcmp(name, "program") == 0)
        return program_of(value);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i]) == 0)
            return af_json_text(value, strlen(value));
    if (strcmp(name, "errors") == 0 || strcmp(name, "time_wait_to") == 0)
        return pairs(value);
    if (number(value, &n))
        return json_integer(n);
    if (strcmp(name, "elapsed_s") == 0) {
        char *end;
        double seconds = strtod(value, &end);
        return *value >= '0' && *value <= '9' && !*end && isfinite(seconds) ? json_real(seconds) : NULL;
    }
    return af_json_text(value, strlen(value)); /* a field of a later release */
}

static json_t *from_logfmt(char *line) {
    json_t *object = json_object();
    while (*line) {
        char *name = line, *value = NULL;
        json_t *field = NULL;
        line += strcspn(line, "= ");
        if (*line == '=') {
            *line++ = 0;
            value = value_at(&line);
        }
        if (value && !json_object_get(object, name))
            field = typed(name, value);
        if (!field || json_object_set_new(object, name, field) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static json_t *from_json(const char *line, size_t size) {
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *program = json_string_value(json_object_get(object, "program"));
    if (program)
        json_object_set_new(object, "program", program_of(program));
    return object;
}

/* ---- what a line says --------------------------------------------------------------------------------------- */

static bool read_time(const char *text, uint64_t *ns) {
    struct tm tm = { 0 };
    int ms, used = 0;
    if (!text ||
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &ms, &used) != 7 ||
        !used || text[used] || ms < 0)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = timegm(&tm);
    *ns = (uint64_t)seconds * 1000000000u + (uint64_t)ms * 1000000u;
    return seconds >= 0;
}

static bool read_count(const json_t *object, const char *name, uint64_t *out) {
    const json_t *value = json_object_get(object, name);
    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) < INT64_MAX / (AF_COUNTERS + 1);
}

/* False where a count in it is none. */
static bool read_pairs(json_t *object, const char *name, struct af_pairs *to, uint32_t *of) {
    json_t *value = json_object_get(object, name), *pairs = json_object(), *one;
    bool good = json_is_object(value);
    const char *key;
    uint64_t n;
    json_object_foreach(value, key, one) {
        char *fit = af_utf8_text(key, strlen(key), NULL);
        const json_int_t before = json_integer_value(json_object_get(pairs, fit));
        good = good && read_count(value, key, &n) && (uint64_t)before + n < INT64_MAX / (AF_COUNTERS + 1);
        if (good)
            af_json_put(pairs, fit, (uint64_t)before + n);
        free(fit);
    }
    if (good)
        af_pairs_add_json(to, of, pairs);
    json_decref(pairs);
    return good;
}

/* NULL, or why not. */
static const char *read_counts(const json_t *object, uint64_t count[AF_COUNTERS]) {
    uint64_t open;
#define COUNTER(name, help) \
    if (!read_count(object, #name, &count[AF_COUNT_##name])) \
        return "no count of " #name;
#define DERIVED(name, help) \
    if (!read_count(object, #name, &name)) \
        return "no count of " #name;
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
    return (int64_t)open == af_seen_open(count) ? NULL : "its counts do not add up";
}

static const char *read_object(json_t *object, struct af_log_line *out) {
    struct af_entry *e = &out->image;
    const char *program = json_string_value(json_object_get(object, "program"));
    const json_t *version = json_object_get(object, "version");
    const double elapsed = json_number_value(json_object_get(object, "elapsed_s"));
    uint64_t pid;
    if (!json_is_integer(version))
        return "not a line of afterfin's log";
    if (json_integer_value(version) != 1)
        return "a line of another version";
    if (!program || !json_is_string(json_object_get(object, "event")) || !read_count(object, "pid", &pid) || !pid)
        return "no event, program or pid";
    if (!read_time(json_string_value(json_object_get(object, "time")), &e->at) ||
        !json_is_number(json_object_get(object, "elapsed_s")) || !(elapsed >= 0) || elapsed * 1e9 > (double)e->at)
        return "no time or elapsed_s";
    const char *why = read_counts(object, e->count);
    if (why)
        return why;
    e->pairs.errors = e->pairs.time_wait_to = 0;
    if (!read_pairs(object, "errors", &e->pairs, &e->pairs.errors) ||
        !read_pairs(object, "time_wait_to", &e->pairs, &e->pairs.time_wait_to))
        return "its errors or time_wait_to are none";
    e->pid = (int64_t)pid;
    e->started = e->at - (uint64_t)(elapsed * 1e9);
    out->program = af_format("%s", program);
    out->program_size = strlen(out->program);
    return NULL;
}

const char *af_log_any(char *line, size_t size, struct af_log_line *out) {
    json_t *object = NULL;
    if (strlen(line) != size)
        return "a NUL in it";
    if (*line == '{')
        object = from_json(line, size);
    else if (strncmp(line, ours, sizeof ours - 1) == 0)
        object = from_logfmt(line + sizeof ours - 1);
    else
        return "not a line of afterfin's log";
    if (!object)
        return "broken";
    const char *why = read_object(object, out);
    json_decref(object);
    return why;
}
