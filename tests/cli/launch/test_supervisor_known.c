/* What is told of static programs: only what is known of them, whoever tells it. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATIC = 5, DYNAMIC = 3 };

/* Ledgers of a static program's connections in `dir`, and, with `both`, of a dynamic one's. */
static json_t *connect_some(const char *dir, bool both, struct ended *e) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *path = scratch_path(), *port = text("%u", peer.port);
    const char *line = text("%s 127.0.0.1 %s -n %d; %s 127.0.0.1 %s -n %d", victim_path("static/connect_close"), port,
                            STATIC, victim_path("connect_close"), port, DYNAMIC);
    *e = both ? command(NULL, "run", "-s", text("--json=%s", path), "-p", text("ledger=%s", dir), "--", "sh", "-c",
                        line, NULL)
              : command(NULL, "run", text("--json=%s", path), "-p", text("ledger=%s", dir), "--",
                        victim_path("static/connect_close"), "127.0.0.1", port, "-n", text("%d", STATIC), NULL);
    json_t *json = json_load_file(path, 0, NULL);
    cr_assert(json, "%s", e->err);
    return json;
}

static void expect_null(const json_t *json, const char *path) {
    cr_expect(json_is_null(json_find(json, path)), "%s", path);
}

Test(supervisor_known, sums_are_of_what_is_known) {
    struct ended e;
    const char *dir = directory_made();
    json_t *run = connect_some(dir, true, &e);
    cr_expect_eq(json_number(run, "totals.connects"), STATIC + DYNAMIC, "%s", e.err);
    cr_expect_eq(json_number(run, "totals.time_wait"), STATIC + DYNAMIC, "%s", e.err);
    cr_expect_eq(json_number(run, "totals.established"), DYNAMIC, "%s", e.err);
    cr_expect_eq(json_number(run, "totals.open"), 0, "%s", e.err);
    struct ended report = command(NULL, "report", "--json", "-d", dir, NULL);
    json_t *json = json_loads(report.out, 0, NULL);
    cr_expect_eq(json_number(json, "totals.established"), DYNAMIC, "%s", report.out);
    cr_expect_eq(json_number(json, "totals.open"), 0, "%s", report.out);
    cr_expect_eq(json_number(json, "totals.time_wait"), STATIC + DYNAMIC, "%s", report.out);
    directory_removed(dir);
}

Test(supervisor_known, what_nobody_saw_is_nowhere_a_number) {
    struct ended e;
    const char *dir = directory_made();
    json_t *run = connect_some(dir, false, &e);
    expect_null(run, "totals.established");
    json_t *report = json_loads(command(NULL, "report", "--json", "-d", dir, NULL).out, 0, NULL);
    cr_expect_eq(json_number(report, "programs.0.connects"), STATIC);
    cr_expect_eq(json_number(report, "programs.0.time_wait"), STATIC);
    static const char *const unknown[] = { "sockets", "accepts", "established", "avoided", "passive", "open" };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        expect_null(report, text("programs.0.%s", unknown[i]));
        expect_null(report, text("totals.%s", unknown[i]));
    }
    struct ended columns = command(NULL, "report", "-d", dir, NULL);
    cr_expect(strstr(columns.out, " - "), "%s", columns.out);
    json_t *top = json_loads(command(NULL, "top", "--once", "--json", "-d", dir, NULL).out, 0, NULL);
    cr_expect_eq(json_number(top, "processes.0.time_wait"), STATIC);
    expect_null(top, "processes.0.open");
    expect_null(top, "processes.0.avoided");
    directory_removed(dir);
}

/* Also once the ledger is gone, and the history of metrics has it. */
Test(supervisor_known, metrics_leave_out_what_nobody_saw) {
    struct ended e;
    const char *dir = directory_made();
    connect_some(dir, false, &e);
    for (int i = 0; i < 2; i++) {
        struct ended metrics = command(NULL, "report", "--prometheus", "-d", dir, NULL);
        cr_expect(strstr(metrics.out, text("afterfin_connects_total{program=\"connect_close\"} %d", STATIC)), "%s",
                  metrics.out);
        cr_expect(strstr(metrics.out, text("afterfin_time_wait_total{program=\"connect_close\"} %d", STATIC)), "%s",
                  metrics.out);
        cr_expect_not(strstr(metrics.out, "afterfin_established_total{"), "%s", metrics.out);
        cr_expect_not(strstr(metrics.out, "afterfin_open{"), "%s", metrics.out);
        command(NULL, "report", "--clean", "-d", dir, NULL);
    }
    directory_removed(dir);
}

Test(supervisor_known, a_server_that_was_treated_has_a_socket) {
    ns_enter();
    struct victim v = command_start(NULL, "run", "-p", "linger=ack", victim_path("static/server_close"), "127.0.0.1",
                                    "7001", "-n", "5", "-q", "1", "-b", "10", NULL);
    ns_wait_listen(7001);
    client_run(&(struct client_options){ .port = 7001, .n = 5, .send = 1 });
    struct ended e = victim_wait(&v);
    cr_expect(strstr(e.err, "1 process listened"), "%s", e.err);
    cr_expect_not(strstr(e.err, "no process reported"), "%s", e.err);
}

/* Nor need it be treated to be seen. */
Test(supervisor_known, a_server_without_a_policy_has_a_socket) {
    ns_enter();
    struct victim v = command_start(NULL, "run", victim_path("static/server_close"), "127.0.0.1", "7001", "-n", "5",
                                    "-q", "1", "-b", "10", NULL);
    ns_wait_listen(7001);
    client_run(&(struct client_options){ .port = 7001, .n = 5, .send = 1 });
    struct ended e = victim_wait(&v);
    cr_expect(strstr(e.err, "1 process listened"), "%s", e.err);
    cr_expect_not(strstr(e.err, "no process reported"), "%s", e.err);
}

/* Full from the start it is said before CMD; what comes later, when it has ended. */
Test(supervisor_known, a_disk_that_fills_later_is_told_of) {
    static const char *const rows[] = { "dd if=/dev/zero of=$2/fill bs=4096", "true" };
    if (geteuid() != 0)
        cr_skip_test("needs root, for a disk of its own");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS(rows); i++) { /* no room for a ledger; room for one, and not for so many records */
        const char *dir = directory_made();
        struct ended e =
            shell("unshare -m sh -c 'mount -t tmpfs -o size=300k,mode=700 tmpfs %s || exit 77; build/afterfin "
                  "run -q -s -p ledger=%s -- sh -c \"(%s) 2>&-; $0 127.0.0.1 $1 -n 5000\" $0 $1 $2' %s %u %s",
                  dir, dir, rows[i], victim_path("static/connect_close"), peer.port, dir);
        if (e.status == 77)
            cr_skip_test("cannot mount: %s", e.err);
        cr_expect_eq(e.status, 0, "%s", e.err);
        cr_expect(strstr(e.err,
                         text("run: %s: No space left on device; not all of what is static is in its ledger\n", dir)),
                  "%s: %s", rows[i], e.err);
        directory_removed(dir);
    }
}

/* A table is not what makes a ledger. */
Test(supervisor_known, a_run_without_a_table_keeps_the_ledger_that_was_asked_for) {
    static const char *const ways[][2] = {
        { "-q", "-s" }, { "-q", "-pkeepalive=9" }, { "--exec", "-s" }, { "--exec", "-pkeepalive=9" }
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *dir = directory_made();
        struct ended e = command(i % 2 ? NULL : text("AFTERFIN_LEDGER=%s", dir), "run", ways[i][0], ways[i][1], "-p",
                                 i % 2 ? text("ledger=%s", dir) : "linger=off", victim_path("static/connect_close"),
                                 "127.0.0.1", text("%u", peer.port), "-n", text("%d", STATIC), NULL);
        peer_wait_ended(&peer, STATIC * (unsigned)(i + 1));
        json_t *who = json_loads(command(NULL, "who", "--json", "-d", dir, NULL).out, 0, NULL);
        cr_expect_eq(json_number(who, "processes.0.time_wait"), STATIC, "%s %s: %s", ways[i][0], ways[i][1], e.err);
        directory_removed(dir);
    }
}

/* Of a program under the supervisor: that it is, and that set does not change what it does to later connections. */
Test(supervisor_known, doctor_and_set_know_the_supervisor) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = command_start(NULL, "run", "-q", "-p", "linger=ack", victim_path("static/connect_hold"),
                                    "127.0.0.1", text("%u", peer.port), NULL);
    peer_wait_accepted(&peer, 1);
    char *list = strdup(file_text(text("/proc/%d/task/%d/children", (int)v.pid, (int)v.pid))), *rest = NULL;
    pid_t program = 0;
    for (char *one = strtok_r(list, " ", &rest); one; one = strtok_r(NULL, " ", &rest))
        program = strstr(file_text(text("/proc/%s/comm", one)), "connect_hold") ? atoi(one) : program;
    const char *pid = text("%d", (int)program);
    struct ended doctor = command(NULL, "doctor", "--pid", pid, NULL);
    cr_expect(strstr(doctor.out, "reached from outside"), "%s", doctor.out);
    cr_expect_not(strstr(doctor.out, "it has a seccomp filter"), "%s", doctor.out);
    struct ended set = command(NULL, "set", "--pid", pid, "linger=off", NULL);
    cr_expect(strstr(set.err, "supervisor goes on to treat"), "%s%s", set.out, set.err);
    kill(program, SIGKILL);
    victim_wait(&v);
}
