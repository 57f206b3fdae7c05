/* Beside other libraries: preloaded before ours or behind it, and programs that have of their own what ours looks
 * itself up with. */
#include "tests/harness/counts.h"

#include <unistd.h>

enum { N = 3 };

/* The wrapper makes all its calls by syscall(). */
static struct ended beside(const char *preload, const char *more, const char *log, const char *way, uint16_t port) {
    return run(NULL, "env LD_PRELOAD=%s AFTERFIN_LOG=%s AFTERFIN_LOG_INTERVAL=off %s %s %s 127.0.0.1 %u %d", preload,
               log, more, victim_path("by_number"), way, port, N);
}

/* To the peer: closed here first. To itself: the accepted side has unread data, the other is reset. */
static const struct tally whole = { .sockets = 2 * N + 1,
                                    .binds = 1,
                                    .connects = 2 * N,
                                    .accepts = N,
                                    .established = 3 * N,
                                    .time_wait = N,
                                    .aborted = 2 * N };

static void expect_counted(const char *preload, const char *way) {
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
    struct ended e = beside(preload, "AFTERFIN_KEEPALIVE=off", log, way, peer.port);
    cr_assert_eq(e.status, 0, "%s under %s: %d %s", way, preload, e.status, e.err);
    tally_expect(preload, log, &whole, 1);
    cr_assert_eq(books_of(way, peer.port).to, N);
    unlink(log);
    peer_stop(&peer);
}

Test(other_libraries, one_that_goes_by_syscall_works_before_ours_and_behind_it_and_is_counted_once) {
    static const char *const ways[] = { "name", "number" };

    for (int i = 0; i < 2; i++) {
        expect_counted(library_path(), ways[i]);
        expect_counted(text("%s:%s", library_path(), victim_path("wraps.so")), ways[i]);
        expect_counted(text("%s:%s", victim_path("wraps.so"), library_path()), ways[i]);
    }
}

Test(other_libraries, what_a_program_calls_by_number_ends_in_no_function_of_another) {
    const char *log = scratch_path(), *preload = text("%s:%s", library_path(), victim_path("wraps.so"));

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
    struct ended e = beside(preload, "WRAPS_SAYS=1", log, "name", peer.port);
    cr_assert(e.status == 0 && strstr(e.err, "connect\n"), "%d %s", e.status, e.err);
    e = beside(preload, "WRAPS_SAYS=1", log, "number", peer.port);
    cr_assert(e.status == 0 && e.err[0] == 0, "%d %s", e.status, e.err);
    peer_stop(&peer);
}

Test(other_libraries, a_program_with_a_dl_iterate_phdr_of_its_own_runs) {
    static const char *const ways[] = { "nothing", "early", "itself", "lacks" };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended e = run(text("LOG=%s|LINGER=ack|$PHDR=%s", log, ways[i]), "own_phdr 127.0.0.1 %u", peer.port);
        cr_assert(e.status == 0, "%s: %d %s", ways[i], e.status, e.err);
        cr_assert_str_eq(e.out, "-1 EBADF\n", "%s", ways[i]); /* of what nobody has */
        struct tally got = tally_log(ways[i], log);
        cr_assert(got.connects == 1 && got.established == 1 && got.avoided == 1, "%s: %s", ways[i], file_text(log));
        cr_assert_eq(ns_tw(), 0, "%s", ways[i]);
        unlink(log);
        peer_stop(&peer);
    }
}
