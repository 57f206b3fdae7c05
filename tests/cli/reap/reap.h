/* What the tests of reap have in common. */
#ifndef AFTERFIN_TESTS_CLI_REAP_REAP_H
#define AFTERFIN_TESTS_CLI_REAP_REAP_H

#include "tests/cli/who/who.h"

#include <time.h>

/* Until what was closed first on this side is in TIME_WAIT: the peer may not have come to its own close yet. */
static inline void settle_towards(uint16_t port) {
    const time_t deadline = time(NULL) + 60;
    while (ns_count(ST_FIN_WAIT1, 0, port) + ns_count(ST_FIN_WAIT2, 0, port)) {
        cr_assert(time(NULL) < deadline, "connections to port %u do not end", port);
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    ns_settle();
}

/* n TIME_WAITs towards this address and port; returns the pid of whoever left them. */
static inline pid_t leave_at(const char *settings, const char *address, uint16_t port, unsigned n) {
    const pid_t pid = leave(settings, 0,
                            (const char *[]){ "connect_close", address, number(port), "-n", number(n), NULL });
    settle_towards(port);
    return pid;
}

/* The same, at 127.0.0.1, and nobody's. */
static inline void leave_some(uint16_t port, unsigned n) {
    leave_at(NULL, "127.0.0.1", port, n);
}

static inline size_t waiting(unsigned local_port, unsigned remote_port) {
    return ns_count(ST_TIME_WAIT, local_port, remote_port);
}

/* `afterfin reap --json ARGUMENT...`, which has to end with 0. */
#define reap_json(...) reap_json_of(command(NULL, "reap", "--json", __VA_ARGS__, NULL))

static inline json_t *reap_json_of(struct ended e) {
    json_error_t error;
    cr_assert_eq(e.status, 0, "%d: %s", e.status, e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

#endif
