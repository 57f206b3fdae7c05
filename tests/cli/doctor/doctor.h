/* What the tests of doctor have in common. */
#ifndef AFTERFIN_TESTS_CLI_DOCTOR_DOCTOR_H
#define AFTERFIN_TESTS_CLI_DOCTOR_DOCTOR_H

#include "tests/harness/command.h"

#include <stdlib.h>

/* `afterfin doctor --json OPTION VALUE` (either may be NULL), which ends with this status. */
static inline json_t *doctor_json(int status, const char *option, const char *value) {
    json_error_t error;
    struct ended e = command(NULL, "doctor", "--json", option ? option : value, option ? value : NULL, NULL);
    cr_assert_eq(e.status, status, "%s %s: %d: %s", option ? option : "", value ? value : "", e.status, e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

/* A string by path; "" where it is null or not there. */
static inline const char *json_text(const json_t *json, const char *path) {
    const char *text = json_string_value(json_find(json, path));
    return text ? text : "";
}

/* The object in this array whose `field` is `name`; NULL. */
static inline const json_t *named(const json_t *array, const char *field, const char *name) {
    for (size_t i = 0; i < json_array_size(array); i++)
        if (strcmp(json_text(json_array_get(array, i), field), name) == 0)
            return json_array_get(array, i);
    return NULL;
}

#endif
