/* who: its list is the kernel's, its owners are the processes that the test started. */
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const json_t *sockets_of(const json_t *json) {
    return json_object_get(json, "sockets");
}

static const char *field(const json_t *socket, const char *name) {
    const char *text = json_string_value(json_object_get(socket, name));
    return text ? text : "";
}

static unsigned port_behind(const char *address) {
    const char *colon = strrchr(address, ':');
    return colon ? (unsigned)atoi(colon + 1) : 0;
}

/* How many sockets towards this port (or from it, for accepted ones) are this process's. */
static long left_by(const json_t *json, pid_t pid, const char *program, unsigned port, const char *role) {
    const char *end = strcmp(role, "accept") == 0 ? "local" : "peer";
    long n = 0;
    for (size_t i = 0; i < json_array_size(sockets_of(json)); i++) {
        const json_t *s = json_array_get(sockets_of(json), i);
        n += json_number(s, "pid") == pid && strcmp(field(s, "program"), program) == 0 &&
             port_behind(field(s, end)) == port && strcmp(field(s, "role"), role) == 0;
    }
    return n;
}

/* ---- the kernel's list ---------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *sorted(char **lines, size_t n) {
    char *text = calloc(n + 1, 128), *to = text;
    qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        to += sprintf(to, "%s\n", lines[i]);
    return text;
}

/* "LOCAL PEER" a line, as ss has them: the kernel's list, read by another program. */
static const char *list_of_ss(const char *state, size_t *n) {
    struct ended e = run(NULL, "ss -tanH state %s", state);
    char **lines = calloc(strlen(e.out) + 1, sizeof *lines), *rest = NULL;
    if (e.status == 127)
        cr_skip_test("no ss");
    *n = 0;
    for (char *line = strtok_r(strdup(e.out), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char local[64], peer[64];
        cr_assert_eq(sscanf(line, "%*d %*d %63s %63s", local, peer), 2, "%s", line);
        cr_assert_gt(asprintf(&lines[(*n)++], "%s %s", local, peer), 0);
    }
    return sorted(lines, *n);
}

/* ss writes IPv4 on an IPv6 socket as [::ffff:...]; who says what it is. */
static const char *list_of_who(const json_t *json) {
    size_t n = json_array_size(sockets_of(json));
    char **lines = calloc(n + 1, sizeof *lines);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(sockets_of(json), i);
        cr_assert_gt(asprintf(&lines[i], "%s %s", field(s, "local"), field(s, "peer")), 0);
    }
    return sorted(lines, n);
}

Test(who, lists_what_the_kernel_has_with_the_process_that_left_it) {
    ns_enter();
    const char *directory = new_directory(), *settings = ledger_in(directory);
    struct peer v4 = peer_start(&(struct peer_options){ 0 });
    struct peer v6 = peer_start(&(struct peer_options){ .address = "::1" });
    struct peer bare = peer_start(&(struct peer_options){ 0 });
    const char *to4 = number(v4.port);
    const pid_t close4 = leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", to4, "-n", "20", NULL });
    const pid_t close6 = leave(settings, 0,
                               (const char *[]){ "connect_close", "::1", number(v6.port), "-n", "7", NULL });
    const pid_t killed = leave(settings, 128 + SIGKILL,
                               (const char *[]){ "exit_open", "sigkill", "127.0.0.1", to4, "11", "10", NULL });
    const pid_t shut = leave(settings, 0, (const char *[]){ "half_close", "127.0.0.1", to4, "10", "0", NULL });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(bare.port), "-n", "5", NULL });
    struct victim server = victim_start(settings, "server_close 127.0.0.1 9000 -n 6");
    ns_wait_listen(9000);
    cr_assert_eq(client_run(&(struct client_options){ .port = 9000, .n = 6 }).clean, 6);
    const pid_t accepted = server.pid;
    cr_assert_eq(victim_wait(&server).status, 0);
    ns_settle();

    size_t n;
    const char *kernel = list_of_ss("time-wait", &n);
    json_t *json = who_json(directory, NULL, NULL);
    cr_expect_eq(n, 20 + 7 + 11 + 1 + 5 + 6, "the test itself: %zu", n);
    cr_expect_str_eq(list_of_who(json), kernel);
    const struct {
        const char *name;
        pid_t pid;
        const char *program, *role;
        unsigned port;
        long left;
    } rows[] = {
        { "IPv4", close4, "connect_close", "connect", v4.port, 20 },
        { "IPv6", close6, "connect_close", "connect", v6.port, 7 },
        { "SIGKILL", killed, "exit_open", "connect", v4.port, 11 },
        { "shutdown", shut, "half_close", "connect", v4.port, 1 },
        { "accepted", accepted, "server_close", "accept", 9000, 6 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long left = left_by(json, rows[i].pid, rows[i].program, rows[i].port, rows[i].role);
        cr_expect_eq(left, rows[i].left, "%s: %ld of %ld", rows[i].name, left, rows[i].left);
        cr_expect_eq(total_of(json, rows[i].pid), rows[i].left, "%s: total", rows[i].name);
    }
    cr_expect_eq(json_array_size(json_object_get(json, "processes")), sizeof rows / sizeof *rows);
    cr_expect_eq(json_number(json, "unknown"), 5);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(sockets_of(json), i);
        double expires = json_real_value(json_object_get(s, "expires_s"));
        cr_expect(expires > 0 && expires <= 60, "%f", expires);
        if (port_behind(field(s, "peer")) != bare.port)
            continue;
        cr_expect(json_is_null(json_object_get(s, "pid")) && json_is_null(json_object_get(s, "program")) &&
                      json_is_null(json_object_get(s, "role")),
                  "a bare process's");
    }
}

Test(who, has_every_field_of_the_contract_and_no_other) {
    static const char *const top[] = { "version", "sockets", "processes", "unknown", NULL };
    static const char *const socket[] = { "local", "peer", "expires_s", "pid", "program", "role", NULL };
    static const char *const process[] = { "pid", "program", "time_wait", NULL };
    static const struct {
        const char *path;
        const char *const *names;
    } objects[] = { { "", top }, { "sockets.0", socket }, { "sockets.1", socket }, { "processes.0", process } };
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *argv[] = { "connect_close", "127.0.0.1", number(peer.port), NULL };
    leave(ledger_in(directory), 0, argv);
    leave(NULL, 0, argv);
    ns_settle();
    json_t *json = who_json(directory, NULL, NULL);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        json_expect_fields(json, objects[i].path, objects[i].names);
    cr_expect_eq(json_number(json, "version"), 1);
}

Test(who, calls_an_orphan_in_FIN_WAIT2_what_it_is) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    pid_t pid = leave(ledger_in(directory), 0,
                      (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    ns_settle();
    size_t n;
    const char *kernel = list_of_ss("fin-wait-2", &n);
    cr_assert_eq(n, 3, "the test itself: %zu", n);
    json_t *json = who_json(directory, NULL, NULL);
    cr_expect_str_eq(list_of_who(json), kernel);
    cr_expect_eq(total_of(json, pid), 3);
    cr_expect_str_eq(field(json_find(json, "sockets.0"), "state"), "FIN_WAIT2");
    struct ended e = command(NULL, "who", "-d", directory, NULL);
    cr_expect(strstr(e.out, "STATE") && strstr(e.out, "FIN_WAIT2"), "%s", e.out);
}

Test(who, shows_only_what_was_asked_for) {
    ns_enter();
    const char *directory = new_directory();
    struct peer one = peer_start(&(struct peer_options){ 0 }), two = peer_start(&(struct peer_options){ 0 });
    const char *settings = ledger_in(directory);
    pid_t first = leave(settings, 0,
                        (const char *[]){ "connect_close", "127.0.0.1", number(one.port), "-n", "4", NULL });
    pid_t second = leave(settings, 0,
                         (const char *[]){ "connect_close", "127.0.0.1", number(two.port), "-n", "3", NULL });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(two.port), "-n", "2", NULL });
    ns_settle();
    char target[64], elsewhere[64];
    snprintf(target, sizeof target, "127.0.0.0/8:%u", two.port);
    snprintf(elsewhere, sizeof elsewhere, "10.0.0.0/8");
    const struct {
        const char *option, *value;
        long first, second, unknown;
    } rows[] = {
        { NULL, NULL, 4, 3, 2 },
        { "--pid", number((unsigned)first), 4, 0, 0 },
        { "--pid", number((unsigned)second), 0, 3, 0 },
        { "--pid", number((unsigned)getpid()), 0, 0, 0 },
        { "--peer", target, 0, 3, 2 },
        { "--peer", "127.0.0.1", 4, 3, 2 },
        { "--peer", elsewhere, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *json = who_json(directory, rows[i].option, rows[i].value);
        cr_expect_eq(total_of(json, first), rows[i].first, "row %zu: first", i);
        cr_expect_eq(total_of(json, second), rows[i].second, "row %zu: second", i);
        cr_expect_eq(json_number(json, "unknown"), rows[i].unknown, "row %zu: unknown", i);
        cr_expect_eq((long)json_array_size(sockets_of(json)), rows[i].first + rows[i].second + rows[i].unknown,
                     "row %zu: %zu", i, json_array_size(sockets_of(json)));
    }
    struct ended e = command(NULL, "who", "-d", directory, "--peer", elsewhere, NULL);
    cr_expect_str_eq(e.out, "no TIME_WAIT socket matches, of 9\n");
}

Test(who, says_what_is_wrong_with_the_question) {
    static const struct {
        const char *option, *value;
        int status;
        const char *says;
    } rows[] = {
        { "--pid", "x", 2, "--pid needs a process's number" },
        { "--pid", "0", 2, "--pid needs a process's number" },
        { "--pid", "12@", 2, "--pid needs a process's number" },
        { "--peer", "10.1.2.3/8", 2, "--peer 10.1.2.3/8" },
        { "--peer", "example.org", 2, "--peer example.org" },
        { "-d", "/nonexistent", 1, "/nonexistent: No such file or directory" },
        { "-d", "/dev/null", 1, "/dev/null: Not a directory" },
        { "--", "operand", 2, "takes no operand" },
    };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, "who", rows[i].option, rows[i].value, NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect_str_empty(e.out);
    }
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

Test(who, prints_columns_no_wider_than_the_terminal) {
    static const unsigned short widths[] = { 132, 80, 60, 40 };
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ .address = "::1" });
    pid_t pid = leave(ledger_in(directory), 0,
                      (const char *[]){ "connect_close", "::1", number(peer.port), "-n", "3", NULL });
    ns_settle();
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int terminal;
        pid_t child = command_on_terminal(&terminal, widths[i], "NO_COLOR=1|LC_ALL=C", "who", "-d", directory, NULL);
        char *text = strdup(terminal_read(terminal, NULL)), *rest = NULL;
        waitpid(child, NULL, 0);
        close(terminal);
        cr_expect(strstr(text, number((unsigned)pid)) && strstr(text, "total"), "%u: %s", widths[i], text);
        for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
            cr_expect_leq(strlen(line), widths[i], "%u: %s", widths[i], line);
    }
    struct ended e = command(NULL, "who", "-d", directory, NULL);
    char whole[64];
    snprintf(whole, sizeof whole, "[::1]:%u ", peer.port);
    cr_expect(strstr(e.out, whole), "whole addresses where it is no terminal: %s", e.out);
}

Test(who, says_that_there_are_none) {
    ns_enter();
    struct ended e = command(NULL, "who", "-d", new_directory(), NULL);
    cr_expect_eq(e.status, 0);
    cr_expect_str_eq(e.out, "no TIME_WAIT sockets\n");
    cr_expect_str_empty(e.err);
}

/* ---- in which order, and how many ----------------------------------------------------------------------------- */

/* Two processes that left 2 and 5, the first with the lower pid; and 30 that are unknown, 25 to one server. */
static void leave_three(const char *directory, pid_t pids[2], unsigned ports[2]) {
    struct peer peers[2] = { peer_start(&(struct peer_options){ 0 }), peer_start(&(struct peer_options){ 0 }) };
    for (int i = 0; i < 2; i++) {
        ports[i] = peers[i].port;
        pids[i] = leave(ledger_in(directory), 0,
                        (const char *[]){ "connect_close", "127.0.0.1", number(ports[i]), "-n", i ? "5" : "2", NULL });
        leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(ports[i]), "-n", i ? "25" : "5", NULL });
    }
    ns_settle();
}

Test(who, puts_processes_and_sockets_in_the_order_that_is_asked_for) {
    pid_t pids[2];
    unsigned ports[2];
    ns_enter();
    const char *directory = new_directory();
    leave_three(directory, pids, ports);
    const int low = pids[0] < pids[1] ? 0 : 1, near = ports[0] < ports[1] ? 0 : 1;
    const struct {
        const char *sort;
        int process;        /* first of those; -1: as ever */
        const char *socket; /* field of sockets that goes up, or down; NULL: theirs as processes */
        bool down;
    } rows[] = {
        { "time_wait", 1, NULL, false }, { "-time_wait", 0, NULL, false },     { "pid", low, NULL, false },
        { "-pid", !low, NULL, false },   { "expires", 1, "expires_s", false }, { "-expires", 1, "expires_s", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *json = who_json(directory, "--sort", rows[i].sort);
        cr_expect_eq(json_number(json, "processes.0.pid"), pids[rows[i].process], "%s", rows[i].sort);
        if (!rows[i].socket)
            cr_expect_eq(json_number(json, "sockets.0.pid"), pids[rows[i].process], "%s", rows[i].sort);
        for (size_t k = 1; rows[i].socket && k < json_array_size(sockets_of(json)); k++) {
            const double before = json_real_value(json_object_get(json_array_get(sockets_of(json), k - 1),
                                                                  rows[i].socket));
            const double now = json_real_value(json_object_get(json_array_get(sockets_of(json), k), rows[i].socket));
            cr_expect(rows[i].down ? before >= now : before <= now, "%s: %f, %f", rows[i].sort, before, now);
        }
        cr_expect(rows[i].socket || json_is_null(json_find(json, "sockets.36.pid")), "%s: who is unknown comes last",
                  rows[i].sort);
        json_decref(json);
    }
    for (int turned = 0; turned < 2; turned++) {
        json_t *json = who_json(directory, "--sort", turned ? "-peer" : "peer");
        cr_expect_eq(port_behind(field(json_array_get(sockets_of(json), 0), "peer")), ports[turned ? !near : near]);
        json_decref(json);
    }
    struct ended e = command(NULL, "who", "--sort", "program", "-d", directory, NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    e = command(NULL, "who", "--sort", "age", NULL);
    cr_expect_eq(e.status, 2);
    cr_expect(strstr(e.err, "--sort needs one of time_wait, pid, program, local, peer, expires, not 'age'"), "%s",
              e.err);
}

/* Lines that begin with an address. */
static unsigned listed(const char *text) {
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, "\n127.0.0.1:")); at++)
        n++;
    return n;
}

Test(who, counts_those_that_nobody_is_known_of_and_lists_as_many_as_it_is_asked_for) {
    static const struct {
        const char *limit; /* NULL: none is set */
        unsigned listed;
    } rows[] = { { NULL, 7 }, { "0", 0 }, { "3", 3 }, { "36", 36 }, { "37", 37 }, { "1000", 37 } };
    pid_t pids[2];
    unsigned ports[2];
    char says[160];
    ns_enter();
    const char *directory = new_directory();
    leave_three(directory, pids, ports);
    snprintf(says, sizeof says,
             "\n30 unknown are not listed (--limit N lists the first N of all): "
             "25 to 127.0.0.1:%u, 5 to 127.0.0.1:%u\n",
             ports[1], ports[0]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *limit = rows[i].limit, *option = limit ? "--limit" : NULL;
        struct ended e = command(NULL, "who", "-d", directory, option, limit, NULL);
        cr_expect_eq(listed(e.out), rows[i].listed, "%s: %s", limit, e.out);
        cr_expect_eq(strstr(e.out, says) != NULL, !limit, "%s: %s", limit, e.out);
        cr_expect(strstr(e.out, " total                37\n"), "%s: %s", limit, e.out);
        cr_expect_eq(strstr(e.out, "34 more are not listed") != NULL, limit && strcmp(limit, "3") == 0, "%s", e.out);
        json_t *json = who_json(directory, option, limit);
        cr_expect_eq(json_array_size(sockets_of(json)), limit ? rows[i].listed : 37, "%s", limit);
        cr_expect_eq(json_number(json, "unknown"), 30);
        cr_expect_eq(json_array_size(json_object_get(json, "processes")), 2);
        json_decref(json);
    }
}

/* A server's are told by its port: their peers have nothing in common. */
Test(who, counts_what_a_server_left_by_its_port) {
    ns_enter();
    struct victim server = victim_start(NULL, "server_close 127.0.0.1 9000 -n 25");
    ns_wait_listen(9000);
    cr_assert_eq(client_run(&(struct client_options){ .port = 9000, .n = 25 }).clean, 25);
    victim_wait(&server);
    ns_settle();
    struct ended e = command(NULL, "who", "-d", new_directory(), NULL);
    cr_expect(strstr(e.out, ": 25 from :9000\n"), "%s", e.out);
}
