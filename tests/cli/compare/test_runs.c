/* What compare measures, held against the kernel's books; and how it treats CMD. */
#include "tests/harness/command.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *format(const char *how, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *how, ...) {
    va_list args;
    char *text;
    va_start(args, how);
    cr_assert_gt(vasprintf(&text, how, args), 0);
    va_end(args);
    return text;
}

/* `afterfin compare --json=FILE OPTION... sh -c CMD`; the options are separated by '|'. */
static json_t *compare_json(int status, const char *options, const char *cmd, const char **err) {
    const char *argv[64] = { command_path(), "compare" }, *path = scratch_path();
    char *rest = NULL;
    int n = 2;
    argv[n++] = format("--json=%s", path);
    for (char *word = strtok_r(strdup(options), "|", &rest); word; word = strtok_r(NULL, "|", &rest))
        argv[n++] = word;
    argv[n++] = "/bin/sh";
    argv[n++] = "-c";
    argv[n++] = cmd;
    struct ended e = run_argv(NULL, argv);
    cr_assert_eq(e.status, status, "%d: %s%s", e.status, e.out, e.err);
    *err = e.err;
    return json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
}

static const json_t *difference(const json_t *json, const char *metric, const char *field) {
    const json_t *one, *all = json_object_get(json, "differences");
    size_t i;
    json_array_foreach(all, i, one)
        if (strcmp(json_string_value(json_object_get(one, "metric")), metric) == 0)
            return json_object_get(one, field);
    return NULL;
}

static void expect_all(const json_t *json, const char *metric, long a, long b, bool differs) {
    static const char *const numbers[] = { "median", "min", "max" };
    for (int k = 0; k < 6; k++) {
        const char *path = format("%s.%s.%s", k < 3 ? "a" : "b", metric, numbers[k % 3]);
        cr_expect_eq(json_number(json, path), k < 3 ? a : b, "%s is %ld", path, json_number(json, path));
    }
    cr_expect_eq(json_is_true(difference(json, metric, "differs")), differs, "%s", metric);
}

Test(compare_runs, measures_what_the_kernel_has_and_claims_what_differs) {
    enum { N = 20, ROUNDS = 5 };
    const char *err;
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *cmd = format("%s 127.0.0.1 %u -n %d", victim_path("connect_close"), peer.port, N);
    json_t *json = compare_json(0, "-a|linger=off|-b|linger=ack-always|-r|5", cmd, &err);
    cr_assert(json, "%s", err);
    expect_all(json, "connects", N, N, false);
    expect_all(json, "established", N, N, false);
    expect_all(json, "time_wait", N, 0, true);
    expect_all(json, "avoided", 0, N, true);
    expect_all(json, "failed_calls", 0, 0, false);
    expect_all(json, "ports", N, 0, true);
    cr_expect_eq(ns_tw(), N * ROUNDS);
    cr_expect_eq(json_number(json, "rounds.4.a.time_wait_before") % N, 0);
    cr_expect(json_is_null(difference(json, "avoided", "ratio")), "from 0: no ratio");
    cr_expect_gt(json_number_value(json_find(json, "a.connect_p50_us.min")), 0);
    cr_expect_leq(json_number_value(json_find(json, "a.connect_p50_us.max")),
                  json_number_value(json_find(json, "a.connect_max_us.max")));
}

Test(compare_runs, counts_failures_by_errno) {
    const char *err;
    ns_enter();
    ns_port_range(20000, 20009);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *cmd = format("%s 127.0.0.1 %u -n 15", victim_path("connect_close"), peer.port);
    json_t *json = compare_json(0, "-a|linger=off|-b|linger=ack-always|-r|1|-i", cmd, &err);
    cr_assert(json, "%s", err);
    /* Who goes second finds the range full if A was first. */
    cr_expect_geq(json_number(json, "a.errors.connect:EADDRNOTAVAIL.median"), 1, "%s", json_dumps(json, 0));
    cr_expect_eq(json_number(json, "a.failed_calls.median"),
                 json_number(json, "a.errors.connect:EADDRNOTAVAIL.median"));
}

/* COMPARE_SIDE tells --prepare which side it prepares: here B's namespace keeps no TIME_WAIT. */
Test(compare_runs, tells_prepare_which_side_it_is_for) {
    const char *err;
    ns_enter();
    /* A run that takes over a second would take its own ports again. */
    const char *prepare = "build/examples/server 127.0.0.1 8080 & echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse; "
                          "if [ $COMPARE_SIDE = B ]; then echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets; fi; "
                          "while ! grep -q ':1F90 00000000:0000 0A' /proc/net/tcp; do sleep 0.01; done";
    json_t *json = compare_json(0, format("-b|linger=off|-r|3|--netns|--prepare|%s", prepare),
                                format("%s 127.0.0.1 8080 -n 20", victim_path("connect_close")), &err);
    cr_assert(json, "%s", err);
    expect_all(json, "established", 20, 20, false);
    expect_all(json, "time_wait", 20, 0, false);
    expect_all(json, "ports", 20, 0, false);
}

/* 3 rounds carry no test: what is the same in all runs of a side is said nevertheless. */
Test(compare_runs, says_what_is_plain_where_rounds_are_too_few_for_a_claim) {
    static const struct {
        const char *rounds, *says;
    } rows[] = {
        { "3",
          "\n\nOne value in every run of A, another in every run of B: time_wait 4 to 0, avoided 0 to 4, ports 4 to 0. 3 "
          "rounds: too few to tell anything else from noise where " },
        { "5", "time_wait 4 to 0, avoided 0 to 4" },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = run_argv(NULL, (const char *[]){ command_path(), "compare", "-a", "linger=off", "-b",
                                                          "linger=ack-always", "-r", rows[i].rounds,
                                                          victim_path("connect_close"), "127.0.0.1",
                                                          format("%u", peer.port), "-n", "4", NULL });
        for (char *c = strstr(e.out, "\n\n") + 2; *c; c++) /* as wide as the terminal */
            *c = *c == '\n' && c[1] != '\n' && c[-1] != '\n' ? ' ' : *c;
        cr_expect(strstr(e.out, rows[i].says), "%s rounds: %s", rows[i].rounds, e.out);
        cr_expect_eq(strstr(e.out, "B differs from A beyond noise: ") != NULL, i == 1, "%s", e.out);
    }
}

/* The server of each run is started by --prepare in that run's own namespace, and ends with the run. */
Test(compare_runs, can_give_each_run_a_namespace_of_its_own) {
    const char *err, *pids = scratch_path();
    ns_enter();
    const char *prepare = format(
        "build/examples/server 127.0.0.1 8080 & echo $! >>%s; "
        "cd /proc/sys/net/ipv4; echo '21000 21099' >ip_local_port_range; echo 1 >tcp_rfc1337; echo 0 >tcp_tw_reuse; "
        "while ! grep -q ':1F90 00000000:0000 0A' /proc/net/tcp; do sleep 0.01; done",
        pids);
    const char *cmd = format("%s 127.0.0.1 8080 -n 100", victim_path("connect_close"));
    json_t *json = compare_json(0, format("-a|linger=off|-b|linger=ack-always|-r|3|--netns|--prepare|%s", prepare), cmd,
                                &err);
    cr_assert(json, "%s", err);
    /* 100 ports for 100 connections: no run has been loaded by another. */
    expect_all(json, "established", 100, 100, false);
    expect_all(json, "time_wait", 100, 0, false);
    expect_all(json, "ports", 100, 0, false);
    for (int r = 0; r < 3; r++)
        cr_expect_eq(json_number(json, format("rounds.%d.a.time_wait_before", r)), 0, "round %d", r);
    cr_expect_eq(ns_tw(), 0, "%ld", ns_tw());
    unsigned servers = 0;
    char *rest = NULL;
    for (char *pid = strtok_r(strdup(file_text(pids)), "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest), servers++)
        cr_expect(kill(atoi(pid), 0) != 0, "the server %s still runs", pid);
    cr_expect_eq(servers, 6);
    unlink(pids);
}

/* Its own, and nobody else's: 3 of somebody else stand there all along, and one comes beside each run. */
Test(compare_runs, can_end_what_a_run_left) {
    const char *err;
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    run(NULL, "connect_close 127.0.0.1 %u -n 3", peer.port);
    cr_assert_eq(ns_tw(), 3);
    const char *client = format("%s 127.0.0.1 %u", victim_path("connect_close"), peer.port);
    /* What nobody records is waited for by nobody: FIN_WAIT1 and 2, CLOSING. */
    const char *closed = "while grep -qE ': [^ ]+ [^ ]+ 0[45B] ' /proc/net/tcp; do sleep 0.01; done";
    json_t *json = compare_json(0, "-a|linger=off|-r|3|--settle=reap",
                                format("%s -n 5; LD_PRELOAD= %s; %s", client, client, closed), &err);
    cr_assert(json, "%s", err);
    expect_all(json, "time_wait", 5, 5, false);
    for (int r = 0; r < 6; r++) {
        const long run = json_number(json, format("rounds.%d.%c.run", r / 2, "ab"[r % 2]));
        const long before = json_number(json, format("rounds.%d.%c.time_wait_before", r / 2, "ab"[r % 2]));
        cr_expect_eq(before, 3 + run - 1, "run %ld: %ld", run, before);
    }
    cr_expect_eq(ns_tw(), 3 + 6, "%ld", ns_tw());
    if (geteuid() != 0)
        return;
    struct ended e = run_argv(NULL, (const char *[]){ "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
                                                      command_path(), "compare", "-a", "linger=off", "--settle=reap",
                                                      "true", NULL });
    cr_expect_eq(e.status, 125, "%d: %s", e.status, e.err);
    cr_expect(strstr(e.err, "--settle=reap needs CAP_NET_ADMIN"), "%s", e.err);
}

/* Orphans in FIN_WAIT2, which the kernel books as TIME_WAIT, with a time that a test can wait for. */
Test(compare_runs, can_wait_until_what_a_run_left_has_expired) {
    static const struct {
        const char *name, *settle;
        bool loaded;
    } rows[] = { { "not", "-r|2", true }, { "wait", "-r|2|--settle=wait", false } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *err;
        ns_enter();
        ns_sysctl("tcp_fin_timeout", "1");
        struct peer peer = peer_start(&(struct peer_options){ .holds = true });
        const char *cmd = format("%s 127.0.0.1 %u -n 5", victim_path("connect_close"), peer.port);
        json_t *json = compare_json(0, format("-a|linger=off|%s", rows[i].settle), cmd, &err);
        cr_assert(json, "%s: %s", rows[i].name, err);
        long most = 0;
        for (int r = 0; r < 4; r++) {
            long before = json_number(json, format("rounds.%d.%s.time_wait_before", r / 2, r % 2 ? "b" : "a"));
            most = before > most ? before : most;
        }
        cr_expect_eq(most > 0, rows[i].loaded, "%s: %ld", rows[i].name, most);
        peer_stop(&peer);
    }
}

Test(compare_runs, stops_where_cmd_fails_and_goes_on_if_told) {
    static const struct {
        const char *options, *cmd;
        int status;
        const char *says;
    } rows[] = {
        { "-a|linger=off|-r|2", "echo to nobody; echo why >&2; exit 3", 3,
          "why\nafterfin: compare: CMD ended with "
          "status 3 under " },
        { "-a|linger=off|-r|2|-i", "exit 3", 0, "" },
        { "-a|linger=off|-r|2", "kill -9 $$", 137, "CMD ended with status 137" },
        { "-a|linger=off|-r|2|--warmup|1", "exit 4", 4, "status 4" },
        { "-a|linger=off|-r|2|--prepare|exit 5", "true", 125, "--prepare 'exit 5' ended with status 5" },
        { "-a|linger=off|-r|2|--prepare|kill $$", "true", 125, "ended with status 143" },
        { "-a|linger=off|-r|2", "exec /dev/null", 126, "status 126" },
    };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *err;
        json_t *json = compare_json(rows[i].status, rows[i].options, rows[i].cmd, &err);
        cr_expect(strstr(err, rows[i].says), "%s, %s: %s", rows[i].options, rows[i].cmd, err);
        cr_expect_eq(json != NULL, rows[i].status == 0, "%s", rows[i].cmd);
        if (json)
            cr_expect_eq(json_number(json, "a.exit_status.3"), 2);
        json_decref(json);
    }
}

/* Its own signals and descriptors; no terminal, no output of its own. */
Test(compare_runs, leaves_cmd_as_it_found_it) {
    const char *err, *path = scratch_path();
    ns_enter();
    json_t *json = compare_json(0, "-a|linger=off|-r|2",
                                format("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >>%s; "
                                       "ls /proc/self/fd >>%s; pwd >>%s",
                                       path, path, path),
                                &err);
    cr_assert(json, "%s", err);
    struct ended bare = run_argv(NULL, (const char *[]){ "/bin/sh", "-c",
                                                         "grep -E '^Sig(Blk|Ign|Cgt)' "
                                                         "/proc/self/status; ls /proc/self/fd; pwd",
                                                         NULL });
    cr_expect_str_eq(file_text(path), format("%s%s%s%s", bare.out, bare.out, bare.out, bare.out));
    unlink(path);
}

Test(compare_runs, tells_what_it_has_when_interrupted_and_leaves_nothing_behind) {
    const char *count = scratch_path(), *directory = format("%s.d", count);
    const char *sleep = format("sleep 1000.%d", (int)getpid());
    ns_enter();
    cr_assert_eq(mkdir(directory, 0700), 0);
    /* The fifth run does not come to an end. */
    const char *cmd = format("echo x >>%s; [ $(wc -l <%s) -lt 5 ] || { echo waiting >>%s; exec %s; }", count, count,
                             count, sleep);
    struct victim v = command_start(NULL, "compare", "-a", format("ledger=%s", directory), "-b",
                                    format("ledger=%s", directory), "-r", "9", "--prepare", format("%s &", sleep), "sh",
                                    "-c", cmd, NULL);
    while (victim_runs(&v) && !(file_text(count) && strstr(file_text(count), "waiting")))
        usleep(10000);
    struct ended e = victim_kill(&v, SIGINT);
    cr_expect_eq(e.status, 128 + SIGINT, "%d", e.status);
    cr_expect(strstr(e.err, "compare: interrupted after 4 of 18 runs"), "%s", e.err);
    /* In one of 13 orders the first four are of one side. */
    if (!strstr(e.err, "before both sides had one"))
        cr_expect(strstr(e.out, "medians of 2 rounds") || strstr(e.out, "medians of 3 runs of A, 1 of B") ||
                      strstr(e.out, "medians of 1 run of A, 3 of B"),
                  "%s", e.out);
    cr_expect_eq(entries(directory, "run-"), 0);
    struct ended left = run_argv(NULL, (const char *[]){ "pgrep", "-fx", sleep, NULL });
    cr_expect_str_empty(left.out);
    rmdir(directory);
    unlink(count);
}

/* The server of --prepare, the run that is under way, and its ledgers. */
Test(compare_runs, leaves_nothing_behind_when_it_is_killed) {
    static const char *const stays[] = { "cmd", "--prepare" };
    for (int i = 0; i < 2; i++) {
        const char *mark = scratch_path(), *directory = format("%s.d", mark);
        const char *sleep = format("sleep 1000.%d%d", (int)getpid(), i);
        const char *wait = format("echo waiting >%s; exec %s", mark, sleep);
        ns_enter();
        cr_assert_eq(mkdir(directory, 0700), 0);
        struct victim v = command_start(NULL, "compare", "-a", format("ledger=%s", directory), "-b",
                                        format("ledger=%s", directory), "--netns", "--prepare",
                                        i == 0 ? format("%s &", sleep) : format("%s & %s", sleep, wait), "sh", "-c",
                                        wait, NULL);
        while (victim_runs(&v) && !file_text(mark))
            usleep(10000);
        cr_expect_eq(entries(directory, "run-"), i == 0, "%s", stays[i]);
        victim_kill(&v, SIGKILL);
        struct ended left = { .out = "?" };
        for (int ms = 0; ms < 30000 && (*left.out || entries(directory, "run-")); ms += 50) {
            left = run_argv(NULL, (const char *[]){ "pgrep", "-fx", sleep, NULL });
            usleep(50000);
        }
        cr_expect_str_empty(left.out, "%s: %s", stays[i], left.out);
        cr_expect_eq(entries(directory, "run-"), 0, "%s", stays[i]);
        rmdir(directory);
        unlink(mark);
    }
}

/* A client that does not block calls connect, waits, and calls it again; one that blocks calls it once. */
Test(compare_runs, tells_calls_of_a_client_that_does_not_block_from_connections) {
    static const struct {
        const char *name, *cmd;
        long again;
    } rows[] = {
        { "blocking", "%s 127.0.0.1 %u -n 5", 0 },
        { "not blocking",
          "perl -MSocket -MFcntl -e '"
          "for (1..5) { socket(S, PF_INET, SOCK_STREAM, 0); fcntl(S, F_SETFL, O_NONBLOCK);"
          "$to = pack_sockaddr_in(%2$u, inet_aton(\"127.0.0.1\"));"
          "connect(S, $to) or do { vec($w = \"\", fileno(S), 1) = 1; select(undef, $w, undef, undef) };"
          "connect(S, $to); close S }' # %1$s",
          5 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *err;
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        char *cmd;
        cr_assert_gt(asprintf(&cmd, rows[i].cmd, victim_path("connect_close"), peer.port), 0);
        json_t *json = compare_json(0, "-a|linger=off|-r|3", cmd, &err);
        cr_assert(json, "%s", err);
        expect_all(json, "connects", 5 + rows[i].again, 5 + rows[i].again, false);
        expect_all(json, "connects_again", rows[i].again, rows[i].again, false);
        expect_all(json, "established", 5, 5, false);
        struct ended e = run_argv(NULL, (const char *[]){ command_path(), "compare", "-a", "linger=off", "-r", "1",
                                                          "sh", "-c", cmd, NULL });
        cr_expect_eq(strstr(e.out, "note: connects again are calls") != NULL, rows[i].again > 0, "%s: %s", rows[i].name,
                     e.out);
        peer_stop(&peer);
    }
}

/* In a namespace of its own a run finds what --prepare left; --netns is no advice then. */
Test(compare_runs, advises_what_was_not_asked_for) {
    static const struct {
        const char *name;
        bool advised;
    } rows[] = { { "shared", true }, { "own", false } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ns_enter();
        const char *argv[16] = { command_path(), "compare", "-a", "linger=off", "-r", "1", "--prepare" };
        int n = 7;
        argv[n++] =
            format("build/examples/server 127.0.0.1 8080 & while ! grep -q ':1F90 00000000:0000 0A' /proc/net/tcp; do "
                   "sleep 0.01; done; %s 127.0.0.1 8080 -n 3",
                   victim_path("connect_close"));
        if (!rows[i].advised)
            argv[n++] = "--netns";
        argv[n++] = "true";
        struct ended e = run_argv(NULL, argv);
        cr_assert_eq(e.status, 0, "%s", e.err);
        cr_expect(strstr(e.out, "note: runs began with TIME_WAITs already there"), "%s: %s", rows[i].name, e.out);
        cr_expect_eq(strstr(e.out, "--netns or --settle") != NULL, rows[i].advised, "%s: %s", rows[i].name, e.out);
        cr_expect_eq(strstr(e.out, "left by --prepare") != NULL, !rows[i].advised, "%s: %s", rows[i].name, e.out);
    }
}
