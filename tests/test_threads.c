/* Many threads at once, above all at the very first socket, when each may find nothing there yet. */
#include "tests/harness.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned files_in(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

Test(threads, that_begin_at_once_are_one_process_with_one_ledger_and_nothing_lost)
{
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
