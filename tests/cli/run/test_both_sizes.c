/* Programs of 64 and of 32 bits in one tree: each gets the library that fits it, none says a word about the other, and the
 * command, of 64 bits, settles the ledgers of all. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <signal.h>
#include <unistd.h>

static const char *library(bool i386) {
    return text("%s%s/libafterfin.so", build_directory(), i386 ? "/i386" : "");
}

static const char *i386(const char *name) {
    return text("%s/i386/tests/victims/%s", build_directory(), name);
}

static void need_both(void) {
    if (access(i386("connect_close"), X_OK) != 0 || access(library(true), R_OK) != 0)
        cr_skip_test("no compiler makes programs of 32 bits (make test-deps)");
    if (shell("%s", i386("late")).status > 125)
        cr_skip_test("programs of 32 bits do not run here");
}

static const char *file_of(const json_t *json, const char *program) {
    size_t i;
    json_t *one;
    json_array_foreach(json_find(json, "processes"), i, one)
        if (strcmp(json_string_value(json_object_get(one, "program")), program) == 0)
            return json_dumps(one, 0);
    return NULL;
}

/* $0 is of 32 bits, $1 of 64; the shell is. A connection that one hands over by exec ends in the other. */
Test(both_sizes, a_tree_of_both_is_counted_and_treated_whole) {
    need_both();
    for (int treated = 0; treated < 2; treated++) {
        ns_enter();
        struct peer peer = script_start("ec", 0);
        const char *script = "$0/connect_close 127.0.0.1 $2 -n 3 && $1/connect_close 127.0.0.1 $2 -n 4 && "
                             "$0/inherit connections $2 5 $1/end_stdio exit && "
                             "$1/inherit connections $2 6 $0/end_stdio exit";
        const char *json_file = scratch_path();
        struct ended e = command(NULL, "run", "-q", text("--json=%s", json_file), "-p",
                                 treated ? "linger=ack-always" : "linger=off", "sh", "-c", script, i386(""),
                                 text("%s/tests/victims", build_directory()), text("%u", peer.port), NULL);
        cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
        cr_expect_str_empty(e.err);
        ns_settle();
        json_t *json = json_load_file(json_file, 0, NULL);
        const long left = (long)books_of("both", peer.port).to;
        const long seen = json_number(json, "totals.established") - json_number(json, "totals.passed");
        cr_expect_eq(seen, 3 + 4 + 5 + 6, "%ld: %s", seen, json_dumps(json, 0));
        cr_expect_eq(json_number(json, "totals.passed"), 5 + 6);
        cr_expect_eq(json_number(json, "totals.open"), 0);
        cr_expect_eq(left, treated ? 0 : seen, "%ld", left);
        cr_expect_eq(json_number(json, "totals.time_wait"), left);
        cr_expect_eq(json_number(json, "kernel.attributed"), left);
        cr_expect(file_of(json, "connect_close") && file_of(json, "inherit"));
        peer_stop(&peer);
    }
}

/* The one of musl hands its connections over by exec to one of glibc, of 64 bits. */
Test(both_sizes, a_program_of_32_bits_with_musl_is_reached_and_what_it_becomes) {
    const char *musl = text("%s/musl-i386/tests/victims/inherit", build_directory());
    if (shell("%s/musl-i386/tests/victims/late", build_directory()).status > 125)
        cr_skip_test("there are no such programs, or they do not run here (make check-musl-i386)");
    for (int treated = 0; treated < 2; treated++) {
        ns_enter();
        struct peer peer = script_start("ec", 0);
        const char *json_file = scratch_path();
        struct ended e = command(NULL, "run", "-q", text("--json=%s", json_file), "-p",
                                 treated ? "linger=ack-always" : "linger=off", musl, "connections",
                                 text("%u", peer.port), "5", text("%s/tests/victims/end_stdio", build_directory()),
                                 "exit", NULL);
        cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
        ns_settle();
        json_t *json = json_load_file(json_file, 0, NULL);
        cr_expect_eq(json_number(json, "totals.passed"), 5, "%s", json_dumps(json, 0));
        cr_expect_eq(json_number(json, "totals.established"), 10);
        cr_expect_eq((long)books_of("both", peer.port).to, treated ? 0 : 5);
        cr_expect_eq(json_number(json, "totals.time_wait"), treated ? 0 : 5);
        cr_expect(file_of(json, "inherit") && file_of(json, "end_stdio"));
        peer_stop(&peer);
    }
}

Test(both_sizes, set_reaches_a_program_of_32_bits_through_its_library) {
    need_both();
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start(text("LOG=stderr|$LD_PRELOAD=%s", preload_path()), "%s 127.0.0.1 %u -n 600 -i 5",
                                   i386("connect_close"), peer.port);
    peer_wait_accepted(&peer, 20);
    struct ended e = command(NULL, "set", "--json", "--pid", text("%d", (int)v.pid), "linger=ack-always", NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.how")), "library", "%s", e.out);
    e = victim_wait(&v);
    const struct books books = books_of("connects", peer.port);
    const char *line = log_line(e.err, 0);
    cr_expect(books.to > 0 && books.to < 600, "%ld", (long)books.to);
    cr_expect_eq(log_number(line, "time_wait"), (long)books.to, "%s", line);
    cr_expect_eq(log_number(line, "avoided"), 600 - (long)books.to, "%s", line);
}

Test(both_sizes, doctor_names_the_library_that_fits) {
    need_both();
    const char *const programs[] = { i386("connect_hold"), text("%s/tests/victims/connect_hold", build_directory()) };
    for (int own = 0; own < 2; own++) {
        struct ended e = command(NULL, "doctor", "--json", programs[own], NULL);
        json_t *json = json_loads(e.out, 0, NULL);
        cr_expect_str_eq(json_string_value(json_find(json, "program.reached")), "yes", "%s", e.out);
        cr_expect_str_eq(json_string_value(json_find(json, "program.library")), library(!own));
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .holds = true });
        struct victim v = victim_start(text("$LD_PRELOAD=%s", preload_path()), "%s 127.0.0.1 %u", programs[own],
                                       peer.port);
        peer_wait_accepted(&peer, 1);
        e = command(NULL, "doctor", "--json", "--pid", text("%d", (int)v.pid), NULL);
        json = json_loads(e.out, 0, NULL);
        cr_expect_str_eq(json_string_value(json_find(json, "process.library")), library(!own), "%s", e.out);
        victim_kill(&v, SIGKILL);
    }
}

/* From outside, as a static program of 64 bits is: CMD itself, and one below it. Its glibc calls by socketcall(2). */
Test(both_sizes, a_static_program_of_32_bits_is_treated_and_its_time_waits_are_its_own) {
    need_both();
    if (access(i386("static/connect_close"), X_OK) != 0)
        cr_skip_test("no compiler makes static programs of 32 bits");
    for (int below = 0; below < 2; below++)
        for (int treated = 0; treated < 2; treated++) {
            ns_enter();
            struct peer peer = script_start("ec", 0);
            const char *linger = treated ? "linger=ack-always" : "linger=off", *port = text("%u", peer.port);
            json_t *json = below ? run_json(NULL, 0, "-s", "-p", linger, "-p", "bind_no_port=on", "sh", "-c",
                                            "$0 127.0.0.1 $1 -n 8 -s 127.0.0.1; :", i386("static/connect_close"), port,
                                            NULL)
                                 : run_json(NULL, 0, "-p", linger, i386("static/connect_close"), "127.0.0.1", port,
                                            "-n", "8", NULL);
            ns_settle();
            const long left = (long)books_of("static", peer.port).to;
            cr_expect_eq(left, treated ? 0 : 8, "%d: %ld", below, left);
            cr_expect_eq(json_number(json, "totals.connects"), 8, "%d: %s", below, json_dumps(json, 0));
            cr_expect_eq(json_number(json, "kernel.attributed"), left, "%d: %s", below, json_dumps(json, 0));
            cr_expect(file_of(json, "connect_close"), "%s", json_dumps(json, 0));
            peer_stop(&peer);
        }
}

Test(both_sizes, what_a_static_server_of_32_bits_accepts_is_treated) {
    need_both();
    if (access(i386("static/server_close"), X_OK) != 0)
        cr_skip_test("no compiler makes static programs of 32 bits");
    ns_enter();
    struct victim v = command_start(NULL, "run", "-q", "-p", "linger=ack-always", i386("static/server_close"),
                                    "127.0.0.1", "10000", "-n", "20", "-q", "1", "-b", "100", NULL);
    ns_wait_listen(10000);
    const struct client_result r = client_run(&(struct client_options){ .port = 10000, .n = 20, .send = 1 });
    cr_expect_eq(r.clean, 20);
    cr_expect_eq(victim_wait(&v).status, 0);
    ns_settle();
    cr_expect_eq(ns_tw(), 0);
}

/* The command beside its own library alone. */
Test(both_sizes, without_the_library_of_32_bits_such_a_program_is_refused_and_doctor_says_what_lacks) {
    need_both();
    const char *directory = directory_made();
    cr_assert_eq(shell("cp %s %s/libafterfin.so %s", command_path(), build_directory(), directory).status, 0);
    struct ended e = shell("%s/afterfin run %s 127.0.0.1 9", directory, i386("connect_close"));
    cr_expect(e.status == 125 && strstr(e.err, "the library for those is not installed"), "%d %s", e.status, e.err);
    e = shell("%s/afterfin doctor %s", directory, i386("connect_close"));
    cr_expect(strstr(e.out, "run does not reach") && strstr(e.out, "not installed"), "%s", e.out);
    e = shell("%s/afterfin env", directory);
    cr_expect_str_eq(e.out, text("LD_PRELOAD=%s/libafterfin.so\n", directory));
}
