/* What the tests of who and report have in common. */
#ifndef AFTERFIN_TESTS_CLI_WHO_WHO_H
#define AFTERFIN_TESTS_CLI_WHO_WHO_H

#include "tests/harness/command.h"

#include <stdlib.h>
#include <unistd.h>

static inline json_t *who_json(const char *directory, const char *option, const char *value) {
    json_error_t error;
    struct ended e = command(NULL, "who", "-d", directory, "--json", option, value, NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

static inline const char *ledger_in(const char *directory) {
    char *setting;
    cr_assert_gt(asprintf(&setting, "LEDGER=%s", directory), 0);
    return setting;
}

static inline long total_of(const json_t *json, pid_t pid) {
    const json_t *processes = json_object_get(json, "processes");
    for (size_t i = 0; i < json_array_size(processes); i++)
        if (json_number(json_array_get(processes, i), "pid") == pid)
            return json_number(json_array_get(processes, i), "time_wait");
    return 0;
}

/* Started under the library, waited for; its pid. */
static inline pid_t leave(const char *settings, int status, const char *const argv[]) {
    struct victim v = victim_start_argv(settings, argv);
    pid_t pid = v.pid;
    struct ended e = victim_wait(&v);
    cr_assert_eq(e.status, status, "%s: %d: %s", argv[0], e.status, e.err);
    return pid;
}

static inline const char *number(unsigned n) {
    char *text;
    cr_assert_gt(asprintf(&text, "%u", n), 0);
    return text;
}

/* Three of them, by a process in a pid namespace of its own. */
static inline void leave_as_pid_1(const char *directory, unsigned port) {
    struct ended e = run_argv(ledger_in(directory),
                              (const char *[]){ "unshare", "-pf", "--mount-proc", victim_path("connect_close"),
                                                "127.0.0.1", number(port), "-n", "3", NULL });
    if (e.status != 0)
        cr_skip_test("no pid namespace: %s", e.err);
    ns_settle();
}

#endif
