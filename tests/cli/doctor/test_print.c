/* doctor's manners: JSON, columns, options, what it may not read, what the kernel refuses. */
#include "policy/policy.h"
#include "tests/cli/doctor/doctor.h"
#include "tests/harness/shell.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

Test(doctor_tells, has_every_field_of_the_contract) {
    static const struct {
        const char *path;
        const char *names[16];
    } objects[] = {
        { "",
          { "version", "kernel", "policies", "commands", "settings", "time_wait", "net_ns", "destinations", "conntrack",
            "myths", "program", "process" } },
        { "kernel", { "release" } },
        { "policies.0", { "key", "available", "needs", "since", "probed" } },
        { "commands.0", { "name", "available", "needs", "since", "probed" } },
        { "settings.0", { "name", "value", "level", "why", "set" } },
        { "time_wait", { "now", "max", "overflow", "accepted" } },
        { "net_ns", { "initial", "tcp_max_tw_buckets" } },
        { "destinations.0", { "local", "peer", "ports", "time_wait", "range", "share", "level" } },
        { "myths.0", { "name", "why" } },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start(NULL, "connect_close 127.0.0.1 %u", peer.port);
    cr_assert_eq(victim_wait(&v).status, 0);
    ns_settle();
    json_t *json = doctor_json(0, NULL, NULL);
    for (size_t i = 0; i < ROWS(objects); i++) {
        const json_t *object = json_find(json, objects[i].path);
        size_t n = 0;
        for (; objects[i].names[n]; n++)
            cr_expect(json_object_get(object, objects[i].names[n]), "%s: no %s", objects[i].path, objects[i].names[n]);
        cr_expect_eq(json_object_size(object), n, "%s has others too", objects[i].path);
    }
    cr_expect_eq(json_number(json, "version"), 1);
    cr_expect(json_is_null(json_object_get(json, "program")) && json_is_null(json_object_get(json, "process")));
}

/* ---- what the kernel can do ----------------------------------------------------------------------------------- */

static bool is_available(const json_t *json, const char *array, const char *field, const char *name) {
    const json_t *found = named(json_object_get(json, array), field, name);
    cr_assert(found, "%s is not told of", name);
    return json_is_true(json_object_get(found, "available"));
}

/* Not its version: the same kernel, once with setsockopt failing. */
Test(doctor_tells, finds_out_by_trying_what_policies_have_here) {
    ns_enter();
    json_t *json = doctor_json(0, NULL, NULL);
    struct ended e = shell("strace -f -o /dev/null -e trace=setsockopt -e inject=setsockopt:error=ENOPROTOOPT "
                           "build/afterfin doctor --json");
    if (e.status == 127 || strstr(e.err, "ptrace"))
        cr_skip_test("no strace: %s", e.err);
    cr_assert_eq(e.status, 0, "%s", e.err);
    json_t *without = json_loads(e.out, 0, NULL);
    const int reuse = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), range = (int)(65535u << 16 | 1024);
    const bool has_range = setsockopt(reuse, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof range) == 0;
    for (int key = 0; key < AF_KEYS; key++) {
        const char *name = af_keys[key].name;
        if (!af_keys[key].roles)
            continue;
        cr_expect(is_available(json, "policies", "key", name) ==
                      (has_range || (key != AF_KEY_PORT_RANGE && key != AF_KEY_PORT_SEARCH)),
                  "%s", name);
        cr_expect_not(is_available(without, "policies", "key", name), "%s", name);
        const json_t *row = named(json_object_get(without, "policies"), "key", name);
        cr_expect_str_eq(json_text(row, "probed"), strerror(ENOPROTOOPT), "%s", name);
    }
    cr_expect(is_available(json, "policies", "key", "ledger") && is_available(json, "commands", "name", "who"));
}

/* Whoever is root of a user namespace, but not over the network namespace, may end no socket. */
Test(doctor_tells, knows_who_may_end_sockets) {
    ns_enter();
    cr_expect(is_available(doctor_json(0, NULL, NULL), "commands", "name", "reap"));
    struct ended e = shell("unshare -Ur build/afterfin doctor --json");
    if (e.status != 0)
        cr_skip_test("no user namespace: %s", e.err);
    cr_expect_not(is_available(json_loads(e.out, 0, NULL), "commands", "name", "reap"), "%s", e.out);
}

Test(doctor_tells, sends_nothing_when_it_tries) {
    ns_enter();
    const long before = ns_netstat("InOctets");
    cr_expect_eq(command(NULL, "doctor", NULL).status, 0);
    cr_expect_eq(ns_netstat("InOctets"), before);
}

/* ---- manners -------------------------------------------------------------------------------------------------- */

Test(doctor_tells, says_what_is_wrong_with_the_question) {
    static const struct {
        const char *first, *second;
        int status;
        const char *says;
    } rows[] = {
        { "--pid", NULL, 2, "--pid needs N" },
        { "--pid", "x", 2, "--pid needs a process's number, not 'x'" },
        { "--pid", "0", 2, "--pid needs a process's number" },
        { "--pid", "-1", 2, "--pid needs a process's number" },
        { "--pid", "99999999999999999999", 2, "--pid needs a process's number" },
        { "--pid", "1x", 2, "--pid needs a process's number" },
        { "--pid=", NULL, 2, "--pid= needs N" },
        { "sh", "curl", 2, "takes one PROGRAM, but got 'curl' too" },
        { "--", "", 2, "PROGRAM is empty" },
        { "--sysctl", "sh", 2, "goes with no PROGRAM" },
        { "--sysctl", "--pid=1", 2, "goes with no --pid" },
        { "--sysctl", "--json", 2, "goes with no --json" },
        { "--sysctl=x", NULL, 2, "--sysctl takes no value" },
        { "--systcl", NULL, 2, "did you mean --sysctl?" },
        { "--pid", "2147483647", 1, "there is no process 2147483647" },
        { "no-such-program", NULL, 1, "no-such-program: No such file or directory" },
        { "--json=/nonexistent/x", NULL, 1, "cannot write JSON to /nonexistent/x" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = command(NULL, "doctor", rows[i].first, rows[i].second, NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect(strchr(e.err, '\n') && !strchr(e.err, '\n')[1], "row %zu: one line: %s", i, e.err);
        cr_expect_str_empty(e.out, "row %zu: %s", i, e.out);
    }
}

Test(doctor_tells, says_that_it_cannot_write) {
    static const char *const rows[] = { "", "--json", "--sysctl", "sh" };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = shell("build/afterfin doctor %s >/dev/full", rows[i]);
        cr_expect_eq(e.status, 1, "%s: %d", rows[i], e.status);
        cr_expect(strstr(e.err, "cannot write"), "%s: %s", rows[i], e.err);
        cr_expect_eq(shell("build/afterfin doctor %s >&-", rows[i]).status, 1, "%s: closed", rows[i]);
    }
}

Test(doctor_tells, prints_nothing_wider_than_the_terminal) {
    static const unsigned short widths[] = { 132, 80, 60, 40 };
    ns_enter();
    ns_port_range(40000, 40019);
    struct peer peer = peer_start(&(struct peer_options){ .address = "::1" });
    fill_time_wait("::1", peer.port, 40000, 40014);
    for (size_t i = 0; i < 2 * ROWS(widths); i++) {
        int terminal;
        const unsigned short width = widths[i / 2];
        pid_t child = command_on_terminal(&terminal, width, i % 2 ? "NO_COLOR=1|LC_ALL=C" : "LC_ALL=C", "doctor", NULL);
        char *text = strdup(terminal_read(terminal, NULL)), *rest = NULL;
        waitpid(child, NULL, 0);
        close(terminal);
        cr_expect(strstr(text, "TIME_WAIT") && strstr(text, "linger"), "%u: %s", width, text);
        cr_expect_eq(strchr(text, '\033') != NULL, i % 2 == 0, "%u: colour", width);
        for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
            cr_expect(widest(line) <= width || strstr(line, "sysctl -w"), "%u: %s", width, line);
    }
}

Test(doctor_tells, says_what_an_ordinary_user_may_not_read) {
    ns_enter();
    struct ended e = shell("nft 'add table ip t; add chain ip t c { type filter hook input priority 0; }; "
                           "add rule ip t c ct state established counter'");
    if (e.status != 0)
        cr_skip_test("no nft: %s", e.err);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start(NULL, "connect_close 127.0.0.1 %u -n 5", peer.port);
    cr_assert_eq(victim_wait(&v).status, 0);
    ns_settle();
    json_t *json = doctor_json(0, NULL, NULL);
    if (json_number(json, "conntrack.count") < 5)
        cr_skip_test("no conntrack here");
    cr_expect_eq(json_number(json, "conntrack.time_wait"), 5, "it outlives the kernel's own");
    cr_expect_eq(json_number(json, "conntrack.time_wait_s"), 120);
    e = shell("setpriv --reuid=65534 --regid=65534 --clear-groups build/afterfin doctor");
    if (e.status != 0)
        cr_skip_test("no other user: %s", e.err);
    cr_expect(strstr(e.out, "only root may read"), "%s", e.out);
}
