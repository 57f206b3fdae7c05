/* Names: of programs, longer than a ledger has room for and in no encoding; of variables that only look like ours; of files
 * that are words. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <stdlib.h>
#include <unistd.h>

/* The victim under another name, in a directory of the test's own. */
static const char *called(const char *directory, const char *name) {
    const char *path = text("%s/%s", directory, name);

    cr_assert_eq(symlink(victim_path("lets_go"), path), 0, "%s", path);
    return path;
}

#define TEN "0123456789"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN

Test(names, only_and_skip_match_the_whole_of_a_long_name) {
    static const struct {
        const char *settings;
        bool touched;
    } rows[] = { { "ONLY=" LONG, true },
                 { "ONLY=" TEN TEN TEN TEN TEN TEN "012", false },
                 { "SKIP=" LONG, false },
                 { "SKIP=" TEN TEN TEN TEN TEN TEN "012", true },
                 { "ONLY=" LONG "x", false } };
    const char *directory = directory_made(), *path = called(directory, LONG);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = run(text("LOG=stderr|%s", rows[i].settings), "%s 0", path);
        cr_assert_eq(log_lines(e.err), rows[i].touched, "%s: %s", rows[i].settings, e.err);
    }
}

/* In log, as logfmt and JSON, and in ledger: report takes what has two names for two processes. */
Test(names, a_name_that_is_cut_or_no_text_is_the_same_in_log_and_ledger) {
    static const struct {
        const char *name, *shown;
    } rows[] = {
        { LONG, TEN TEN TEN TEN TEN TEN "012" },
        { TEN TEN TEN TEN TEN TEN "01\xc3\xa9", TEN TEN TEN TEN TEN TEN "01" },
        { TEN TEN TEN TEN TEN TEN "0\xe2\x82\xac", TEN TEN TEN TEN TEN TEN "0" },
        { TEN TEN TEN TEN TEN TEN "0\xc3\xa9", TEN TEN TEN TEN TEN TEN "0\xc3\xa9" },
        { "caf\xe9", "caf?" },
        { "\xf0\x9f\x92", "???" },
        { "\xed\xa0\x80", "???" },
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "\x1b[2J\xc2\x9b\xe2\x80\xaex\xd8\x9c", "\x1b[2J\xc2\x9b\xe2\x80\xaex\xd8\x9c" },
    };
    const char *afterfin = command_path();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = directory_made(), *path = called(directory, rows[i].name);
        for (int json = 0; json < 2; json++) {
            const char *ledgers = directory_made(), *log = scratch_path();
            struct ended e = run(text("LOG=%s|LOG_FORMAT=%s|LEDGER=%s", log, json ? "json" : "logfmt", ledgers), "%s 0",
                                 path);
            cr_assert_eq(e.status, 0);
            cr_assert_str_eq(log_text(log_line(file_text(log), 0), "program"), rows[i].shown, "%s", file_text(log));
            e = run(NULL, "%s report --json -d %s %s", afterfin, ledgers, log);
            const char *processes = strstr(e.out, "\"processes\":");
            cr_assert(e.status == 0 && processes && atoi(processes + 12) == 1, "%s: %s%s", rows[i].shown, e.out, e.err);
            unlink(log);
            directory_removed(ledgers);
        }
        directory_removed(directory);
    }
}

/* A service called afterfin, as Kubernetes and Docker's links tell of it; more of them than there are settings. */
Test(names, what_is_injected_for_a_service_of_our_name_is_no_setting) {
    static const char *const injected[] = {
        "AFTERFIN_SERVICE_HOST=10.0.0.7",
        "AFTERFIN_SERVICE_PORT=80",
        "AFTERFIN_SERVICE_PORT_HTTP=80",
        "AFTERFIN_PORT=tcp://10.0.0.7:80",
        "AFTERFIN_PORT_80_TCP=tcp://10.0.0.7:80",
        "AFTERFIN_PORT_80_TCP_PROTO=tcp",
        "AFTERFIN_NAME=/web/afterfin",
        "AFTERFIN_ENV_PATH=/bin",
    };
    static const char *const ours[] = { "AFTERFIN_PORTS=1",   "AFTERFIN_PORT_X_TCP=1",  "AFTERFIN_PORT_80=1",
                                        "AFTERFIN_PORT_=1",   "AFTERFIN_PORT_RANGE=80", "AFTERFIN_NAMES=1",
                                        "AFTERFIN_SERVICE=1", "AFTERFIN_ENV=1" };

    for (size_t i = 0; i < sizeof injected / sizeof *injected; i++) {
        struct ended e = run(text("LOG=stderr|STRICT=on|$%s", injected[i]), "lets_go 0");
        cr_assert(e.status == 0 && log_lines(e.err) == 1, "%s: %d %s", injected[i], e.status, e.err);
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct ended e = run(text("LOG=stderr|STRICT=on|$%s", ours[i]), "lets_go 0");
        cr_assert_eq(e.status, 78, "%s: %d %s", ours[i], e.status, e.err);
    }
    const char *argv[110] = { "env", text("LD_PRELOAD=%s", library_path()), "AFTERFIN_LOG=stderr" };
    for (int port = 1; port <= 100; port++)
        argv[2 + port] = text("AFTERFIN_PORT_%d_TCP=tcp://10.0.0.7", port);
    argv[103] = victim_path("lets_go");
    argv[104] = "0";
    struct ended e = run_argv(NULL, argv);
    cr_assert(e.status == 0 && log_lines(e.err) == 1, "%d %s", e.status, e.err);
}

Test(names, dev_stderr_and_dev_stdout_are_the_words) {
    struct ended e = run("LOG=/dev/stderr", "lets_go 0");
    cr_assert(log_lines(e.err) == 1 && log_lines(e.out) == 0, "%s%s", e.out, e.err);
    e = run("LOG=/dev/stdout", "lets_go 0");
    cr_assert(log_lines(e.err) == 0 && log_lines(e.out) == 1, "%s%s", e.out, e.err);
}

/* /proc/sys is covered by an empty file system, as ProcSubset=pid has it. */
static struct ended run_covered(const char *settings, const char *address, const struct peer *peer, int n) {
    const char *argv[] = { "unshare",
                           "-m",
                           "sh",
                           "-c",
                           text("mount -t tmpfs none /proc/sys && exec %s stack %s %u %d", victim_path("connect_from"),
                                address, peer->port, n),
                           NULL };
    struct ended e = run_argv(settings, argv);
    cr_assert_eq(e.status, 0, "%s: %d %s", settings, e.status, e.err);
    return e;
}

Test(names, without_proc_sys_ports_stay_inside_port_range) {
    enum { N = 30, LOW = 40000, HIGH = 40063 };
    static const char *const settings[] = { "PORT_RANGE=40000-40063|PORT_SEARCH=cycle|LINGER=ack",
                                            "PORT_RANGE=40000-40063|LINGER=ack" };
    ns_enter();
    ns_port_range(30000, 50000);
    for (int s = 0; s < 2; s++) {
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended e = run_covered(settings[s], "127.0.0.1", &peer, N);
        cr_assert_str_eq(e.err, s == 0
                                    ? "afterfin: port_search=cycle: net.ipv4.ip_local_port_range cannot be read; the "
                                      "kernel searches, inside port_range as far as that lies in it\n"
                                    : "");
        peer_wait_ended(&peer, N);
        for (unsigned i = 0; i < N; i++) {
            unsigned from = peer.book->conn[i].from;
            cr_assert(from >= LOW && from <= HIGH, "connection %u came from %u", i, from);
        }
        peer_stop(&peer);
    }
}

/* Then the kernel takes no notice of it, and the first port that it chooses shows that. */
Test(names, without_proc_sys_a_port_range_that_does_not_count_is_said_once) {
    static const char *const settings[] = { "PORT_RANGE=60000-60063", "PORT_RANGE=60000-60063|PORT_SEARCH=cycle",
                                            "RULES=connect * port_range=60000-60063", "PORT_RANGE=20000-60063" };
    ns_enter();
    ns_port_range(30000, 50000);
    for (int i = 0; i < 4; i++) {
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended e = run_covered(settings[i], "127.0.0.1", &peer, 5);
        const char *said =
            strstr(e.err, "afterfin: port_range has no part inside net.ipv4.ip_local_port_range: not applied\n");
        cr_expect(!said == (i == 3), "%s: %s", settings[i], e.err);
        cr_expect(!said || !strstr(said + 20, "port_range has"), "%s: %s", settings[i], e.err);
        peer_stop(&peer);
    }
}
