/* Static programs, reached from outside: what the kernel and the peer see of them, and that they cannot tell. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *port_text(const struct peer *peer) {
    return text("%u", peer->port);
}

static const char *static_victim(const char *name) {
    return victim_path(text("static/%s", name));
}

static void only_few_ports(void) {
    ns_enter();
    ns_port_range(30000, 60000);
}

/* ---- what is done ----------------------------------------------------------------------------------------------- */

Test(supervisor, leaves_no_time_wait_under_ack_and_every_byte_arrives) {
    enum { N = 40, BYTES = 3000 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *const argv[] = {
        static_victim("connect_close"), "127.0.0.1", port_text(&peer), "-n", "40", "-b", "3000", NULL
    };
    run_argv(NULL, argv);
    peer_expect_clean(&peer, 0, N, BYTES, "bare");
    cr_assert_eq(ns_tw(), N, "bare");
    struct ended e = command(NULL, "run", "-q", "-p", "linger=ack", argv[0], argv[1], argv[2], argv[3], argv[4],
                             argv[5], argv[6], NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert(strstr(e.err, "is static") && strstr(e.err, "ack-always"), "%s", e.err);
    peer_expect_clean(&peer, N, N, BYTES, "ack");
    cr_assert_eq(ns_tw(), N, "under ack");
}

Test(supervisor, treats_what_a_listener_accepts_by_one_call) {
    enum { N = 20 };
    only_few_ports();
    for (int treated = 0; treated < 2; treated++) {
        const long before = ns_tw();
        struct victim v = command_start(NULL, "run", "-q", "-p",
                                        treated ? "rules=listen :7001 linger=ack" : "linger=off",
                                        static_victim("server_close"), "127.0.0.1", treated ? "7001" : "7000", "-n",
                                        "20", "-q", "1", "-b", "10", NULL);
        ns_wait_listen(7000 + (unsigned)treated);
        struct client_result r = client_run(&(struct client_options){
            .port = (uint16_t)(7000 + treated), .n = N, .send = 1 });
        cr_expect_eq(r.clean, N, "treated %d: %u clean", treated, r.clean);
        victim_wait(&v);
        cr_expect_eq(ns_tw() - before, treated ? 0 : N, "treated %d: %ld", treated, ns_tw() - before);
    }
}

Test(supervisor, goes_by_the_address_that_is_connected_to) {
    enum { N = 10 };
    ns_enter();
    struct peer treated = peer_start(&(struct peer_options){ 0 }), other = peer_start(&(struct peer_options){ 0 });
    const char *rules = text("rules=connect :%u linger=ack", treated.port);
    command(NULL, "run", "-q", "-p", rules, static_victim("connect_close"), "127.0.0.1", port_text(&treated), "-n",
            "10", NULL);
    cr_expect_eq(ns_tw(), 0);
    command(NULL, "run", "-q", "-p", rules, static_victim("connect_close"), "127.0.0.1", port_text(&other), "-n", "10",
            NULL);
    cr_expect_eq(ns_tw(), N);
}

/* 20 ports, 3 destinations: a bind that takes a port has 20 of them, one that leaves it to connect 60. */
Test(supervisor, leaves_the_port_to_connect_and_still_tells_it) {
    ns_enter();
    ns_port_range(40000, 40019);
    struct ended bare = run_argv(NULL, (const char *[]){ static_victim("bind_steps"), "127.0.0.1", "bind", "name",
                                                         "bind", "name", NULL });
    struct ended ours = command(NULL, "run", "-q", "-p", "bind_no_port=on", static_victim("bind_steps"), "127.0.0.1",
                                "bind", "name", "bind", "name", NULL);
    cr_expect(strstr(bare.out, "new") && strstr(bare.out, "EINVAL"), "%s", bare.out);
    cr_expect_str_eq(ours.out, bare.out);
    for (int treated = 0; treated < 2; treated++) {
        struct peer to[] = { peer_start(&(struct peer_options){ 0 }), peer_start(&(struct peer_options){ 0 }),
                             peer_start(&(struct peer_options){ 0 }) };
        for (int i = 0; i < 3; i++)
            command(NULL, "run", "-q", "-p", treated ? "bind_no_port=on" : "bind_no_port=off",
                    static_victim("connect_close"), "127.0.0.1", port_text(&to[i]), "-n", "20", "-s", "127.0.0.1",
                    NULL);
        const unsigned opened = to[0].book->accepted + to[1].book->accepted + to[2].book->accepted;
        if (treated)
            cr_expect_eq(opened, 60, "%u", opened);
        else
            cr_expect_leq(opened, 20, "%u", opened);
        for (int i = 0; i < 3; i++)
            peer_stop(&to[i]);
        only_few_ports();
        ns_port_range(40000, 40019);
    }
}

Test(supervisor, says_what_of_what_was_asked_for_it_does_not_carry) {
    struct ended e = command(NULL, "run", "-q", "-p", "port_search=cycle", "-p", "linger=rst", "-p", "log=/dev/null",
                             static_victim("connect_close"), "127.0.0.1", "1", "-n", "0", NULL);
    cr_expect(strstr(e.err, "without port_search, log;") && strstr(e.err, "linger=rst is not applied"), "%s", e.err);
    cr_expect_not(strstr(e.err, "keepalive"), "%s", e.err);
}

/* ---- what is known ---------------------------------------------------------------------------------------------- */

Test(supervisor, counts_connects_and_has_time_waits_confirmed_and_makes_up_nothing) {
    enum { N = 12 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *path = scratch_path();
    struct ended e = command(NULL, "run", text("--json=%s", path), static_victim("connect_close"), "127.0.0.1",
                             port_text(&peer), "-n", "12", NULL);
    json_t *json = json_load_file(path, 0, NULL);
    cr_assert(json, "%s", e.err);
    cr_expect_eq(json_number(json, "processes.0.connects"), N);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), N);
    cr_expect_eq(json_number(json, "processes.0.time_wait_confirmed"), N);
    cr_expect_eq(json_number(json, "kernel.attributed"), N);
    cr_expect_eq(json_number(json, "totals.time_wait"), N);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.ended")), "exit");
    static const char *const unknown[] = {
        "sockets", "accepts", "established", "avoided", "passive", "aborted", "open"
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        cr_expect(json_is_null(json_find(json, text("processes.0.%s", unknown[i]))), "%s", unknown[i]);
    cr_expect(strstr(e.err, "connect_close") && strstr(e.err, " -"), "%s", e.err);
}

Test(supervisor, lets_who_name_the_owner) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *dir = directory_made();
    command(NULL, "run", "-p", text("ledger=%s", dir), static_victim("connect_close"), "127.0.0.1", port_text(&peer),
            "-n", "7", NULL);
    struct ended who = command(NULL, "who", "--json", "-d", dir, NULL);
    json_t *json = json_loads(who.out, 0, NULL);
    cr_expect_eq(json_number(json, "unknown"), 0, "%s", who.out);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 7, "%s", who.out);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.program")), "connect_close");
    directory_removed(dir);
}

/* ---- a tree ----------------------------------------------------------------------------------------------------- */

/* Where the library is it does the work, and counts it: each connection once. */
Test(supervisor, reaches_static_children_of_a_dynamic_tree_with_s) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *script = text("%s 127.0.0.1 %u -n 5; %s 127.0.0.1 %u -n 6", static_victim("connect_close"), peer.port,
                              victim_path("connect_close"), peer.port);
    command(NULL, "run", "-q", "-p", "linger=ack-always", "sh", "-c", script, NULL);
    cr_expect_eq(ns_tw(), 5, "without -s: %ld", ns_tw());
    json_t *json = run_json(NULL, 0, "-s", "-p", "linger=ack-always", "sh", "-c", script, NULL);
    cr_expect_eq(ns_tw(), 5, "with -s: %ld", ns_tw());
    cr_expect_eq(json_number(json, "totals.connects"), 11);
    cr_expect_eq(json_number(json, "totals.avoided"), 6);
}

Test(supervisor, of_another_run_above_goes_on_to_hold) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(NULL, "run", "-q", "-p", "linger=ack", "-s", command_path(), "run", "-q", "-p",
                             "linger=off", "-p", "keepalive=60", static_victim("connect_close"), "127.0.0.1",
                             port_text(&peer), "-n", "5", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect(strstr(e.err, "another afterfin"), "%s", e.err);
    cr_expect_eq(ns_tw(), 0);
}

/* ---- where a program's socket may not be taken -------------------------------------------------------------------- */

/* `afterfin run -q ARGUMENT...` where pidfd_getfd is refused, as in a container of Docker. */
static struct ended refused_run(const char *const arguments[]) {
    const char *argv[24] = {
        victim_path("filter_exec"), text("%ld", (long)SYS_pidfd_getfd), "errno", command_path(), "run", "-q"
    };
    for (size_t i = 0; i < 17 && arguments[i]; i++)
        argv[6 + i] = arguments[i];
    return run_argv(NULL, argv);
}

Test(supervisor, makes_the_sockets_where_they_may_not_be_taken) {
    enum { N = 30 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *path = scratch_path();
    for (int treated = 0; treated < 2; treated++) {
        const long before = ns_tw();
        struct ended e = refused_run((const char *[]){ "-p", treated ? "linger=ack" : "linger=off",
                                                       text("--json=%s", path), static_victim("connect_close"),
                                                       "127.0.0.1", port_text(&peer), "-n", "30", "-b", "100", NULL });
        cr_assert_eq(e.status, 0, "%s", e.err);
        cr_expect(strstr(e.err, "makes its sockets"), "%s", e.err);
        peer_expect_clean(&peer, (unsigned)treated * N, N, 100, treated ? "ack" : "off");
        cr_expect_eq(ns_tw() - before, treated ? 0 : N, "treated %d: %ld", treated, ns_tw() - before);
        json_t *json = json_load_file(path, 0, NULL);
        cr_expect_eq(json_number(json, "processes.0.sockets"), N);
        cr_expect_eq(json_number(json, "processes.0.time_wait_confirmed"), treated ? 0 : N, "treated %d: %ld", treated,
                     json_number(json, "processes.0.time_wait_confirmed"));
        cr_expect(json_is_null(json_find(json, "processes.0.connects")));
    }
}

/* A socket of ours would be a way out, or somebody else's: then the program makes its own. */
Test(supervisor, makes_none_that_would_not_be_as_the_program_s_own) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = refused_run((const char *[]){ "-s", "-p", "linger=ack", "unshare", "-n",
                                                   static_victim("connect_close"), "127.0.0.1", port_text(&peer), "-n",
                                                   "1", NULL });
    cr_expect(strstr(e.err, "ENETUNREACH") || strstr(e.out, "ENETUNREACH"), "%s%s", e.out, e.err);
    e = refused_run((const char *[]){ "-p", "linger=ack", static_victim("descend"), "127.0.0.1", port_text(&peer), "10",
                                      "setuid", NULL });
    cr_expect_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 11);
    cr_expect_eq(ns_tw(), getuid() == 0 ? 10 : 0, "those after setuid: %ld", ns_tw());
}

/* ---- the program cannot tell ------------------------------------------------------------------------------------ */

static void expect_same(const char *first, ...) {
    static const char *const policies[] = { "linger=ack", "keepalive=60", "bind_no_port=on", "reuseaddr=on" };
    const char *argv[12] = { static_victim(first) };
    va_list args;
    va_start(args, first);
    for (size_t i = 1; i < 11 && (argv[i] = va_arg(args, const char *)); i++)
        ;
    va_end(args);
    only_few_ports();
    struct ended bare = run_argv(NULL, argv);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        only_few_ports();
        struct ended ours = command(NULL, "run", "-q", "-p", policies[i], argv[0], argv[1], argv[2], argv[3], argv[4],
                                    NULL);
        cr_expect_str_eq(ours.out, bare.out, "%s under %s", first, policies[i]);
        cr_expect_eq(ours.status, bare.status, "%s under %s: %d, %s", first, policies[i], ours.status, ours.err);
        only_few_ports();
        ours = refused_run((const char *[]){ "-p", policies[i], argv[0], argv[1], argv[2], argv[3], argv[4], NULL });
        cr_expect_str_eq(ours.out, bare.out, "%s under %s, handed in", first, policies[i]);
    }
}

Test(supervisor, calls_on_sockets_give_what_they_give_without_it) {
    expect_same("show_sockets", "5000", NULL);
}

Test(supervisor, threads_forks_and_families_work_as_without_it) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .address = "::" });
    for (int i = 0; i < 2; i++) {
        struct ended e = command(NULL, "run", "-q", "-p", "linger=ack", static_victim("threads_close"),
                                 i ? "::1" : "127.0.0.1", port_text(&peer), "16", "20", NULL);
        cr_expect_eq(e.status, 0, "%s", e.err);
        peer_expect_clean(&peer, (unsigned)i * 320, 320, 0, i ? "IPv6" : "IPv4");
    }
    struct ended e = command(NULL, "run", "-q", "-p", "linger=ack", static_victim("fork_many"), "127.0.0.1",
                             port_text(&peer), "200", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 840);
    cr_expect_eq(ns_tw(), 0);
}

/* ---- its own life ----------------------------------------------------------------------------------------------- */

enum { HELPERS = 3 };

/* The supervisor and its two holders, and what else is named afterfin and is not this command, in the order of their pids: of
 * this test's own processes, by the network namespace that they are in. */
static size_t helpers(pid_t out[8], pid_t but) {
    char ours[64], theirs[64];
    size_t n = 0;
    ours[readlink("/proc/self/ns/net", ours, sizeof ours - 1)] = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc)) && n < 8;) {
        const pid_t pid = (pid_t)atoi(entry->d_name);
        const char *comm = pid > 0 && pid != but ? file_text(text("/proc/%d/comm", (int)pid)) : NULL;
        ssize_t len = comm ? readlink(text("/proc/%d/ns/net", (int)pid), theirs, sizeof theirs - 1) : -1;
        theirs[len > 0 ? len : 0] = 0;
        if (comm && (strcmp(comm, "afterfin\n") == 0 || strcmp(comm, "seccomp-holder\n") == 0) &&
            strcmp(ours, theirs) == 0)
            out[n++] = pid;
    }
    closedir(proc);
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && out[k - 1] > out[k]; k--) {
            pid_t swapped = out[k];
            out[k] = out[k - 1];
            out[k - 1] = swapped;
        }
    return n;
}

/* A client that connects N times, every 20 ms; it has begun, and *at are its supervisor and the holders. */
static struct victim start_slow(struct peer *peer, const char *n, pid_t at[8]) {
    struct victim v = command_start(NULL, "run", "-p", "linger=ack", static_victim("connect_close"), "127.0.0.1",
                                    port_text(peer), "-n", n, "-i", "20", NULL);
    peer_wait_accepted(peer, 3);
    cr_assert_eq(helpers(at, v.pid), HELPERS);
    return v;
}

/* Whichever is killed, in whatever order: the program's calls go on. A connection every 20 ms. */
Test(supervisor, killed_at_any_moment_leaves_the_program_as_without_it) {
    static const char *const orders[] = { "s", "h", "hs", "sh", "rs", "r" };
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        pid_t at[8];
        struct victim v = start_slow(&peer, "60", at);
        for (const char *who = orders[i]; *who; who++) {
            kill(*who == 'r' ? v.pid : *who == 's' ? at[0] : at[1], SIGKILL);
            peer_wait_accepted(&peer, peer.book->accepted + 3);
        }
        peer_wait_ended(&peer, 60);
        cr_expect_eq(peer_count(&peer, 0, 0), 60, "%s", orders[i]);
        struct ended e = victim_wait(&v);
        cr_expect_eq(e.status, orders[i][0] == 'r' ? 128 + SIGKILL : 0, "%s: %d", orders[i], e.status);
        if (strchr(orders[i], 's')) /* the rest is as bare */
            cr_expect_geq(ns_tw(), 40, "%s: %ld", orders[i], ns_tw());
        else
            cr_expect_eq(ns_tw(), 0, "%s: %ld", orders[i], ns_tw());
    }
}

/* `pkill -9 afterfin`, and `pkill -9 -f afterfin`: all of that name at one stroke, run too. */
Test(supervisor, killed_by_name_with_run_leaves_the_program_as_without_it) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t at[8], named[HELPERS] = { 0 };
    struct victim v = start_slow(&peer, "40", at);
    for (int i = 0; i < HELPERS; i++) {
        const char *comm = file_text(text("/proc/%d/comm", (int)at[i])),
                   *line = file_text(text("/proc/%d/cmdline", (int)at[i]));
        cr_expect_eq(strstr(comm, "afterfin") != NULL, strstr(line, "afterfin") != NULL, "%s: %s", comm, line);
        named[i] = strstr(comm, "afterfin") || strstr(line, "afterfin") ? at[i] : 0;
    }
    cr_expect(named[0] && !named[1] && !named[2], "the supervisor has the name, and the holders have not");
    kill(v.pid, SIGKILL);
    for (int i = 0; i < HELPERS; i++)
        if (named[i])
            kill(named[i], SIGKILL);
    peer_wait_ended(&peer, 40);
    cr_expect_eq(peer_count(&peer, 0, 0), 40);
    victim_wait(&v);
}

/* Whichever two are killed at one stroke: the third is left. */
Test(supervisor, killed_two_at_a_time_leaves_the_program_as_without_it) {
    for (int spared = 0; spared < HELPERS; spared++) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        pid_t at[8];
        struct victim v = start_slow(&peer, "40", at);
        for (int i = 0; i < HELPERS; i++)
            if (i != spared)
                kill(at[i], SIGKILL);
        peer_wait_ended(&peer, 40);
        cr_expect_eq(peer_count(&peer, 0, 0), 40, "but %d", spared);
        cr_expect_eq(victim_wait(&v).status, 0, "but %d", spared);
        ns_settle();
        cr_expect_eq(ns_tw() > 0, spared != 0, "but %d: %ld", spared, ns_tw());
    }
}

/* After the supervisor's end one holder after the other, each as soon as calls have gone on. */
Test(supervisor, killed_with_one_holder_after_the_other_leaves_the_program_as_without_it) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t at[8];
    struct victim v = start_slow(&peer, "60", at);
    kill(at[0], SIGKILL);
    for (unsigned i = 0; i < 12; i++) {
        peer_wait_accepted(&peer, peer.book->accepted + 3);
        const size_t n = helpers(at, v.pid);
        cr_assert_gt(n, 0);
        kill(at[i % 2 ? n - 1 : 0], SIGKILL);
    }
    peer_wait_ended(&peer, 60);
    cr_expect_eq(peer_count(&peer, 0, 0), 60);
    cr_expect_eq(victim_wait(&v).status, 0);
}

/* One kill(2) of a process group ends one of them at most. */
Test(supervisor, killed_by_group_leaves_the_program_as_without_it) {
    for (int which = 0; which < HELPERS; which++) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        pid_t at[8];
        struct victim v = start_slow(&peer, "40", at);
        for (int i = 0; i < 1000 && getpgid(at[which]) != at[which]; i++)
            usleep(10000);
        cr_assert_eq(getpgid(at[which]), at[which]);
        kill(-at[which], SIGKILL);
        peer_wait_ended(&peer, 40);
        cr_expect_eq(peer_count(&peer, 0, 0), 40, "%d", which);
        cr_expect_eq(victim_wait(&v).status, 0, "%d", which);
        ns_settle();
        cr_expect_eq(ns_tw() > 0, which == 0, "%d: %ld", which, ns_tw());
    }
}

static size_t sockets_of(pid_t pid) {
    size_t n = 0;
    char target[64];
    DIR *dir = opendir(text("/proc/%d/fd", (int)pid));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const ssize_t size = readlink(text("/proc/%d/fd/%s", (int)pid, entry->d_name), target, sizeof target - 1);
        target[size > 0 ? size : 0] = 0;
        n += strncmp(target, "socket:", 7) == 0;
    }
    if (dir)
        closedir(dir);
    return n;
}

/* Neither the line on which CMD waits at its start, should the supervisor be killed then, nor one of the program's. */
Test(supervisor, has_holders_that_keep_no_socket) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t at[8];
    struct victim v = start_slow(&peer, "40", at);
    for (int i = 1; i < HELPERS; i++)
        cr_expect_eq(sockets_of(at[i]), 0, "holder %d: %zu", i, sockets_of(at[i]));
    peer_wait_ended(&peer, 40);
    cr_expect_eq(victim_wait(&v).status, 0);
}

/* What a service manager sends to all of a service: the program may have a last connection to make. */
Test(supervisor, outlives_what_is_sent_to_all_of_them) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t at[8];
    struct victim v = start_slow(&peer, "40", at);
    for (int i = 0; i < HELPERS; i++)
        kill(at[i], SIGTERM);
    peer_wait_ended(&peer, 40);
    cr_expect_eq(victim_wait(&v).status, 0);
    cr_expect_eq(ns_tw(), 0);
}

Test(supervisor, that_was_killed_is_told_of) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t at[8];
    struct victim v = start_slow(&peer, "40", at);
    kill(at[0], SIGKILL);
    struct ended e = victim_wait(&v);
    cr_expect_eq(e.status, 0);
    cr_expect(strstr(e.err, "the supervisor was killed"), "%s", e.err);
}

/* Run's own status, and what is refused; with -f CMD runs as it is. */
Test(supervisor, that_cannot_be_had_is_a_failure_of_run) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    static const struct {
        long call;
        const char *says;
    } rows[] = { { SYS_pidfd_open, "pidfd_open(2) is refused" }, { SYS_seccomp, "seccomp(2) is refused" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int forced = 0; forced < 2; forced++) {
            struct ended e = run_argv(NULL, (const char *[]){ victim_path("filter_exec"), text("%ld", rows[i].call),
                                                              "errno", command_path(), "run", forced ? "-fq" : "-q",
                                                              "-p", "linger=ack", static_victim("connect_close"),
                                                              "127.0.0.1", port_text(&peer), "-n", "2", NULL });
            cr_expect_eq(e.status, forced ? 0 : 125, "%s: %d", rows[i].says, e.status);
            cr_expect(strstr(e.err, rows[i].says), "%s", e.err);
        }
    cr_expect_eq(ns_tw(), 4);
}

Test(supervisor, ends_with_the_last_process_under_it_and_not_before) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    /* The shell has gone when its child connects. */
    struct ended e = command(NULL, "run", "-q", "-s", "-p", "linger=ack", "sh", "-c",
                             text("(sleep 0.3; exec %s 127.0.0.1 %u -n 20 -i 10) >/dev/null 2>&1 &",
                                  static_victim("connect_close"), peer.port),
                             NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 20);
    cr_expect_eq(ns_tw(), 0, "%ld", ns_tw());
    pid_t at[8];
    for (int i = 0; i < 1000 && helpers(at, 0); i++)
        usleep(10000);
    size_t left = 0;
    for (size_t i = helpers(at, 0); i-- > 0;) {
        const char *status = file_text(text("/proc/%d/status", (int)at[i]));
        left += status && !strstr(status, "State:\tZ");
    }
    cr_expect_eq(left, 0, "%zu are left", left);
}

/* Of 300 short children nothing stays: no descriptor for each, and the last of them is treated as the first. */
Test(supervisor, keeps_nothing_of_children_that_are_gone) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *script = text("i=0; while [ $i -lt 300 ]; do i=$((i+1)); %s 127.0.0.1 %u -n 1; done; sleep 60",
                              static_victim("connect_close"), peer.port);
    struct victim v = command_start(NULL, "run", "-s", "-p", "linger=ack", "sh", "-c", script, NULL);
    peer_wait_ended(&peer, 300);
    pid_t at[8];
    cr_assert_eq(helpers(at, v.pid), HELPERS);
    cr_expect_lt(entries(text("/proc/%d/fd", (int)at[0]), ""), 4 * 64 + 16);
    cr_expect_eq(ns_tw(), 0);
    victim_kill(&v, SIGTERM);
}

Test(supervisor, is_beside_a_program_that_run_becomes) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(NULL, "run", "--exec", "-p", "linger=ack", static_victim("connect_close"), "127.0.0.1",
                             port_text(&peer), "-n", "20", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 20);
    cr_expect_eq(ns_tw(), 0);
}
