/* Many threads at once, above all at the very first socket, when each may find nothing there yet. */
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
enum { RECORDS = 4, WORKERS = 4, ROUNDS = 20000 };
static struct af_ledger *shared;
static _Atomic uint32_t last; /* index + 1 of a record that somebody has just had */
static _Atomic int broken;

static void *claims_and_frees(void *mark) {
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t index = af_ledger_claim_connection(shared, always_backed);
        if (index == AF_NO_SLOT)
            continue;
        struct af_connection *conn = af_ledger_connection(shared, index);
        broken += conn->bind_scope != 0;
        conn->bind_scope = (uint32_t)(uintptr_t)mark;
        conn->state = AF_CONN_OPEN;
        last = index + 1;
        const uint32_t born = af_ledger_pin(conn);
        af_ledger_free_connection(shared, index);
        broken += conn->state != AF_CONN_FREE || conn->bind_scope != (uint32_t)(uintptr_t)mark || !born;
        conn->bind_scope = 0;
        af_ledger_unpin(shared, conn);
    }
    return NULL;
}

static void *pins_what_is_not_its_own(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t index = last;
        if (!index)
            continue;
        struct af_connection *conn = af_ledger_connection(shared, index - 1);
        broken += !af_ledger_pin(conn);
        af_ledger_unpin(shared, conn);
    }
    return unused;
}

Test(threads, that_pin_a_record_keep_it_from_all_others_and_none_is_lost) {
    const struct af_ledger_room room = { 1, RECORDS, 8, 8 };
    pthread_t thread[2 * WORKERS];

    shared = calloc(1, af_ledger_size(&room));
    af_ledger_layout(shared, &room);
    for (uintptr_t i = 0; i < 2 * WORKERS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, i % 2 ? claims_and_frees : pins_what_is_not_its_own,
                                    (void *)(i + 1)),
                     0);
    for (int i = 0; i < 2 * WORKERS; i++)
        pthread_join(thread[i], NULL);
    cr_expect_eq(broken, 0, "%d records were two threads' at once", broken);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t index = af_ledger_claim_connection(shared, always_backed);
        cr_assert_lt(index, RECORDS, "%d of %d are there", i, RECORDS);
    }
    cr_expect_eq(af_ledger_claim_connection(shared, always_backed), AF_NO_SLOT, "and none twice");
}
