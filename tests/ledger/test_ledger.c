/* What processes leave behind that were killed: `run` settles it from their ledgers and the kernel's table. */
#include "tests/harness/command.h"

#include <signal.h>

enum { N = 40 };

static const char *text(const char *format, unsigned n) {
    char *out;
    return asprintf(&out, format, n) < 0 ? NULL : out;
}

static void expect(const json_t *json, const char *path, long wanted, const char *what) {
    cr_expect_eq(json_number(json, path), wanted, "%s: %s is %ld, not %ld", what, path, json_number(json, path),
                 wanted);
}

/* Every row and the totals: established splits without rest. */
static void expect_invariant(const json_t *json, const char *what) {
    static const char *const parts[] = { "time_wait", "avoided", "passive", "aborted", "passed", "open" };
    size_t n = json_array_size(json_object_get(json, "processes"));
    for (size_t i = 0; i <= n; i++) {
        const json_t *counts = json_find(json, i < n ? text("processes.%u", (unsigned)i) : "totals");
        long sum = 0;
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            sum += json_number(counts, parts[p]);
        cr_expect_eq(json_number(counts, "established"), sum, "%s: row %zu", what, i);
    }
}

/* How many TIME_WAITs the rows' endpoints add up to. */
static long to_endpoints(const json_t *json) {
    long sum = 0;
    size_t i;
    const json_t *process;
    json_array_foreach(json_object_get(json, "processes"), i, process)
        sum += json_endpoints(process);
    return sum;
}

Test(ledger, settles_what_was_killed) {
    static const struct {
        const char *name, *policy, *how[2];
        struct peer_options peer;
        int status;
        long connections, time_wait, avoided, passive, passed;
    } rows[] = {
        { "alone", "linger=off", { NULL }, { 0 }, 128 + SIGKILL, N, N, 0, 0, 0 },
        { "alone, ack", "linger=ack", { NULL }, { 0 }, 128 + SIGKILL, N, 0, N, 0, 0 },
        { "rst is for closes", "linger=rst", { NULL }, { 0 }, 128 + SIGKILL, N, N, 0, 0, 0 },
        { "the peer went first",
          "linger=off",
          { "-e" },
          { .answer = 1, .answer_after = 100, .closes_first = true },
          128 + SIGKILL,
          N,
          0,
          0,
          N,
          0 },
        { "unread data", "linger=off", { "-u" }, { .answer = 1 }, 128 + SIGKILL, N, 0, 0, N, 0 },
        { "a child, the parent lives on", "linger=off", { "-c" }, { 0 }, 0, N + 1, N + 1, 0, 0, 0 },
        { "a child, ack; the parent closes, unheard", "linger=ack", { "-c" }, { 0 }, 0, N + 1, 1, N, 0, 0 },
        { "a child who has them from its parent", "linger=off", { "-f" }, { 0 }, 0, N, N, 0, 0, -1 },
    };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer peer = peer_start(&rows[i].peer);
        long before = ns_tw();
        json_t *json = run_json(NULL, rows[i].status, "-p", rows[i].policy, victim_path("kill_open"), "127.0.0.1",
                                text("%u", peer.port), text("%u", N), "100", rows[i].how[0], NULL);
        peer_wait_ended(&peer, (unsigned)rows[i].connections);
        long left = ns_tw() - before;
        if (!rows[i].peer.closes_first)
            cr_expect_eq(left, rows[i].time_wait, "%s: the test itself: %ld", rows[i].name, left);
        long handed = json_number(json, "totals.passed");
        cr_expect(rows[i].passed < 0 || handed == rows[i].passed, "%s: passed %ld", rows[i].name, handed);
        expect(json, "totals.established", rows[i].connections + handed, rows[i].name);
        expect(json, "totals.time_wait", rows[i].time_wait, rows[i].name);
        expect(json, "totals.avoided", rows[i].avoided, rows[i].name);
        expect(json, "totals.passive", rows[i].passive, rows[i].name);
        expect(json, "totals.open", 0, rows[i].name);
        expect(json, "kernel.attributed", rows[i].time_wait, rows[i].name);
        cr_expect_eq(to_endpoints(json), rows[i].time_wait, "%s: endpoints %ld", rows[i].name, to_endpoints(json));
        expect_invariant(json, rows[i].name);
        peer_stop(&peer);
    }
}

Test(ledger, of_a_killed_process_says_what_it_could_only_guess) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1 });
    struct ended e = command(NULL, "run", victim_path("kill_open"), "127.0.0.1", text("%u", peer.port), "3", "10", "-u",
                             NULL);
    cr_expect_eq(e.status, 128 + SIGKILL);
    cr_expect(strstr(e.err, "3 connections were open when their process was killed"), "%s", e.err);
    cr_expect(strstr(e.err, "signal"), "%s", e.err);
}
