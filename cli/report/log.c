/* Log lines as the library writes them (shim/line.c): logfmt or JSON, each line by itself. Both become a JSON
 * object first, and one check is made of both. */
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/busy.h"
#include "cli/output/say.h"
#include "cli/output/text.h"
#include "cli/report/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char ours[] = "afterfin ";
/* Told of one file; bytes of a line, of which ours have some thousands. */
enum { MOST_COMPLAINTS = 10, LONGEST_LINE = 1 << 20 };

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

/* NULL where there are none; false where a count in it is none. */
static bool read_pairs(json_t *object, const char *name, json_t **out) {
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
    *out = good && json_object_size(pairs) ? json_incref(pairs) : NULL;
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

static const char *read_object(json_t *object, struct af_entry *e) {
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
    if (!read_pairs(object, "errors", &e->errors) || !read_pairs(object, "time_wait_to", &e->time_wait_to))
        return "its errors or time_wait_to are none";
    e->pid = (int64_t)pid;
    e->started = e->at - (uint64_t)(elapsed * 1e9);
    af_entry_name(e, af_format("%s", program));
    return NULL;
}

/* ---- a file ------------------------------------------------------------------------------------------------- */

static void free_entry(struct af_entry *e) {
    json_decref(e->errors);
    json_decref(e->time_wait_to);
}

static const char *read_line(struct af_entries *entries, char *line, size_t size) {
    struct af_entry e = { .order = entries->n };
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
    const char *why = read_object(object, &e);
    json_decref(object);
    if (why) {
        free_entry(&e);
        return why;
    }
    entries->all = af_room_for_one(entries->all, entries->n, sizeof *entries->all);
    entries->all[entries->n++] = e;
    return NULL;
}

/* A log in the middle of being read. */
struct place {
    struct af_entries *entries;
    const char *name;
    size_t line, complaints;
};

/* Where in `from` a line of ours begins, its end if none does. */
static char *next_start(char *from, char *end) {
    static const char *const starts[] = { "afterfin version=", "{\"version\"" };
    char *first = end;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        char *at = memmem(from, (size_t)(end - from), starts[i], strlen(starts[i]));
        first = at && at < first ? at : first;
    }
    return first;
}

static void take(struct place *p, char *line, size_t size, bool piece) {
    const char *why = read_line(p->entries, line, size);
    p->entries->lines += !why;
    p->entries->skipped += why != NULL;
    if (why && p->complaints++ >= MOST_COMPLAINTS)
        return;
    if (why && piece)
        af_tell("report: %s:%zu: %s: left out, %zu bytes", p->name, p->line, why, size);
    else if (why)
        af_tell("report: %s:%zu: %s", p->name, p->line, why);
}

/* A disk that was full has cut a line off, newline and all, and the next one stands right behind it. A whole line may
 * have such a beginning in it too, as some program's name. */
static void take_line(struct place *p, char *line, size_t size) {
    char *end = line + size, *next = size ? next_start(line + 1, end) : end;
    if (next < end) {
        char *copy = memcpy(af_array(NULL, size + 1, 1), line, size + 1);
        const char *why = read_line(p->entries, copy, size);
        free(copy);
        p->entries->lines += !why;
        if (!why)
            return;
    }
    for (bool pieces = next < end; line < end; line = next, next = line < end ? next_start(line + 1, end) : end) {
        const char first = *next;
        *next = 0;
        take(p, line, (size_t)(next - line), pieces);
        *next = first;
    }
}

/* One line without its newline (a CR before it is of the newline), and a NUL. False: there is none, or it is longer than any of ours. */
static bool next_line(FILE *file, char line[LONGEST_LINE + 1], size_t *size) {
    int c = EOF;
    for (*size = 0; *size < LONGEST_LINE && (c = getc_unlocked(file)) != EOF && c != '\n';)
        line[(*size)++] = (char)c;
    *size -= c == '\n' && *size && line[*size - 1] == '\r';
    line[*size] = 0;
    return c == '\n' || (c == EOF && *size);
}

static bool read_stream(struct af_entries *entries, FILE *file, const char *name) {
    struct place p = { .entries = entries, .name = name };
    char *line = af_array(NULL, LONGEST_LINE + 1, 1);
    size_t size;
    errno = 0;
    while (next_line(file, line, &size)) {
        p.line++;
        if (p.line % 1024 == 0)
            af_busy("lines", entries->lines + entries->skipped, 0);
        take_line(&p, line, size);
        errno = 0;
    }
    const int error = ferror(file) ? errno : 0;
    const bool endless = size == LONGEST_LINE;
    free(line);
    if (p.complaints > MOST_COMPLAINTS)
        af_tell("report: %s: and %zu more lines that are not of afterfin's log, or broken", name,
                p.complaints - MOST_COMPLAINTS);
    if (endless)
        af_tell("report: %s:%zu: a line of more than %d bytes: it is no log, and is read no further", name, p.line + 1,
                LONGEST_LINE);
    if (error)
        af_tell("report: %s: %s", name, strerror(error));
    return !error && !endless;
}

bool af_report_read_log(struct af_entries *entries, const char *path) {
    if (strcmp(path, "-") == 0)
        return read_stream(entries, stdin, "stdin");
    FILE *file = fopen(path, "re");
    if (!file) {
        af_tell("report: %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = read_stream(entries, file, path);
    fclose(file);
    return ok;
}
