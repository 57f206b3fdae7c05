/* top --once: its numbers are the kernel's, and what the test's own processes did. */
#include "cli/top/view.h"
#include "tests/cli/top/top.h"
#include "tests/harness/fabricate.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* ---- what the kernel has, and whose it is ------------------------------------------------------------------ */

struct expected {
    const char *name;
    pid_t pid;
    const char *program, *ended, *endpoint, *role;
    long open, time_wait;
};

static void expect_process(const json_t *json, const struct expected *row) {
    const json_t *p = process_of(json, row->pid);
    cr_assert(p, "%s: no row", row->name);
    cr_expect_str_eq(text_at(p, "program"), row->program, "%s", row->name);
    cr_expect_str_eq(text_at(p, "ended"), row->ended, "%s", row->name);
    cr_expect_eq(json_number(p, "open"), row->open, "%s: %ld", row->name, json_number(p, "open"));
    cr_expect_eq(json_number(p, "time_wait"), row->time_wait, "%s", row->name);
    cr_expect_eq(json_number(p, "avoided"), 0, "%s", row->name);
    cr_expect_float_eq(real_at(p, "new_per_s"), 0, 1e-9, "%s: nothing happened meanwhile", row->name);
    cr_expect_eq(json_array_size(json_object_get(p, "endpoints")), 1, "%s", row->name);
    cr_expect_str_eq(text_at(p, "endpoints.0.endpoint"), row->endpoint, "%s", row->name);
    cr_expect_str_eq(text_at(p, "endpoints.0.role"), row->role, "%s", row->name);
    cr_expect_eq(json_number(p, "endpoints.0.open"), row->open, "%s", row->name);
    cr_expect_eq(json_number(p, "endpoints.0.time_wait"), row->time_wait, "%s", row->name);
    cr_expect_eq(json_is_null(json_find(p, "busiest")), strcmp(row->role, "accept") == 0, "%s", row->name);
}

Test(top, shows_what_each_process_has_open_and_left) {
    ns_enter();
    const char *directory = new_directory(), *settings = ledger_in(directory);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct peer v6 = peer_start(&(struct peer_options){ .address = "::1" });
    const char *port = number(peer.port), *to = address("127.0.0.1", peer.port);
    const pid_t left = leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "20", NULL });
    const pid_t left6 = leave(settings, 0,
                              (const char *[]){ "connect_close", "::1", number(v6.port), "-n", "7", NULL });
    const pid_t killed = leave(settings, 128 + SIGKILL,
                               (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "11", "10", NULL });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "5", NULL });
    struct victim holds = victim_start(settings, "connect_hold 127.0.0.1 %s", port);
    struct victim serves = victim_start(settings, "accept_hold 127.0.0.1 9000");
    ns_wait_listen(9000);
    struct victim visits = victim_start(settings, "connect_hold 127.0.0.1 9000");
    victim_wait_out(&holds, "open");
    victim_wait_out(&serves, "open");
    victim_wait_out(&visits, "open");
    ns_settle();
    const struct expected rows[] = {
        { "IPv4", left, "connect_close", "exit", to, "connect", 0, 20 },
        { "IPv6", left6, "connect_close", "exit", address("[::1]", v6.port), "connect", 0, 7 },
        { "SIGKILL", killed, "exit_open", "signal", to, "connect", 0, 11 },
        { "open", holds.pid, "connect_hold", "running", to, "connect", 1, 0 },
        { "accepted", serves.pid, "accept_hold", "running", ":9000", "accept", 1, 0 },
        { "the other side", visits.pid, "connect_hold", "running", "127.0.0.1:9000", "connect", 1, 0 },
    };
    json_t *json = top_json(directory, NULL, NULL);
    long sum = json_number(json, "unknown");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect_process(json, &rows[i]);
        sum += rows[i].time_wait;
    }
    cr_expect_eq(json_array_size(json_object_get(json, "processes")), sizeof rows / sizeof *rows);
    cr_expect_eq(json_number(json, "unknown"), 5);
    cr_expect_eq(sum, ns_tw(), "%ld of %ld", sum, ns_tw());
    victim_kill(&holds, SIGTERM);
    victim_kill(&visits, SIGTERM);
    victim_kill(&serves, SIGTERM);
}

Test(top, adds_up_a_program_with_what_it_avoided) {
    ns_enter();
    const char *directory = new_directory(), *settings = ledger_in(directory);
    char *ack;
    cr_assert_gt(asprintf(&ack, "%s|LINGER=ack-always", settings), 0);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *port = number(peer.port);
    leave(ack, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "9", NULL });
    leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "20", NULL });
    leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "7", NULL });
    leave(ack, 128 + SIGKILL, (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "6", "10", NULL });
    leave(settings, 128 + SIGKILL, (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "2", "10", NULL });
    ns_settle();
    const struct {
        const char *program;
        long time_wait, avoided, processes;
    } rows[] = { { "connect_close", 27, 9, 3 }, { "exit_open", 2, 6, 2 } }; /* by time_wait */
    json_t *json = top_json(directory, "--by", "program");
    cr_expect_eq(json_array_size(json_object_get(json, "programs")), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *p = json_array_get(json_object_get(json, "programs"), i);
        cr_expect_str_eq(text_at(p, "program"), rows[i].program);
        cr_expect_eq(json_number(p, "time_wait"), rows[i].time_wait, "%s", rows[i].program);
        cr_expect_eq(json_number(p, "avoided"), rows[i].avoided, "%s", rows[i].program);
        cr_expect_eq(json_number(p, "processes"), rows[i].processes, "%s", rows[i].program);
        cr_expect_eq(json_number(p, "running"), 0, "%s", rows[i].program);
    }
    cr_expect_eq(json_array_size(json_object_get(top_json(directory, NULL, NULL), "processes")), 3,
                 "who avoided all and is gone left nothing to see");
}

Test(top, has_every_field_of_its_page_and_no_other) {
    static const char *const top[] = { "version",   "interval_s", "port_range", "tcp_tw_reuse",
                                       "processes", "unknown",    NULL };
    static const char *const range[] = { "low", "high", "ports", NULL };
    static const char *const process[] = { "pid",     "program", "ended",     "open",    "new_per_s", "time_wait",
                                           "avoided", "share",   "full_in_s", "busiest", "endpoints", NULL };
    static const char *const busiest[] = { "local", "peer", "own", "used", "ports", NULL };
    static const char *const endpoint[] = {
        "endpoint", "role", "open", "time_wait", "left", "share", "full_in_s", NULL
    };
    static const struct {
        const char *path;
        const char *const *names;
    } objects[] = { { "", top },
                    { "port_range", range },
                    { "processes.0", process },
                    { "processes.0.busiest", busiest },
                    { "processes.0.endpoints.0", endpoint } };
    ns_enter();
    ns_port_range(40000, 40099);
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave(ledger_in(directory), 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), NULL });
    ns_settle();
    json_t *json = top_json(directory, NULL, NULL);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        json_expect_fields(json, objects[i].path, objects[i].names);
    cr_expect_eq(json_number(json, "version"), 1);
    cr_expect_geq(real_at(json, "interval_s"), 0.1);
    cr_expect_eq(json_number(json, "tcp_tw_reuse"), 0);
    cr_expect_eq(json_number(json, "port_range.ports"), 100);
    cr_expect_str_eq(text_at(json, "processes.0.busiest.local"), "127.0.0.1");
    cr_expect_str_eq(text_at(json, "processes.0.busiest.peer"), address("127.0.0.1", peer.port));
}

/* ---- ports ------------------------------------------------------------------------------------------------- */

static long made_by(const char *out) {
    const char *at = strstr(out, "made ");
    return at ? atol(at + 5) : -1;
}

/* Ports are used by us, by others, by a listener on another address, and none by what is reserved; then somebody
 * takes those that are left, and there are as many as top said. */
Test(top, says_how_many_ports_are_left_before_connect_fails) {
    static const struct {
        const char *name, *address, *local;
    } rows[] = { { "IPv4", "127.0.0.1", "127.0.0.1" }, { "IPv6", "::1", "::1" } };
    ns_enter();
    ns_port_range(40000, 40063);
    ns_sysctl("ip_local_reserved_ports", "40010-40012,40050,50000");
    struct victim listener = victim_start(NULL, "accept_hold 127.0.0.2 40020");
    ns_wait_listen(40020);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct peer peer = peer_start(&(struct peer_options){ .address = rows[i].address });
        const char *port = number(peer.port), *to = rows[i].address;
        pid_t pid = leave(ledger_in(directory), 0, (const char *[]){ "connect_close", to, port, "-n", "7", NULL });
        leave(NULL, 0, (const char *[]){ "connect_close", to, port, "-n", "3", NULL });
        struct victim holds = victim_start(NULL, "connect_hold %s %s", to, port);
        victim_wait_out(&holds, "open");
        ns_settle();
        json_t *json = top_json(directory, NULL, NULL);
        const json_t *p = process_of(json, pid);
        const long used = json_number(p, "busiest.used"), ports = json_number(p, "busiest.ports");
        cr_expect_str_eq(text_at(p, "busiest.local"), rows[i].local, "%s", rows[i].name);
        cr_expect_eq(json_number(p, "busiest.own"), 7, "%s", rows[i].name);
        cr_expect(ports == 60 && used == 7 + 3 + 1 + 1, "%s: %ld of %ld", rows[i].name, used, ports);
        cr_expect_float_eq(real_at(p, "share"), (double)used / (double)ports, 1e-9, "%s", rows[i].name);
        cr_expect_eq(real_at(p, "full_in_s"), -1, "%s: null, nothing comes or goes", rows[i].name);

        struct ended e = run(NULL, "connect_close %s %s -n 100", to, port);
        cr_expect(strstr(e.out, "error connect:EADDRNOTAVAIL"), "the test itself: %s", e.out);
        cr_expect_eq(made_by(e.out), ports - used, "%s: %ld were left", rows[i].name, made_by(e.out));
        p = process_of(top_json(directory, NULL, NULL), pid);
        cr_expect_eq(json_number(p, "busiest.used"), ports, "%s", rows[i].name);
        cr_expect_eq(real_at(p, "full_in_s"), 0, "%s: now", rows[i].name);
        victim_kill(&holds, SIGTERM);
    }
    victim_kill(&listener, SIGTERM);
}

Test(top, measures_a_process_against_the_range_that_its_policy_gives_it) {
    ns_enter();
    ns_port_range(40000, 40999);
    const char *directory = new_directory();
    char *settings;
    cr_assert_gt(asprintf(&settings, "%s|PORT_RANGE=40100-40119", ledger_in(directory)), 0);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run(settings, "connect_close 127.0.0.1 %u -n 5 -v", peer.port);
    const char *first = strstr(e.out, "port ");
    if (!first || atoi(first + 5) < 40100 || atoi(first + 5) > 40119)
        cr_skip_test("this kernel has no IP_LOCAL_PORT_RANGE: %s", e.out);
    ns_settle();
    json_t *json = top_json(directory, NULL, NULL);
    cr_expect_eq(json_number(json, "processes.0.busiest.used"), 5);
    cr_expect_eq(json_number(json, "processes.0.busiest.ports"), 20);
}

/* ---- two looks --------------------------------------------------------------------------------------------- */

static struct af_top_sample look_at(const char *directory, uint64_t since) {
    struct af_top_sample sample;
    struct af_snapshot look;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(af_snapshot_take(&look, &fd), 0);
    close(fd);
    af_top_sample(&sample, &look, since);
    af_snapshot_free(&look);
    return sample;
}

static const struct af_top_row *row_of(const struct af_top_rows *rows, pid_t pid) {
    for (size_t i = 0; i < rows->n; i++)
        if (rows->all[i].pid == pid)
            return &rows->all[i];
    return NULL;
}

Test(top, counts_between_two_looks_what_was_opened_by_whom) {
    ns_enter();
    ns_port_range(40000, 40299);
    const char *directory = new_directory(), *settings = ledger_in(directory);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *port = number(peer.port);
    const pid_t before = leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "30", NULL });
    ns_settle();
    struct af_top_sample first = look_at(directory, 0);
    const pid_t meanwhile = leave(settings, 0,
                                  (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "20", NULL });
    const pid_t killed = leave(settings, 128 + SIGKILL,
                               (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "10", "10", NULL });
    struct victim handing = victim_start(settings, "tree_by child_closes_last 127.0.0.1 %s 6 fork", port);
    const pid_t parent = handing.pid;
    cr_assert_eq(victim_wait(&handing).status, 0);
    ns_settle();
    struct af_top_sample second = look_at(directory, first.at_real);
    const double elapsed = (double)(second.at - first.at) / 1e9;
    struct af_top_rows rows;
    af_top_rows(&rows, &first, &second, AF_BY_PROCESS);
    const struct {
        const char *name;
        pid_t pid;
        double opened;
    } expected[] = {
        { "nothing any more", before, 0 },
        { "began and ended between the looks", meanwhile, 20 },
        { "was killed", killed, 10 },
        { "opened what its children ended", parent, 6 },
    };
    double sum = 0;
    for (size_t i = 0; i < rows.n; i++)
        sum += rows.all[i].new_per_s > 0 ? rows.all[i].new_per_s * elapsed : 0;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct af_top_row *row = row_of(&rows, expected[i].pid);
        cr_assert(row, "%s", expected[i].name);
        cr_expect_float_eq(row->new_per_s * elapsed, expected[i].opened, 1e-6, "%s: %f", expected[i].name,
                           row->new_per_s * elapsed);
    }
    cr_expect_float_eq(sum, 36, 1e-6, "the children opened none: %f", sum);
    const struct af_top_share *share = &row_of(&rows, meanwhile)->busiest;
    cr_expect_eq(share->used, ns_count(ST_TIME_WAIT, 0, peer.port), "%u", share->used);
    cr_expect_float_eq(share->full_in_s, (300 - 66) / (36 / elapsed), 1e-6, "%f", share->full_in_s);
    af_top_rows(&rows, &first, &second, AF_BY_PROGRAM);
    for (size_t i = 0; i < rows.n; i++)
        if (strcmp(rows.all[i].program, "tree_by") == 0)
            cr_expect_float_eq(rows.all[i].new_per_s * elapsed, 6, 1e-6, "%f", rows.all[i].new_per_s * elapsed);
}
