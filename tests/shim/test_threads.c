/* Many threads at once, above all at the very first socket, when each may find nothing there yet. */
#include "shim/pool.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned files_in(const char *path) {
    DIR *dir = opendir(path);
    unsigned n = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

Test(threads, that_begin_at_once_are_one_process_with_one_ledger_and_nothing_lost) {
    enum { RUNS = 30, THREADS = 64, EACH = 3 };
    const char *directory = scratch_path();

    ns_enter();
    if (mkdir(directory, 0700) != 0)
        give_up("%s: %s", directory, strerror(errno));
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (unsigned i = 0; i < RUNS; i++) {
        char settings[256];
        snprintf(settings, sizeof settings, "LOG=stderr|LEDGER=%s%s", directory, i % 2 ? "" : "|PORT_SEARCH=cycle");
        long before = ns_tw();
        struct ended e = run(settings, "threads_close 127.0.0.1 %u %d %d", peer.port, THREADS, EACH);
        const char *line = log_line(e.err, 0);
        cr_assert_eq(e.status, 0, "%s", e.out);
        cr_assert_str_empty(e.out, "%s", e.out);
        cr_assert_eq(log_lines(e.err), 1, "%s", e.err);
        cr_assert(strncmp(e.err, "afterfin version", 16) == 0, "%s", e.err);
        log_expect_invariant(line);
        cr_assert_eq(log_number(line, "sockets"), THREADS * EACH, "%s", line);
        cr_assert_eq(log_number(line, "time_wait"), THREADS * EACH, "%s", line);
        peer_wait_ended(&peer, (i + 1) * THREADS * EACH);
        cr_assert_eq(ns_tw() - before, THREADS * EACH, "%ld", ns_tw() - before);
        cr_assert_eq(files_in(directory), i + 1, "%u ledgers after run %u", files_in(directory), i + 1);
    }
    run(NULL, "rm -r %s", directory);
}

/* A record is one's own from claim to free, and a pinned one is nobody else's: whoever has it writes his mark there
 * and finds it again. */
enum { WORKERS = 4, ROUNDS = 20000 };
static struct af_pool pool;
static struct af_socket *_Atomic last; /* one that somebody has just had */
static _Atomic int broken, made;

static void *memory(size_t size) {
    return calloc(1, size);
}

static struct af_socket *claimed(void) {
    struct af_socket *socket = af_pool_spare(&pool);

    if (!socket)
        socket = af_pool_pop(&pool, &pool.free);
    if (!socket && (socket = af_pool_fresh(&pool, memory)))
        made++;
    return socket;
}

static void *claims_and_frees(void *mark) {
    for (int i = 0; i < ROUNDS; i++) {
        struct af_socket *socket = claimed();
        broken += socket->images != 0;
        socket->images = (uint32_t)(uintptr_t)mark;
        last = socket;
        af_pool_pin(socket);
        af_pool_free(&pool, socket);
        broken += socket->images != (uint32_t)(uintptr_t)mark;
        socket->images = 0;
        af_pool_unpin(&pool, socket);
    }
    return NULL;
}

static void *pins_what_is_not_its_own(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        struct af_socket *socket = last;
        if (!socket)
            continue;
        af_pool_pin(socket);
        af_pool_unpin(&pool, socket);
    }
    return unused;
}

Test(threads, that_pin_a_record_keep_it_from_all_others_and_none_is_lost) {
    pthread_t thread[2 * WORKERS];

    for (uintptr_t i = 0; i < 2 * WORKERS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, i % 2 ? claims_and_frees : pins_what_is_not_its_own,
                                    (void *)(i + 1)),
                     0);
    for (int i = 0; i < 2 * WORKERS; i++)
        pthread_join(thread[i], NULL);
    cr_expect_eq(broken, 0, "%d records were two threads' at once", broken);
    cr_expect_leq(made, 4 * WORKERS, "%d of them for %d threads", made, WORKERS);
    for (int i = af_pool_spare(&pool) != NULL; i < made; i++)
        cr_assert_not_null(af_pool_pop(&pool, &pool.free), "%d of %d are there", i, made);
    cr_expect_null(af_pool_pop(&pool, &pool.free), "and none twice");
}
