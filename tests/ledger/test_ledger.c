/* What processes leave behind that were killed: `run` settles it from their ledgers and the kernel's table. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <signal.h>
#include <stdlib.h>

enum { N = 40 };

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
        { "on records that have been used", "linger=off", { "-r" }, { 0 }, 128 + SIGKILL, 2 * N, 2 * N, 0, 0, 0 },
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

/* A server of one connection, killed in its last call of this name where `when` is not 0; how many calls of it there were. */
static unsigned serve_one(const char *directory, const char *call, unsigned when) {
    const char *calls = scratch_path();
    const char *kills = when ? text("-e inject=%s:signal=KILL:when=%u", call, when) : "";
    struct victim v = victim_start(NULL,
                                   "strace -o %s -e trace=%s %s -E LD_PRELOAD=%s -E AFTERFIN_LEDGER=%s %s "
                                   "127.0.0.1 8000 -n 1",
                                   calls, call, kills, library_path(), directory, victim_path("server_close"));
    ns_wait_listen(8000);
    client_run(&(struct client_options){ .port = 8000, .n = 1 });
    struct ended e = victim_wait(&v);
    cr_assert_eq(e.status, when ? 128 + SIGKILL : 0, "%s: %d %s", call, e.status, e.err);
    ns_settle();
    return (unsigned)strtoul(run(NULL, "grep -c ^%s %s", call, calls).out, NULL, 10);
}

/* Killed inside a call that the library makes: what the kernel is asked there is not known yet. */
Test(ledger, an_accepted_connection_counts_from_when_readers_can_tell_which_it_is) {
    static const struct {
        const char *call;
        long established;
    } rows[] = { { "getsockopt", 0 }, { "poll", 1 } }; /* for its cookie; how it ended */
    if (run(NULL, "strace -V").status != 0)
        cr_skip_test("no strace");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ns_enter();
        const unsigned calls = serve_one(directory_made(), rows[i].call, 0);
        const char *directory = directory_made();
        ns_enter();
        serve_one(directory, rows[i].call, calls);
        cr_expect_eq(ns_tw(), 1, "%s: the test itself", rows[i].call);
        json_t *report = json_loads(command(NULL, "report", "--json", "-d", directory, NULL).out, 0, NULL);
        expect(report, "totals.accepts", 1, rows[i].call);
        expect(report, "totals.established", rows[i].established, rows[i].call);
        expect(report, "totals.time_wait", rows[i].established, rows[i].call);
        expect(report, "totals.open", 0, rows[i].call);
    }
}
