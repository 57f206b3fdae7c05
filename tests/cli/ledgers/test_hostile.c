/* Directories that somebody has filled to annoy: what is broken is named and left out, the rest is read, and
 * nothing crashes or waits. */
#include "cli/ledgers/collect.h"
#include "ledger/reader.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"
#include "tests/ledger/reader_invariants.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_file(int directory, const char *name, const void *data, size_t size) {
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size, "%s", name);
    close(fd);
}

/* make fuzz does it for longer, and knows what it does. */
Test(hostile, mutated_ledgers_are_read_or_named) {
    static char seed[READER_SEED_ROOM], mutant[READER_SEED_ROOM];
    const char *path = new_directory();
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    srandom(2);
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = reader_seed(i % READER_SEEDS, seed), room = size;
        memcpy(mutant, seed, size);
        for (unsigned n = (unsigned)random() % 8; n > 0; n--) {
            /* The header more often than its share. */
            size_t at = (size_t)random() % (random() % 2 ? sizeof(struct af_ledger) : size);
            static const unsigned char often[] = { 0, 1, 0x7f, 0x80, 0xff };
            mutant[at] = (char)(random() % 2 ? random() : often[random() % 5]);
        }
        if (random() % 16 == 0)
            room = (size_t)random() % (size + 1);
        write_file(directory, "x.ledger", mutant, room);
        const char *broken = reader_broken(directory);
        cr_assert(!broken, "mutant %u: %s", i, broken);
    }
}

/* Each kind of file that is not a ledger to be read, and what is said of it. */
static const struct {
    const char *kind, *why;
} kinds[] = {
    { "good", NULL },
    { "truncated", "truncated: " },
    { "empty", "too short for a ledger: 0 bytes" },
    { "random", "not a ledger" },
    { "version", "a ledger of version 4711" },
    { "boot", "from another boot of this machine" },
    { "link", "a symbolic link" },
    { "fifo", "not a regular file" },
    { "dir", "not a regular file" },
};

static void make_kind(int directory, const char *kind, const char *name) {
    static char bytes[READER_SEED_ROOM];
    struct af_ledger *ledger = (struct af_ledger *)bytes;
    size_t size = reader_seed(1, bytes);
    ((struct af_process *)(bytes + ledger->processes_at))->ended = AF_EXITED;
    if (strcmp(kind, "truncated") == 0)
        size -= 8;
    if (strcmp(kind, "empty") == 0)
        size = 0;
    if (strcmp(kind, "version") == 0)
        ledger->version = 4711;
    if (strcmp(kind, "boot") == 0)
        strcpy(ledger->boot_id, "01234567-89ab-cdef-0123-456789abcdef");
    for (size_t i = 0; i < size && strcmp(kind, "random") == 0; i++)
        bytes[i] = (char)random();
    if (strcmp(kind, "link") == 0)
        cr_assert_eq(symlinkat("0-good.ledger", directory, name), 0);
    else if (strcmp(kind, "fifo") == 0)
        cr_assert_eq(mkfifoat(directory, name, 0600), 0);
    else if (strcmp(kind, "dir") == 0)
        cr_assert_eq(mkdirat(directory, name, 0700), 0);
    else
        write_file(directory, name, bytes, size);
}

/* Of more than AF_MOST_TOLD that are left out the rest is a number. */
static void expect_told(const char *command_name, const char *err, unsigned bad, unsigned named) {
    unsigned lines = 0;
    for (const char *at = err; (at = strchr(at, '\n')); at++)
        lines++;
    char more[64];
    snprintf(more, sizeof more, "%s: and %u more were left out\n", command_name, bad - named);
    cr_expect_eq(lines, named + (bad > named), "%s: %u lines", command_name, lines);
    cr_expect_eq(strstr(err, more) != NULL, bad > named, "%s: %.2000s", command_name, err);
}

static void expect_each_kind(unsigned each) {
    static const char *const commands[] = { "report", "who" };
    const unsigned bad = each * (ROWS(kinds) - 1), named = bad < AF_MOST_TOLD ? bad : AF_MOST_TOLD;
    const char *path = new_directory();
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < each * ROWS(kinds); i++) {
        char name[64];
        snprintf(name, sizeof name, "%u-%s.ledger", i, kinds[i % ROWS(kinds)].kind);
        make_kind(directory, kinds[i % ROWS(kinds)].kind, name);
    }
    for (size_t c = 0; c < ROWS(commands); c++) {
        struct ended e = command(NULL, commands[c], "-d", path, "--json", NULL);
        cr_assert_eq(e.status, 0, "%s: %d: %s", commands[c], e.status, e.err);
        json_t *json = json_loads(e.out, 0, NULL);
        cr_expect(c != 0 || json_number(json, "totals.processes") == (long)each, "%ld",
                  json_number(json, "totals.processes"));
        expect_told(commands[c], e.err, bad, named);
        for (unsigned i = 0; i < ROWS(kinds) && each == 1; i++) {
            char wanted[128];
            const char *why = kinds[i].why;
            snprintf(wanted, sizeof wanted, "%s: left out: %u-%s.ledger: %s", commands[c], i, kinds[i].kind,
                     why ? why : "");
            cr_expect_eq(strstr(e.err, wanted) != NULL, why != NULL, "%s", wanted);
        }
    }
}

Test(hostile, each_of_thousands_of_files_is_read_or_left_out_and_the_first_are_named) {
    ns_enter();
    expect_each_kind(1);
    expect_each_kind(250);
}

Test(hostile, another_user_can_say_little_on_roots_terminal) {
    enum { N = 30, NOBODY = 65534 };
    const char *path = new_directory();
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < N; i++) {
        char name[64];
        snprintf(name, sizeof name, "%u.ledger", i);
        write_file(directory, name, "forged", 6);
        if (fchownat(directory, name, NOBODY, NOBODY, 0) != 0)
            cr_skip_test("only root can give a file away");
    }
    static const char *const commands[] = { "report", "who", "top --once" };
    ns_enter();
    for (size_t c = 0; c < ROWS(commands); c++) {
        struct ended e = shell("%s %s -d %s", command_path(), commands[c], path);
        unsigned lines = 0;
        for (const char *at = e.err; (at = strchr(at, '\n')); at++)
            lines++;
        cr_expect(e.status == 0 && lines <= 5, "%s: %d, %u lines: %s", commands[c], e.status, lines, e.err);
        cr_expect(strstr(e.err, ": user 65534: 26 more were left out\n"), "%s: %s", commands[c], e.err);
    }
}

/* What it promises is as large as a ledger may be; what is there is one page. */
Test(hostile, a_file_of_holes_is_read_as_one) {
    const char *path = new_directory();
    struct af_ledger *ledger = make_ledger(path, "a.ledger");
    ledger->n_processes = UINT32_MAX;
    ledger->n_connections = UINT32_MAX;
    ledger->n_closed = UINT64_MAX;
    struct ended e = command(NULL, "report", "-d", path, "--json", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "ledgers"), 1);
    struct stat st;
    char file[512];
    snprintf(file, sizeof file, "%s/a.ledger", path);
    cr_assert_eq(stat(file, &st), 0);
    cr_expect_lt(st.st_blocks, 64, "and reading made it no larger");
}

static void change_forever(const char *path) {
    static char bytes[READER_SEED_ROOM];
    const size_t size = reader_seed(3, bytes);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (;;) {
        size_t some = (size_t)random() % size;
        if (ftruncate(fd, (off_t)some) != 0 || pwrite(fd, bytes + some, size - some, (off_t)some) < 0 ||
            pwrite(fd, bytes, size, 0) < 0 || ftruncate(fd, (off_t)(size + some)) != 0)
            _exit(1);
    }
    _exit(1);
}

Test(hostile, a_file_that_shrinks_and_grows_meanwhile_is_survived) {
    ns_enter();
    const char *path = new_directory();
    char file[512];
    snprintf(file, sizeof file, "%s/x.ledger", path);
    pid_t writer = fork();
    if (writer == 0)
        change_forever(file);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (faccessat(directory, "x.ledger", F_OK, 0) != 0)
        usleep(1000);
    for (int i = 0; i < 2000; i++) {
        const char *broken = reader_broken(directory);
        cr_assert(!broken, "%d: %s", i, broken);
    }
    for (int i = 0; i < 40; i++) {
        struct ended e = command(NULL, i % 2 ? "who" : "report", "-d", path, NULL);
        cr_assert_eq(e.status, 0, "%d: %s", e.status, e.err);
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
}

/* As the library makes one: a file, its size, its header, and the magic last. */
static void make_slowly(int directory) {
    static char bytes[READER_SEED_ROOM];
    const size_t size = reader_seed(2, bytes), magic = sizeof((struct af_ledger *)bytes)->magic;
    int fd = openat(directory, "a.ledger", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    usleep(100000);
    bool ok = ftruncate(fd, (off_t)size) == 0;
    usleep(100000);
    ok &= pwrite(fd, bytes + magic, size - magic, (off_t)magic) == (ssize_t)(size - magic);
    usleep(100000);
    ok &= pwrite(fd, bytes, magic, 0) == (ssize_t)magic;
    _exit(!ok);
}

Test(hostile, one_that_is_just_being_made_is_waited_for_and_read) {
    for (int i = 0; i < 5; i++) {
        const char *path = new_directory();
        int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
        pid_t writer = fork();
        if (writer == 0)
            make_slowly(directory);
        while (faccessat(directory, "a.ledger", F_OK, 0) != 0)
            usleep(1000);
        usleep((useconds_t)i * 60000);
        struct ended e = command(NULL, "report", "-d", path, "--json", NULL);
        cr_expect(e.status == 0 && !*e.err, "%d: %d: %s", i, e.status, e.err);
        cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "totals.processes"), 2, "%d: %s", i, e.out);
        cr_assert(waitpid(writer, &status, 0) == writer && status == 0);
        close(directory);
    }
}

Test(hostile, a_name_cannot_speak_to_the_terminal) {
    const char *path = new_directory();
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(directory, "\033[2Jx\ny.ledger", "", 0);
    struct ended e = command(NULL, "report", "-d", path, NULL);
    cr_expect_str_eq(e.err, "afterfin: report: left out: \\x1b[2Jx\\x0ay.ledger: too short for a ledger: 0 bytes\n");
}

Test(hostile, directories_below_are_no_labyrinth) {
    const char *path = new_directory();
    cr_assert_eq(shell("cd %s && ln -s . run-1-0 && ln -s / run-2-0 && mkfifo run-3-0 && "
                       "d=.; for i in $(seq 64); do d=$d/run-4-0; mkdir $d; done",
                       path)
                     .status,
                 0);
    make_process(make_ledger(path, "a.ledger"), 7);
    struct ended e = command(NULL, "report", "-d", path, "--json", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "ledgers"), 1, "by one way only: %s", e.out);
}
