/* Log lines, both formats, taken apart without any code of the library. */
#include "tests/harness/harness.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_log_line(const char *line) {
    return strncmp(line, "afterfin version=", 17) == 0 || *line == '{';
}

const char *log_line(const char *text, unsigned nth) {
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        if (is_log_line(text) && nth-- == 0)
            return strndup(text, len);
        text += len + (text[len] == '\n');
    }
    return NULL;
}

unsigned log_lines(const char *text) {
    unsigned n = 0;
    const char *line;

    while ((line = log_line(text, n))) {
        free((char *)line);
        n++;
    }
    return n;
}

static char hex_byte(const char **at) {
    char digits[3] = { (*at)[1], (*at)[1] ? (*at)[2] : 0, 0 };

    *at += strlen(digits);
    return (char)strtol(digits, NULL, 16);
}

/* A logfmt value at *at, quoted or not, moved over; into `out` if there is one. */
static void take_value(const char **at, char *out) {
    bool quoted = **at == '"';

    if (quoted)
        ++*at;
    for (; **at && **at != (quoted ? '"' : ' '); ++*at) {
        char c = **at;
        if (quoted && c == '\\' && (*at)[1]) {
            c = *++*at;
            c = c == 'n' ? '\n' : c == 'x' ? hex_byte(at) : c;
        }
        if (out)
            *out++ = c;
    }
    if (out)
        *out = 0;
    if (quoted && **at)
        ++*at;
}

static const char *logfmt_text(const char *line, const char *name) {
    const char *at = line + strcspn(line, " ");
    size_t len = strlen(name);

    while (*at == ' ') {
        at++;
        bool wanted = strncmp(at, name, len) == 0 && at[len] == '=';
        char *value = wanted ? malloc(strlen(at) + 1) : NULL;
        at += strcspn(at, "= ");
        if (*at == '=')
            at++;
        take_value(&at, value);
        if (wanted)
            return value;
    }
    return NULL;
}

static const char *json_value(const char *line, const char *name) {
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

    cr_assert(json_is_object(object), "not a JSON object (%s): %s", error.text, line);
    json_t *value = json_object_get(object, name);
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

const char *log_text(const char *line, const char *name) {
    cr_assert(line, "no log line to look for %s in", name);
    return *line == '{' ? json_value(line, name) : logfmt_text(line, name);
}

long log_number(const char *line, const char *name) {
    const char *text = log_text(line, name);
    char *end = NULL;
    long number = text && *text ? strtol(text, &end, 10) : -1;

    return end && !*end ? number : -1;
}

void log_expect_invariant(const char *line) {
    static const char *const parts[] = { "time_wait", "avoided", "passive", "aborted", "passed", "open" };
    long established = log_number(line, "established"), sum = 0;

    cr_assert(established >= 0, "established is missing: %s", line);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        long n = log_number(line, parts[i]);
        cr_assert(n >= 0, "%s is missing: %s", parts[i], line);
        sum += n;
    }
    cr_assert(established == sum, "established is not the sum of its parts: %s", line);
}
