/* What the library costs a program that never has a TCP socket: instructions, memory, files. All exact. */
#include "tests/harness/counts.h"

#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* User instructions that the library adds to exec, ld.so and main of /bin/true over those of a library with nothing in
 * it: 25,900, of which 600 come and go with where ld.so's strcmp finds the names of versions. What bare and empty take is
 * the distribution's: 108,653 and 115,604 on Debian 12, 146,801 and 156,363 on Debian 13. */
enum { MOST_EXTRA = 26400 };

/* A copy without debug information: valgrind 3.19 cannot read that of every compiler. */
static const char *stripped_library(void) {
    const char *path = scratch_path();
    struct ended e = run(NULL, "strip --strip-debug -o %s %s", path, library_path());

    if (e.status != 0)
        cr_skip_test("strip is not there: %s", e.err);
    return path;
}

static const char *empty_library(void) {
    const char *path = scratch_path();
    struct ended e = run(NULL,
                         "gcc -shared -nostartfiles -nostdlib -Wl,-z,now -Wl,--hash-style=gnu -o %s -x c /dev/null",
                         path);

    if (e.status != 0)
        cr_skip_test("gcc is not there: %s", e.err);
    return path;
}

static long instructions(const char *library, const char *settings) {
    const char *argv[16] = { "env", "-i" };
    char preload[512], *rest = NULL;
    int n = 2;
    long collected = -1;

    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    if (library)
        argv[n++] = preload;
    for (char *one = strtok_r(strdup(settings), "|", &rest); one; one = strtok_r(NULL, "|", &rest))
        argv[n++] = one;
    argv[n++] = "/usr/bin/valgrind";
    argv[n++] = "--tool=callgrind";
    argv[n++] = "--callgrind-out-file=/dev/null";
    argv[n++] = "/bin/true";
    struct ended e = run_argv(NULL, argv);
    const char *at = strstr(e.err, "Collected : ");
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert(at && sscanf(at, "Collected : %ld", &collected) == 1, "%s", e.err);
    return collected;
}

Test(costs, exec_takes_at_most_so_many_instructions) {
    static const char *const rows[] = { "", "AFTERFIN_LOG=/tmp/afterfin.log",
                                        "AFTERFIN_LINGER=ack|AFTERFIN_LOG=stderr" };

    if (access("/usr/bin/valgrind", X_OK) != 0)
        cr_skip_test("valgrind is not there");
    const char *library = stripped_library();
    long bare = instructions(NULL, ""), empty = instructions(empty_library(), "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long wrapped = instructions(library, rows[i]);
        cr_expect_leq(wrapped - empty, MOST_EXTRA, "'%s': %ld, bare %ld, empty %ld", rows[i], wrapped, bare, empty);
    }
    unlink(library);
}

/* Pages that the kernel has to find or clear for /bin/true, in so many starts: where it puts things differs, and with that
 * how many pages it finds at once. */
enum { STARTS = 200 };
static long faults(const char *library, const char *const settings[]) {
    const char *argv[] = { "true", NULL }, *env[8] = { text("LD_PRELOAD=%s", library) };
    long all = 0;

    for (int i = 0; settings[i]; i++)
        env[i + 1] = settings[i];
    for (int i = 0; i < STARTS; i++) {
        struct rusage used;
        pid_t pid;
        int status;
        cr_assert_eq(posix_spawn(&pid, "/bin/true", NULL, NULL, (char *const *)argv, (char *const *)env), 0);
        cr_assert(wait4(pid, &status, 0, &used) == pid && status == 0);
        all += used.ru_minflt;
    }
    return all;
}

/* Beyond an empty library: its list of names, and the entries that ld.so writes; with settings the mailbox, and the clock. */
Test(costs, exec_touches_few_pages) {
    static const char *const none[] = { NULL }, *const log[] = { "AFTERFIN_LOG=/tmp/afterfin.log", NULL },
                             *const ack[] = { "AFTERFIN_LINGER=ack", "AFTERFIN_LOG=stderr", NULL };
    const char *library = stripped_library(), *nothing = empty_library();
    const long empty = faults(nothing, none);
    const double bare = (double)(faults(library, none) - empty) / STARTS,
                 with_log = (double)(faults(library, log) - empty) / STARTS,
                 with_ack = (double)(faults(library, ack) - empty) / STARTS;

    cr_expect_lt(bare, 3.3, "%.1f, with a log %.1f, with ack %.1f", bare, with_log, with_ack);
    cr_expect_lt(with_log, 6.3, "%.1f, with a log %.1f, with ack %.1f", bare, with_log, with_ack);
    cr_expect_lt(with_ack, 6.3, "%.1f, with a log %.1f, with ack %.1f", bare, with_log, with_ack);
}

/* The mappings without a name of a process that reads its own /proc/self/smaps. */
struct memory {
    unsigned mappings; /* with and without */
    long size_kb, resident_kb;
};

static struct memory read_smaps(const char *smaps) {
    struct memory m = { 0 };
    char line[512], path[256];
    bool unnamed = false;

    for (const char *at = smaps; *at; at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n')) {
        long kb;
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (sscanf(line, "%*x-%*x %255s", path) == 1) {
            m.mappings++;
            unnamed = sscanf(line, "%*s %*s %*s %*s %*s %255s", path) != 1;
        } else if (unnamed && sscanf(line, "Size: %ld kB", &kb) == 1) {
            m.size_kb += kb;
        } else if (unnamed && sscanf(line, "Rss: %ld kB", &kb) == 1) {
            m.resident_kb += kb;
        }
    }
    return m;
}

static unsigned entries(const char *path) {
    DIR *dir = opendir(path);
    unsigned n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* Asked for everything, the library maps no more than with nothing asked for, and of its own zeroed memory (a
 * table of 256 kB) little is ever touched. */
Test(costs, a_process_without_tcp_sockets_gets_no_memory_and_no_file) {
    enum { MOST_TOUCHED_KB = 24 };
    const char *directory = scratch_path(), *log = scratch_path();
    char settings[512];

    if (mkdir(directory, 0700) != 0)
        give_up("%s: %s", directory, strerror(errno));
    snprintf(settings, sizeof settings, "LOG=%s|LEDGER=%s|LINGER=ack|PORT_SEARCH=cycle", log, directory);
    struct ended asked = run(settings, "cat /proc/self/smaps");
    struct memory most = read_smaps(asked.out), idle = read_smaps(run("", "cat /proc/self/smaps").out),
                  bare = read_smaps(run(NULL, "cat /proc/self/smaps").out);

    cr_assert_str_empty(asked.err, "%s", asked.err);
    cr_assert_gt(idle.mappings, bare.mappings);
    cr_expect_eq(most.mappings, idle.mappings, "%u mappings, %u", most.mappings, idle.mappings);
    cr_expect_eq(most.size_kb, idle.size_kb, "%ld kB without a name, %ld", most.size_kb, idle.size_kb);
    cr_expect_leq(most.resident_kb - bare.resident_kb, MOST_TOUCHED_KB, "%ld kB resident, bare %ld", most.resident_kb,
                  bare.resident_kb);
    cr_expect_eq(entries(directory), 2, "there is a file in %s", directory);
    cr_expect(access(log, F_OK) != 0, "there is %s", log);
    rmdir(directory);
}
