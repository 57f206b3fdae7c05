/* Static programs, reached from outside: whose call it is, and what the program has chosen itself. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <stdlib.h>

static const char *static_victim(const char *name) {
    return victim_path(text("static/%s", name));
}

/* ---- whose call it is ------------------------------------------------------------------------------------------- */

/* Sum, most and number of rows of the program that have connected. */
static void count_rows(json_t *json, long *sum, long *most, long *n) {
    *sum = *most = *n = 0;
    const json_t *rows = json_find(json, "processes");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const long connects = json_number(json, text("processes.%zu.connects", i));
        *sum += connects;
        *n += connects > 0;
        *most = connects > *most ? connects : *most;
    }
}

Test(supervisor_program, threads_are_one_process_and_each_fork_is_its_own) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    long sum, most, n;
    json_t *json = run_json(NULL, 0, "-p", "linger=ack", static_victim("threads_close"), "127.0.0.1",
                            text("%u", peer.port), "16", "20", NULL);
    count_rows(json, &sum, &most, &n);
    cr_expect(sum == 320 && most == 320 && n == 1, "threads: %ld, at most %ld, in %ld", sum, most, n);
    json = run_json(NULL, 0, "-p", "linger=ack", static_victim("fork_many"), "127.0.0.1", text("%u", peer.port), "200",
                    NULL);
    count_rows(json, &sum, &most, &n);
    cr_expect(sum == 200 && most == 1 && n == 200, "forks: %ld, at most %ld, in %ld", sum, most, n);
    peer_wait_ended(&peer, 520);
    cr_expect_eq(ns_tw(), 0, "%ld", ns_tw());
}

/* ---- what the program has chosen itself ------------------------------------------------------------------------- */

Test(supervisor_program, an_option_of_the_program_s_own_stays) {
    enum { N = 10 };
    static const struct {
        const char *option, *policy;
        long left;
    } rows[] = {
        { "reuseaddr:0", "override=off", 0 }, /* none of linger's */
        { "linger:1:5", "override=off", N },
        { "linger2:7", "override=off", N },
        { "linger2:7", "override=on", 0 },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const long before = ns_tw();
        struct ended e = command(NULL, "run", "-q", "-p", "linger=ack", "-p", rows[i].policy,
                                 static_victim("connect_close"), "127.0.0.1", text("%u", peer.port), "-n", "10", "-o",
                                 rows[i].option, NULL);
        cr_assert_eq(e.status, 0, "%s", e.err);
        peer_wait_ended(&peer, (unsigned)(i + 1) * N);
        ns_settle();
        cr_expect_eq(ns_tw() - before, rows[i].left, "%s, %s: %ld", rows[i].option, rows[i].policy, ns_tw() - before);
    }
}
