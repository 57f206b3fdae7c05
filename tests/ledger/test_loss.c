/* A ledger that cannot be had, cannot grow, or goes round: the program runs on, the count goes on where memory is
 * shared, and what is lost is said. */
#include "ledger/reader.h"
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *format, ...) {
    char *out;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&out, format, args);
    va_end(args);
    return n < 0 ? NULL : out;
}

static const char *new_directory_of_mode(mode_t mode) {
    const char *path = scratch_path();
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, mode), 0);
    return path;
}

static const char *mounted[8];
static unsigned n_mounted;

/* Else the directories under them would stay. */
static void unmount_all(void) {
    while (n_mounted > 0)
        umount2(mounted[--n_mounted], MNT_DETACH);
}

/* A file system of so many bytes, private to this test. */
static const char *mount_disk(unsigned long flags, const char *options) {
    const char *path = mounted[n_mounted] = new_directory_of_mode(0700);
    if (!n_mounted && (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
        cr_skip_test("no mount namespace of our own: %s", strerror(errno));
    if (mount("none", path, "tmpfs", flags, options) != 0)
        cr_skip_test("no mount of our own: %s", strerror(errno));
    if (!n_mounted++)
        atexit(unmount_all);
    return path;
}

static const char *small_disk(const char *size) {
    return mount_disk(0, text("size=%s,mode=700", size));
}

static unsigned lines(const char *of) {
    unsigned n = 0;
    for (; *of; of++)
        n += *of == '\n';
    return n;
}

/* The only ledger in a directory. */
static struct af_reader open_ledger(const char *directory) {
    struct af_reader reader = { .fd = -1 };
    struct af_reader_error error;
    DIR *list = opendir(directory);
    for (struct dirent *e; (e = readdir(list));)
        if (strstr(e->d_name, ".ledger")) {
            cr_assert(af_reader_open(&reader, dirfd(list), e->d_name, NULL, &error), "%s", error.text);
            closedir(list);
            return reader;
        }
    give_up("no ledger in %s", directory);
    return reader;
}

static void count_closed(void *context, const struct af_closed *closed) {
    (void)closed;
    ++*(unsigned *)context;
}

static unsigned closed_in(struct af_reader *reader, uint64_t *lost) {
    struct af_reader_error error;
    unsigned n = 0;
    cr_assert(af_reader_closed(reader, count_closed, &n, lost, &error), "%s", error.text);
    return n;
}

/* ---- the ring ----------------------------------------------------------------------------------------------- */

Test(ledger_loss, the_ring_has_room_for_all_TIME_WAITs_that_the_kernel_keeps) {
    static const struct {
        const char *buckets;
        uint32_t ring;
    } rows[] = { { "0", 16384 },       { "16384", 16384 },     { "16385", 32768 },
                 { "262144", 262144 }, { "1048577", 1048576 }, { "2000000000", 1048576 } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory_of_mode(0700);
        ns_sysctl("tcp_max_tw_buckets", rows[i].buckets);
        cr_assert_eq(run(text("LEDGER=%s", directory), "connect_close 127.0.0.1 %u", peer.port).status, 0);
        struct af_reader reader = open_ledger(directory);
        cr_expect_eq(reader.head.max_closed, rows[i].ring, "%s: %u", rows[i].buckets, reader.head.max_closed);
        af_reader_close(&reader);
    }
}

Test(ledger_loss, an_overrun_ring_says_how_many_it_has_lost) {
    enum { RING = 16384, N = RING + 100 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    ns_sysctl("tcp_max_tw_buckets", "1000");
    struct ended e = command(NULL, "run", "-p", "linger=ack-always", victim_path("connect_close"), "127.0.0.1",
                             text("%u", peer.port), "-n", text("%d", N), NULL);
    cr_assert_eq(e.status, 0);
    cr_assert(strstr(e.err, "100 closed connections were too many for the ledger"), "%s", e.err);
    cr_assert(strstr(e.err, text("%d", N)), "they are counted: %s", e.err);
}

/* ---- memory follows use --------------------------------------------------------------------------------------- */

Test(ledger_loss, a_process_with_one_connection_uses_little) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *directory = new_directory_of_mode(0700);
    cr_assert_eq(run(text("LEDGER=%s", directory), "connect_close 127.0.0.1 %u", peer.port).status, 0);
    struct af_reader reader = open_ledger(directory);
    struct stat st;
    cr_assert_eq(fstat(reader.fd, &st), 0);
    cr_assert_gt(st.st_size, 64 << 20);
    cr_assert_leq(st.st_blocks * 512, 160 << 10, "%ld KiB", (long)st.st_blocks / 2);
    cr_assert_gt(st.st_blocks, 0);
}

/* ---- no file ---------------------------------------------------------------------------------------------------- */

Test(ledger_loss, without_a_file_the_count_goes_on_in_memory_and_one_line_says_why) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *file = scratch_path(), *others = new_directory_of_mode(0777), *link = scratch_path();
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    cr_assert_eq(symlink(new_directory_of_mode(0700), link), 0);
    const char *disk = small_disk("4k"), *frozen = mount_disk(MS_RDONLY, "mode=700");
    const struct {
        const char *directory, *why;
    } rows[] = {
        { "/nonexistent/directory", "ENOENT" },
        { file, "ENOTDIR" },
        { others, "EPERM" },
        { link, "a symbolic link" },
        { disk, "ENOSPC" },
        { frozen, "EROFS" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = run(text("LEDGER=%s|LOG=stdout|LINGER=ack-always", rows[i].directory),
                             "connect_close 127.0.0.1 %u -n 30", peer.port);
        cr_expect_eq(e.status, 0, "%s", rows[i].directory);
        cr_expect(strncmp(e.out, "made 30\n", 8) == 0, "%s: %s", rows[i].directory, e.out);
        cr_expect_eq(log_number(log_line(e.out, 0), "avoided"), 30, "%s: %s", rows[i].directory, e.out);
        cr_expect(strstr(e.err, rows[i].why) && strstr(e.err, rows[i].directory), "%s: %s", rows[i].why, e.err);
        cr_expect_eq(lines(e.err), 1, "%s", e.err);
    }
    cr_expect_eq(entries(disk, ""), 0, "no half a ledger stays");
}

Test(ledger_loss, a_disk_that_fills_meanwhile_harms_nobody) {
    enum { N = 3000 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *disk = small_disk("120k");
    struct ended e = run(text("LEDGER=%s|LOG=stdout", disk), "connect_close 127.0.0.1 %u -n %d", peer.port, N);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert(strncmp(e.out, "made 3000\n", 10) == 0, "%s", e.out);
    cr_expect_eq(log_number(log_line(e.out, 0), "time_wait"), N, "what is counted is all there: %s", e.out);
    cr_expect(strstr(e.err, "the ledger cannot grow"), "%s", e.err);
    cr_expect_eq(lines(e.err), 1, "%s", e.err);
    struct af_reader reader = open_ledger(disk);
    uint64_t lost;
    unsigned kept = closed_in(&reader, &lost);
    cr_expect_gt(lost, 0);
    cr_expect_eq(kept + lost, N, "%u kept, %u lost", kept, (unsigned)lost);
    cr_expect_eq(ns_tw(), N);
}

Test(ledger_loss, run_says_what_a_full_disk_has_lost_and_looks_for_no_other_reason) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(text("AFTERFIN_LEDGER=%s", small_disk("120k")), "run", victim_path("connect_close"),
                             "127.0.0.1", text("%u", peer.port), "-n", "3000", NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_expect(strstr(e.err, "closed connections were too many for the ledger"), "%s", e.err);
    cr_expect_null(strstr(e.err, "not seen in the kernel's table"), "%s", e.err);
}

Test(ledger_loss, connections_that_found_no_room_are_treated_and_counted) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *disk = small_disk("80k");
    struct ended e = run(text("LEDGER=%s|LOG=stdout|LINGER=rst", disk), "exit_open exit 127.0.0.1 %u 900 10",
                         peer.port);
    cr_assert_eq(e.status, 0, "%s", e.err);
    const char *line = log_line(e.out, 0);
    cr_expect_eq(log_number(line, "sockets"), 900, "%s", line);
    cr_expect_eq(log_number(line, "established"), 900, "%s", line);
    cr_expect_eq(log_number(line, "avoided"), 900, "%s", line);
    cr_expect_eq(lines(e.err), 1, "%s", e.err);
    log_expect_invariant(line);
    ns_settle();
    cr_expect_eq(ns_tw(), 0);
    struct af_reader reader = open_ledger(disk);
    cr_expect_lt(reader.head.n_connections, 900, "%u records: there was no room", reader.head.n_connections);
    af_reader_close(&reader);
}

/* Neither file, nor descriptor, nor room: what says so needs none of them. */
Test(ledger_loss, run_says_how_many_could_keep_no_ledger_and_why) {
    static const struct {
        const char *limit, *why;
    } rows[] = { { "ulimit -f 0", "EFBIG (File too large)" }, { "ulimit -n 4", "EMFILE (Too many open files)" } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *json = scratch_path(), *directory = new_directory_of_mode(0700);
        const char *script = text("exec >/dev/null 2>&1; %s; \"$0\" 127.0.0.1 $1; exec \"$0\" 127.0.0.1 $1",
                                  rows[i].limit);
        struct ended e = command(text("AFTERFIN_LEDGER=%s", directory), "run", text("--json=%s", json), "sh", "-c",
                                 script, victim_path("connect_close"), text("%u", peer.port), NULL);
        cr_expect_eq(e.status, 0, "%s: %d %s", rows[i].limit, e.status, e.err);
        cr_expect(strstr(e.err, "2 processes could not keep a ledger") && strstr(e.err, rows[i].why), "%s", e.err);
        cr_expect_null(strstr(e.err, "cannot reach"), "nobody else is blamed: %s", e.err);
        cr_expect_eq(json_number(json_load_file(json, 0, NULL), "without_ledger"), 2);
        cr_expect_eq(entries(directory, ""), 0, "nothing stays");
    }
}

Test(ledger_loss, run_says_so_of_static_programs_too) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *json = scratch_path(), *disk = small_disk("4k");
    struct ended e = command(text("AFTERFIN_LEDGER=%s", disk), "run", text("--json=%s", json),
                             victim_path("static/connect_close"), "127.0.0.1", text("%u", peer.port), "-n", "70", NULL);
    cr_expect_eq(e.status, 0, "%d %s", e.status, e.err);
    cr_expect(strstr(e.err, "1 process could not keep a ledger") && strstr(e.err, "ENOSPC"), "%s", e.err);
    cr_expect_null(strstr(e.err, "no process reported"), "%s", e.err);
    cr_expect_eq(json_number(json_load_file(json, 0, NULL), "without_ledger"), 1);
}

/* Its own files are an error of theirs: its status is CMD's, and its directory goes. */
Test(ledger_loss, run_itself_lives_under_a_limit_on_file_size) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *directory = new_directory_of_mode(0700), *errors = scratch_path(); /* it may not grow */
    const char *script = text("ulimit -f 0; exec %s run -p ledger=%s %s 127.0.0.1 %u >/dev/null 2>>%s", command_path(),
                              directory, victim_path("connect_close"), peer.port, errors);
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", script, NULL });
    cr_expect_eq(e.status, 0, "%d %s", e.status, e.err);
    cr_expect_eq(entries(directory, ""), 0, "nothing stays");
}

/* Its madvise knows no MADV_POPULATE_WRITE; the first one is another's. */
Test(ledger_loss, an_old_kernel_gets_its_disk_reserved) {
    static const struct {
        const char *disk;
        unsigned files, says;
    } rows[] = { { "16m", 1, 0 }, { "2m", 0, 1 } };
    if (run(NULL, "strace -V").status != 0)
        cr_skip_test("no strace");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *disk = small_disk(rows[i].disk);
        char line[512];
        snprintf(line, sizeof line,
                 "strace -o /dev/null -e inject=madvise:error=EINVAL:when=2+ -E LD_PRELOAD=%s "
                 "-E AFTERFIN_LOG=stdout -E AFTERFIN_LEDGER=%s %s 127.0.0.1 %u -n 30",
                 library_path(), disk, victim_path("connect_close"), peer.port);
        struct ended e = run(NULL, "%s", line);
        cr_expect_eq(e.status, 0, "%s: %s", rows[i].disk, e.err);
        cr_expect_eq(log_number(log_line(e.out, 0), "time_wait"), 30, "%s: %s", rows[i].disk, e.out);
        cr_expect_eq(lines(e.err), rows[i].says, "%s: %s", rows[i].disk, e.err);
        cr_expect_eq(entries(disk, ""), rows[i].files, "%s", rows[i].disk);
        if (rows[i].files) {
            struct af_reader reader = open_ledger(disk);
            struct stat st;
            cr_assert_eq(fstat(reader.fd, &st), 0);
            cr_expect_geq(st.st_blocks * 512, st.st_size, "all of it is there");
            af_reader_close(&reader);
        }
    }
}

/* ---- limits ------------------------------------------------------------------------------------------------ */

Test(ledger_loss, limits_of_the_program_make_the_ledger_small_or_none) {
    static const struct {
        const char *limit;
        long size, says; /* bytes at most of the ledger file, 0: none; lines on stderr */
        bool counts;
    } rows[] = {
        { "true", 1l << 40, 0, true },           { "ulimit -f 40000", 16l << 20, 0, true }, /* blocks of 512 bytes */
        { "ulimit -f 100", 0, 1, true },         { "ulimit -f 400", 200 << 10, 0, true },
        { "ulimit -f 4000", 2l << 20, 0, true }, { "ulimit -v 40000", 1l << 40, 0, true }, /* KiB */
        { "ulimit -v 6000", 1l << 40, 0, true },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory_of_mode(0700);
        struct ended e = run_argv(text("LEDGER=%s|LOG=stdout|ONLY=connect_close", directory),
                                  (const char *[]){ "sh", "-c",
                                                    text("%s; exec \"$0\" 127.0.0.1 $1 -n 20", rows[i].limit),
                                                    victim_path("connect_close"), text("%u", peer.port), NULL });
        cr_expect_eq(e.status, 0, "%s: %d %s", rows[i].limit, e.status, e.err);
        cr_expect(strncmp(e.out, "made 20\n", 8) == 0, "%s: %s", rows[i].limit, e.out);
        cr_expect_eq(lines(e.err), rows[i].says, "%s: %s", rows[i].limit, e.err);
        const char *line = log_line(e.out, 0);
        cr_expect_eq(line ? log_number(line, "time_wait") : -1, rows[i].counts ? 20 : -1, "%s", rows[i].limit);
        cr_expect_eq(entries(directory, ""), rows[i].size != 0, "%s", rows[i].limit);
        if (rows[i].size) {
            struct af_reader reader = open_ledger(directory);
            cr_expect_leq((long)reader.head.size, rows[i].size, "%s", rows[i].limit);
            af_reader_close(&reader);
        }
    }
}

/* The directory that nobody has named. */
Test(ledger_loss, a_default_directory_that_cannot_be_used_is_done_without) {
    static const char *const rows[] = { "rmdir /run/afterfin; touch /run/afterfin",
                                        "rmdir /run/afterfin; mount -o remount,ro /run",
                                        "mount -t tmpfs -o ro none /run/afterfin",
                                        "chmod 777 /run/afterfin",
                                        "chown nobody /run/afterfin",
                                        "rmdir /run/afterfin; ln -s /nowhere /run/afterfin" };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own_default();
        struct ended e = shell("%s", rows[i]);
        cr_assert_eq(e.status, 0, "%s: %s", rows[i], e.err);
        e = run("LEDGER=on|LOG=stdout", "connect_close 127.0.0.1 %u -n 20", peer.port);
        cr_expect_eq(e.status, 0, "%s: %d %s", rows[i], e.status, e.err);
        cr_expect(strncmp(e.out, "made 20\n", 8) == 0, "%s: %s", rows[i], e.out);
        cr_expect_eq(log_number(log_line(e.out, 0), "time_wait"), 20, "%s", rows[i]);
        cr_expect_eq(lines(e.err), 1, "%s: %s", rows[i], e.err);
    }
}

/* ---- what is given up after start ------------------------------------------------------------------------------- */

Test(ledger_loss, a_chroot_and_dropped_privileges_do_not_end_the_count) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const struct {
        const char *what;
        long counted;
    } rows[] = { { "nothing", 8 },
                 { text("chroot=%s", new_directory_of_mode(0755)), 8 },
                 { "setuid", 8 },
                 { "first-setuid", 8 },
                 { text("first-chroot=%s", new_directory_of_mode(0755)), 8 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *result = scratch_path();
        long before = ns_tw();
        struct ended e = command(NULL, "run", text("--json=%s", result), victim_path("descend"), "127.0.0.1",
                                 text("%u", peer.port), "7", rows[i].what, NULL);
        if (e.status == 3)
            cr_skip_test("%s is not allowed here", rows[i].what);
        cr_assert_eq(e.status, 0, "%s: %s", rows[i].what, e.err);
        json_t *json = json_load_file(result, 0, NULL);
        cr_expect_eq(ns_tw() - before, 8);
        cr_expect_eq(json_number(json, "totals.time_wait"), rows[i].counted, "%s", rows[i].what);
        cr_expect_eq(json_number(json, "kernel.attributed"), rows[i].counted, "%s", rows[i].what);
        cr_expect_null(strstr(e.err, "no ledger file in"), "%s: %s", rows[i].what, e.err);
    }
}

/* ---- more processes than slots ----------------------------------------------------------------------------------- */

/* A limit on address space makes a ledger of 1,024 slots. */
Test(ledger_loss, processes_beyond_the_last_slot_share_it) {
    enum { SLOTS = 1024, N = SLOTS + 76 };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *directory = new_directory_of_mode(0700), *log = scratch_path();
    struct ended e = run_argv(text("LEDGER=%s|LOG=%s|ONLY=fork_many", directory, log),
                              (const char *[]){ "sh", "-c", "ulimit -f 40000; exec \"$0\" 127.0.0.1 $1 $2",
                                                victim_path("fork_many"), text("%u", peer.port), text("%d", N), NULL });
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert_str_empty(e.err);
    const char *all = file_text(log);
    cr_assert_eq(log_lines(all), N);
    for (unsigned i = 0; i < N; i++) {
        cr_assert_eq(log_number(log_line(all, i), "established"), 1, "line %u: %s", i, log_line(all, i));
        cr_assert_eq(log_number(log_line(all, i), "time_wait"), 1, "line %u: %s", i, log_line(all, i));
    }
    e = command(text("AFTERFIN_LEDGER=%s", directory), "run", "-p", "only=fork_many", "sh", "-c",
                "ulimit -f 40000; exec \"$0\" 127.0.0.1 $1 $2", victim_path("fork_many"), text("%u", peer.port),
                text("%d", N), NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert(strstr(e.err, text("counts %d more processes", N - SLOTS)), "%s", e.err);
    cr_assert(strstr(e.err, text("%d of them left by these processes", N)), "%s", e.err);
}
