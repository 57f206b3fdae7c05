/* What afterfin run reports, held against the kernel's own books: sockstat, and what peers saw. */
#include "tests/harness/command.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *port_text(const struct peer *peer) {
    char *text;
    return asprintf(&text, "%u", peer->port) < 0 ? NULL : text;
}

/* DESIGN's `run --json`, name by name. */
Test(run_result, has_every_field_of_the_contract_and_no_other) {
    static const char *const top[] = { "version", "command",   "exit_status", "elapsed_s", "policy",
                                       "totals",  "processes", "kernel",      NULL };
    static const char *const totals[] = { "sockets", "binds",       "bind_errors", "connects", "connect_errors",
                                          "accepts", "established", "time_wait",   "avoided",  "passive",
                                          "aborted", "passed",      "open",        "errors",   NULL };
    static const char *const process[] = {
        "pid",          "ppid",        "program",     "command",  "ended",
        "sockets",      "binds",       "bind_errors", "connects", "connect_errors",
        "accepts",      "established", "time_wait",   "avoided",  "passive",
        "aborted",      "passed",      "open",        "errors",   "time_wait_confirmed",
        "time_wait_to", NULL
    };
    static const char *const kernel[] = { "time_wait_before", "time_wait_after", "attributed", NULL };
    static const struct {
        const char *path;
        const char *const *names;
    } objects[] = { { "", top }, { "totals", totals }, { "processes.0", process }, { "kernel", kernel } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    json_t *json = run_json(NULL, 0, "-p", "linger=off", victim_path("connect_close"), "127.0.0.1", port_text(&peer),
                            "-n", "3", NULL);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        json_expect_fields(json, objects[i].path, objects[i].names);
    cr_expect_eq(json_number(json, "version"), 1);
    cr_expect(json_is_real(json_object_get(json, "elapsed_s")));
    cr_expect_str_eq(json_string_value(json_find(json, "policy.linger")), "off");
    cr_expect_str_eq(json_string_value(json_find(json, "command.0")), victim_path("connect_close"));
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.command.0")), victim_path("connect_close"));
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.program")), "connect_close");
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.ended")), "exit");
}

static void expect(const json_t *json, const char *path, long wanted, const char *what) {
    cr_expect_eq(json_number(json, path), wanted, "%s: %s is %ld, not %ld", what, path, json_number(json, path),
                 wanted);
}

/* Every row: established splits without rest, and so do the totals. */
static void expect_invariant(const json_t *json, const char *what) {
    static const char *const parts[] = { "time_wait", "avoided", "passive", "aborted", "passed", "open" };
    size_t n = json_array_size(json_object_get(json, "processes"));
    for (size_t i = 0; i <= n; i++) {
        char path[64];
        snprintf(path, sizeof path, i < n ? "processes.%zu" : "totals", i);
        const json_t *counts = json_find(json, path);
        long sum = 0;
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            sum += json_number(counts, parts[p]);
        cr_expect_eq(json_number(counts, "established"), sum, "%s: %s", what, path);
    }
}

Test(run_result, is_what_the_kernel_says) {
    enum { N = 50 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *port = port_text(&peer);
    const struct {
        const char *name, *policy, *argv[8];
        long established, time_wait, avoided;
    } rows[] = {
        { "close", "linger=off", { "connect_close", "127.0.0.1", port, "-n", "50" }, N, N, 0 },
        { "ack", "linger=ack-always", { "connect_close", "127.0.0.1", port, "-n", "50" }, N, 0, N },
        { "rst", "linger=rst", { "connect_close", "127.0.0.1", port, "-n", "50" }, N, 0, N },
        { "exit", "linger=off", { "exit_open", "exit", "127.0.0.1", port, "50", "100" }, N, N, 0 },
        { "killed", "linger=off", { "exit_open", "sigkill", "127.0.0.1", port, "50", "100" }, N, N, 0 },
        { "exec", "linger=off", { "exit_open", "exec", "127.0.0.1", port, "50", "100" }, N, N, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *a = rows[i].argv;
        long before = ns_tw();
        bool killed = strcmp(rows[i].name, "killed") == 0;
        json_t *json = run_json(NULL, killed ? 128 + SIGKILL : 0, "-p", rows[i].policy, victim_path(a[0]), a[1], a[2],
                                a[3], a[4], a[5], a[6], NULL);
        long left = ns_tw() - before;
        cr_expect_eq(left, rows[i].time_wait, "%s: the test itself: %ld", rows[i].name, left);
        expect(json, "totals.established", rows[i].established, rows[i].name);
        expect(json, "totals.time_wait", left, rows[i].name);
        expect(json, "totals.avoided", rows[i].avoided, rows[i].name);
        expect(json, "processes.0.time_wait_confirmed", left, rows[i].name);
        expect(json, "kernel.attributed", left, rows[i].name);
        expect(json, "kernel.time_wait_before", before, rows[i].name);
        expect(json, "kernel.time_wait_after", before + left, rows[i].name);
        expect_invariant(json, rows[i].name);
        cr_expect_str_eq(json_string_value(json_find(json, "processes.0.ended")), killed ? "signal"
                                                                                  : strcmp(rows[i].name, "exec") == 0
                                                                                      ? "exec"
                                                                                      : "exit");
        if (left) {
            char path[64];
            snprintf(path, sizeof path, "127.0.0.1:%s", port);
            const json_t *to = json_find(json, "processes.0.time_wait_to");
            cr_expect(killed || json_integer_value(json_object_get(to, path)) == left, "%s: endpoint", rows[i].name);
        }
    }
}

Test(run_result, of_a_tree_adds_up_to_what_the_kernel_has) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    json_t *json = run_json(NULL, 0, "sh", "-c",
                            "\"$0\" 127.0.0.1 $1 -n 10 & \"$0\" 127.0.0.1 $1 -n 20 & wait; "
                            "\"$2\" 127.0.0.1 $1 100",
                            victim_path("connect_close"), port_text(&peer), victim_path("exec_close"), NULL);
    cr_expect_eq(ns_tw(), 31);
    expect(json, "kernel.attributed", 31, "tree");
    expect(json, "totals.time_wait", 31, "tree");
    /* exec_close hands one over: established twice, passed once. */
    cr_expect_eq(json_number(json, "totals.established") - json_number(json, "totals.passed"), 31);
    expect(json, "totals.passed", 1, "tree");
    expect(json, "totals.open", 0, "tree");
    expect_invariant(json, "tree");
    peer_wait_ended(&peer, 31);
}

Test(run_result, names_failures_by_call_and_errno) {
    ns_enter();
    json_t *json = run_json(NULL, 1, victim_path("connect_close"), "127.0.0.1", "9", NULL);
    expect(json, "totals.connect_errors", 1, "refused");
    expect(json, "processes.0.errors.connect:ECONNREFUSED", 1, "refused");
    expect(json, "totals.errors.connect:ECONNREFUSED", 1, "refused");
}

Test(run_result, shows_a_difference_to_the_kernel_and_explains_it) {
    ns_enter();
    ns_sysctl("tcp_max_tw_buckets", "10");
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(NULL, "run", victim_path("connect_close"), "127.0.0.1", port_text(&peer), "-n", "50",
                             NULL);
    cr_assert_eq(e.status, 0);
    cr_assert_eq(ns_tw(), 10);
    cr_assert(strstr(e.err, "note: 40 counted in TIME_WAIT but not seen in the kernel's table"), "%s", e.err);
    cr_assert(strstr(e.err, "than tcp_max_tw_buckets (10); afterfin(5)"), "%s", e.err);
    e = command(NULL, "run", "-p", "linger=ack-always", victim_path("connect_close"), "127.0.0.1", port_text(&peer),
                NULL);
    cr_assert_not(strstr(e.err, "note:"), "%s", e.err);
}

/* The first run leaves what the second fails for; the second alone cannot know who left it. */
Test(run_result, says_that_TIME_WAITs_of_others_hold_the_ports) {
    ns_enter();
    ns_port_range(30000, 30039);
    ns_sysctl("tcp_tw_reuse", "0");
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *const says = "note: connect found no port (EADDRNOTAVAIL): 40 TIME_WAIT towards 127.0.0.1:";
    for (int i = 0; i < 2; i++) {
        struct ended e = command("COLUMNS=500", "run", "-p", i ? "linger=ack-always" : "linger=off",
                                 victim_path("connect_close"), "127.0.0.1", port_text(&peer), "-n", "41", NULL);
        char *line = e.err ? strdup(e.err) : NULL;
        for (char *c = line; (c = strpbrk(c, "\n"));)
            *c = ' ';
        cr_expect(strstr(line, "connect:EADDRNOTAVAIL="), "%s", line);
        cr_expect_eq(strstr(line, says) != NULL, i == 1, "%d: %s", i, line);
        cr_expect_eq(strstr(line, "'afterfin reap --peer 127.0.0.1:") != NULL, i == 1, "%s", line);
    }
}

Test(run_result, counts_MPTCP_and_says_that_it_cannot_be_confirmed) {
    ns_enter();
    const char *enabled = file_text("/proc/sys/net/mptcp/enabled");
    if (!enabled || *enabled != '1')
        cr_skip_test("no MPTCP in this kernel");
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(NULL, "run", victim_path("connect_close"), "127.0.0.1", port_text(&peer), "-n", "5", "-m",
                             NULL);
    cr_assert_eq(ns_tw(), 5);
    cr_assert(strstr(e.err, "note: 5 in TIME_WAIT are MPTCP connections"), "%s", e.err);
    cr_assert_not(strstr(e.err, "not seen in the kernel's table"), "%s", e.err);
}

/* CMD's own namespace is not ours, and gone when CMD is. */
Test(run_result, says_that_another_network_namespace_was_not_looked_into) {
    ns_enter();
    struct ended e = command(
        NULL, "run", "unshare", "--net", "sh", "-c",
        "ip link set lo up; "
        "\"$0\" 127.0.0.1 7000 -n 1 -q 1 & while ! grep -q ':1B58 00000000:0000 0A' /proc/net/tcp; do sleep 0.02; "
        "done; \"$1\" 127.0.0.1 7000 -b 1; wait",
        victim_path("server_close"), victim_path("connect_close"), NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert(strstr(e.err, "counted in another network namespace"), "%s", e.err);
    unsigned dashes = 0;
    for (const char *dash = e.err; (dash = strstr(dash, "   -")); dash++)
        dashes++;
    cr_assert_eq(dashes, 3, "neither the two nor their total are confirmed: %s", e.err);
}

/* DESIGN: "children that outlive CMD". */
Test(run_result, shows_children_that_outlive_CMD_and_leaves_them_their_ledger) {
    const char *directory = scratch_path();
    char base[128], option[160];
    ns_enter();
    cr_assert_eq(run("", "mkdir -m 700 %s", directory).status, 0);
    snprintf(base, sizeof base, "AFTERFIN_LEDGER=%s", directory);
    const char *result = scratch_path();
    snprintf(option, sizeof option, "--json=%s", result);
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = command_start(base, "run", option, "sh", "-c",
                                    "trap 'exit 5' USR1; \"$0\" 127.0.0.1 $1 & "
                                    "echo ready; while :; do sleep 0.02; done",
                                    victim_path("connect_hold"), port_text(&peer), NULL);
    victim_wait_out(&v, "ready");
    peer_wait_accepted(&peer, 1);
    struct ended e = victim_kill(&v, SIGUSR1);
    cr_assert_eq(e.status, 5);
    cr_assert(strstr(e.err, "running"), "%s", e.err);
    json_t *json = json_load_file(result, 0, NULL);
    cr_assert_str_eq(json_string_value(json_find(json, "processes.0.ended")), "running");
    expect(json, "processes.0.open", 1, "running");
    expect(json, "kernel.attributed", 0, "running");
    cr_assert_eq(entries(directory, "run-"), 1);

    pid_t child = (pid_t)json_number(json, "processes.0.pid");
    cr_assert_eq(kill(child, SIGKILL), 0);
    peer_wait_ended(&peer, 1);
    while (kill(child, 0) == 0)
        usleep(2000);
    cr_assert_eq(command(base, "run", "true", NULL).status, 0);
    cr_assert_eq(entries(directory, "run-"), 0, "the next run takes it away");
    cr_assert_eq(entries(directory, ""), 1, "and keeps the ledger that was asked for");
}

Test(run_result, keeps_ledgers_only_where_they_were_asked_for) {
    char base[128];
    const char *directory = scratch_path();
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_assert_eq(run("", "mkdir -m 700 %s", directory).status, 0);
    const char *victim = victim_path("connect_close");
    snprintf(base, sizeof base, "ledger=%s", directory);
    cr_assert_eq(command(NULL, "run", "-p", base, victim, "127.0.0.1", port_text(&peer), NULL).status, 0);
    cr_assert_eq(entries(directory, ""), 1);
    snprintf(base, sizeof base, "AFTERFIN_LEDGER=%s", directory);
    cr_assert_eq(command(base, "run", "sh", "-c", "\"$0\" 127.0.0.1 $1; \"$0\" 127.0.0.1 $1", victim, port_text(&peer),
                         NULL)
                     .status,
                 0);
    cr_assert_eq(entries(directory, ""), 3);
    cr_assert_eq(entries(directory, "run-"), 0);
    /* The default directory is other tests' too: look for what is named after this process. */
    json_t *json = run_json(NULL, 0, victim, "127.0.0.1", port_text(&peer), NULL);
    struct ended e = run("", "find /run/afterfin -name %ld-* -newer %s", json_number(json, "processes.0.pid"),
                         directory);
    cr_assert_str_empty(e.out);
}

/* Its end is a system call that no library can see. */
Test(run_result, tells_a_raw_exit_from_a_signal) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    json_t *json = run_json(NULL, 5, victim_path("raw_exit"), "127.0.0.1", port_text(&peer), "5", NULL);
    cr_assert_str_eq(json_string_value(json_find(json, "processes.0.ended")), "exit");
    expect(json, "processes.0.time_wait", 1, "raw exit");
    expect(json, "kernel.attributed", 1, "raw exit");
}

Test(run_result, of_a_run_inside_a_run_is_in_both) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *inner = scratch_path();
    json_t *json = run_json(NULL, 0, "sh", "-c",
                            "\"$0\" run -q --json=\"$3\" \"$1\" 127.0.0.1 $2 -n 4; "
                            "\"$1\" 127.0.0.1 $2 -n 3",
                            command_path(), victim_path("connect_close"), port_text(&peer), inner, NULL);
    expect(json, "totals.time_wait", 7, "outer");
    expect(json, "kernel.attributed", 7, "outer");
    expect(json_load_file(inner, 0, NULL), "kernel.attributed", 4, "inner");
}

Test(run_result, of_two_at_once_holds_each_ones_own) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *result[2], *port = port_text(&peer);
    struct victim v[2];
    for (int i = 0; i < 2; i++) {
        char option[160];
        result[i] = scratch_path();
        snprintf(option, sizeof option, "--json=%s", result[i]);
        v[i] = command_start(NULL, "run", "-q", option, victim_path("connect_close"), "127.0.0.1", port, "-n",
                             i ? "70" : "90", "-i", "1", NULL);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(victim_wait(&v[i]).status, 0);
    expect(json_load_file(result[0], 0, NULL), "kernel.attributed", 90, "first");
    expect(json_load_file(result[1], 0, NULL), "kernel.attributed", 70, "second");
    cr_assert_eq(ns_tw(), 160);
}

/* What can be known before is said before CMD starts; what fails later leaves CMD's status. */
Test(run_result, that_cannot_be_written_is_said_and_CMDs_status_kept) {
    static const struct {
        const char *option, *why;
        int status;
        const char *out;
    } rows[] = {
        { "--json=/nonexistent/result", "No such file or directory", 125, "" },
        { "--json=/", "Is a directory", 125, "" },
        { "--json=/dev/full", "No space left on device", 3, "ran\n" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, "run", "-q", rows[i].option, "sh", "-c", "echo ran; exit 3", NULL);
        cr_expect_eq(e.status, rows[i].status, "%s: %d", rows[i].option, e.status);
        cr_expect_str_eq(e.out, rows[i].out, "%s", rows[i].option);
        cr_expect(strstr(e.err, rows[i].why), "%s: %s", rows[i].option, e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "one line: %s", e.err);
    }
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", "\"$0\" run --json sh -c 'exit 3' >&-; echo $?",
                                                      command_path(), NULL });
    cr_expect_str_eq(e.out, "3\n");
    cr_expect(strstr(e.err, "cannot write JSON to stdout"), "%s", e.err);
    e = run_argv(NULL, (const char *[]){ "sh", "-c", "(\"$0\" run --json sh -c 'exit 3' 2>&1; echo $? >&2) | true",
                                         command_path(), NULL });
    cr_expect(strstr(e.err, "3\n"), "a reader that has gone: %s", e.err);
}

/* Its own memory may be short for what many connections leave: CMD's status stays once it has ended. */
Test(run_result, is_out_of_memory_with_a_status_of_its_own_or_CMDs) {
    const char *path = scratch_path();
    unsigned short_of = 0;
    for (int kb = 4800; kb <= 6600; kb += 150) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        unlink(path);
        struct ended e =
            shell("ulimit -v %d; build/afterfin run -q --json=%s sh -c '%s 127.0.0.1 %u -n 2000 >&-; exit 3'", kb, path,
                  victim_path("connect_close"), peer.port);
        peer_stop(&peer);
        if (!strstr(e.err, "afterfin: out of memory"))
            continue;
        short_of++;
        cr_expect(e.status == 3 || e.status == 125, "%d KB: %d %s", kb, e.status, e.err);
        const bool said = strstr(e.err, "is not written") != NULL, absent = access(path, F_OK) != 0;
        cr_expect(said == absent || (absent && e.status == 125), "%d KB: %s", kb, e.err);
    }
    if (!short_of)
        cr_skip_test("no limit of memory that would let the command start, and no more");
}

Test(run_result, replaces_a_file_as_a_whole_and_writes_to_a_pipe) {
    const char *path = scratch_path();
    char option[160];
    snprintf(option, sizeof option, "--json=%s", path);
    cr_assert_eq(command(NULL, "run", "-q", option, "true", NULL).status, 0);
    struct stat first, second;
    cr_assert_eq(stat(path, &first), 0);
    cr_assert_eq(command(NULL, "run", "-q", option, "true", NULL).status, 0);
    cr_assert_eq(stat(path, &second), 0);
    cr_assert_neq(first.st_ino, second.st_ino, "another file in its place");
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", "\"$0\" run -q --json=/dev/fd/3 true 3>&1 | cat",
                                                      command_path(), NULL });
    cr_assert(json_loads(e.out, 0, NULL), "%s", e.out);
}

/* Those that run on their parent's memory are left alone, and leave nothing behind in it. */
Test(run_result, counts_and_treats_a_child_with_memory_of_its_own_after_children_without) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    json_t *json = run_json(NULL, 0, "-p", "linger=ack-always", victim_path("clones"), "127.0.0.1", port_text(&peer),
                            "10", NULL);
    peer_wait_ended(&peer, 20);
    cr_expect_eq(json_number(json, "totals.connects"), 10, "%s", json_dumps(json, 0));
    cr_expect_eq(json_number(json, "totals.avoided"), 10, "%s", json_dumps(json, 0));
    ns_settle();
    cr_expect_eq(ns_count(ST_TIME_WAIT, 0, peer.port), 10);
}

/* 60 children that leave one each, and one that leaves 5: a screen of rows, and what the others come to. */
Test(run_result, of_more_processes_than_a_screen_holds_shows_the_heaviest_and_a_sum) {
    enum { CHILDREN = 60, ROWS_SHOWN = 40 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *result = scratch_path(), *port = port_text(&peer);
    char option[160], script[512];
    snprintf(option, sizeof option, "--json=%s", result);
    snprintf(script, sizeof script, "\"$0\" 127.0.0.1 %s %d; exec %s 127.0.0.1 %s -n 5", port, CHILDREN,
             victim_path("connect_close"), port);
    struct ended e = command(NULL, "run", option, "sh", "-c", script, victim_path("fork_many"), NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    unsigned forked = 0;
    for (const char *at = e.err; (at = strstr(at, " fork_many")); at++)
        forked++;
    cr_expect_eq(forked, ROWS_SHOWN - 1, "%s", e.err);
    cr_expect(strstr(e.err, " connect_close "), "the heaviest is there: %s", e.err);
    int sum[4] = { 0 };
    const char *others = strstr(e.err, " 21 others ");
    cr_assert(others && sscanf(others, " 21 others %d %d %d %d", &sum[0], &sum[1], &sum[2], &sum[3]) == 4, "%s", e.err);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(sum[i], CHILDREN - (ROWS_SHOWN - 1), "connects, established, time_wait, confirmed: %s", others);
    cr_expect_eq(json_array_size(json_object_get(json_load_file(result, 0, NULL), "processes")), CHILDREN + 1);
}
