/* What the tests of top have in common. */
#ifndef AFTERFIN_TESTS_CLI_TOP_TOP_H
#define AFTERFIN_TESTS_CLI_TOP_TOP_H

#include "tests/cli/who/who.h"

static inline json_t *parsed(const struct ended *e) {
    json_error_t error;
    cr_assert_eq(e->status, 0, "%d: %s", e->status, e->err);
    json_t *json = json_loads(e->out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e->out);
    return json;
}

static inline json_t *top_json(const char *directory, const char *option, const char *value) {
    struct ended e = command(NULL, "top", "-d", directory, "--once", "--json", "--delay", "0.1", option, value, NULL);
    return parsed(&e);
}

static inline const json_t *process_of(const json_t *json, pid_t pid) {
    const json_t *processes = json_object_get(json, "processes");
    for (size_t i = 0; i < json_array_size(processes); i++)
        if (json_number(json_array_get(processes, i), "pid") == pid)
            return json_array_get(processes, i);
    return NULL;
}

static inline const char *text_at(const json_t *json, const char *path) {
    const char *text = json_string_value(json_find(json, path));
    return text ? text : "";
}

static inline double real_at(const json_t *json, const char *path) {
    const json_t *found = json_find(json, path);
    return json_is_null(found) ? -1 : json_number_value(found);
}

static inline const char *address(const char *host, unsigned port) {
    char *text;
    cr_assert_gt(asprintf(&text, "%s:%u", host, port), 0);
    return text;
}

#endif
