/* What the tests of set have in common. */
#ifndef AFTERFIN_TESTS_CLI_SET_SET_H
#define AFTERFIN_TESTS_CLI_SET_SET_H

#include "tests/harness/command.h"

#include <stdlib.h>

/* `afterfin set --json --pid PID ONE [TWO]`, which ends with this status. */
static inline json_t *set_json(int status, pid_t pid, const char *one, const char *two, ...) {
    json_error_t error;
    char number[16];
    snprintf(number, sizeof number, "%d", (int)pid);
    struct ended e = command(NULL, "set", "--json", "--pid", number, one, two, NULL);
    cr_expect_eq(e.status, status, "%s %s: %d: %s", one, two ? two : "", e.status, e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

#endif
