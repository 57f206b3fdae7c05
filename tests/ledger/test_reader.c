/* The reader of ledgers: what is written comes out, what is broken is named, and nothing makes it crash. */
#include "ledger/reader.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What was handed out. */
struct seen {
    unsigned processes, connections, endpoints, closed;
    struct af_seen_process process;
    struct af_connection connection;
    struct af_endpoint endpoint;
    uint64_t cookies, lost;
    struct af_reader_error error;
    bool ok;
    struct af_reader reader;
};

static void on_process(void *context, const struct af_seen_process *p) {
    struct seen *s = context;
    s->process = *p;
    s->processes++;
}

static void on_connection(void *context, const struct af_connection *c) {
    struct seen *s = context;
    memcpy(&s->connection, c, sizeof *c);
    s->connections++;
}

static void on_endpoint(void *context, const struct af_endpoint *e) {
    struct seen *s = context;
    memcpy(&s->endpoint, e, sizeof *e);
    s->endpoints++;
}

static void on_closed(void *context, const struct af_closed *c) {
    struct seen *s = context;
    s->cookies += c->cookie;
    s->closed++;
}

static void read_records(struct seen *s) {
    s->ok = af_reader_processes(&s->reader, on_process, s, &s->error) &&
            af_reader_connections(&s->reader, on_connection, s, &s->error) &&
            af_reader_endpoints(&s->reader, on_endpoint, s, &s->error) &&
            af_reader_closed(&s->reader, on_closed, s, &s->lost, &s->error);
}

static struct seen read_all(const char *directory, const char *name) {
    struct seen s = { .ok = false };
    char boot_id[40];
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    af_boot_id(boot_id);
    s.ok = af_reader_open(&s.reader, dir, name, boot_id, &s.error);
    if (s.ok)
        read_records(&s);
    af_reader_close(&s.reader);
    close(dir);
    return s;
}

static struct af_ledger *filled(const char *directory) {
    struct af_ledger *ledger = make_ledger(directory, "a.ledger");
    uint32_t slot = make_process(ledger, 4242);
    make_count(ledger, slot, AF_COUNT_established, 5);
    make_count(ledger, slot, AF_COUNT_time_wait, 3);
    make_count(ledger, slot, AF_COUNT_passive, 1);
    struct af_process *process = af_ledger_process(made_map(ledger), slot);
    for (int i = 0; i < 12; i++)
        af_ledger_count_error(process, AF_CALL_connect, 99);
    af_ledger_count_error(process, AF_CALL_bind, 0);
    const struct af_addr peer = { .ip = { 10, 0, 0, 5 }, .port = 443 };
    for (int i = 0; i < 3; i++)
        af_ledger_count_endpoint(made_map(ledger), slot, &peer, false, 1);
    uint32_t index = af_ledger_take_block(made_map(ledger));
    struct af_connection *conn = af_ledger_connection(made_map(ledger), index);
    conn->cookie = 77;
    conn->owner = slot;
    conn->holder = slot;
    conn->state = AF_CONN_OPEN;
    for (uint64_t i = 1; i <= 4; i++)
        make_closed(ledger, i * 10, i, slot, slot, i == 4 ? AF_END_PASSIVE : AF_END_TIME_WAIT);
    return ledger;
}

Test(reader, hands_out_what_was_written) {
    const char *directory = new_directory();
    filled(directory);
    struct seen s = read_all(directory, "a.ledger");
    cr_assert(s.ok, "%s", s.error.text);
    cr_assert_eq(s.processes, 1);
    cr_assert_eq(s.process.pid, 4242);
    cr_assert_eq(s.process.ended, AF_EXITED);
    cr_assert_eq(s.process.count[AF_COUNT_time_wait], 3);
    cr_assert_eq(af_seen_open(s.process.count), 1);
    cr_assert_eq(s.process.n_errors, 2, "%u", s.process.n_errors);
    cr_assert_eq(s.process.errors[0].call, AF_CALL_bind);
    cr_assert_eq(s.process.errors[0].error, 0, "unknown");
    cr_assert_eq(s.process.errors[1].error, 99);
    cr_assert_eq(s.process.errors[1].count, 12);
    cr_assert_eq(s.connections, 1);
    cr_assert_eq(s.connection.cookie, 77);
    cr_assert_eq(s.endpoints, 1);
    cr_assert_eq(s.endpoint.count, 3);
    cr_assert_eq(s.endpoint.addr.port, 443);
    cr_assert_eq(s.closed, 4);
    cr_assert_eq(s.cookies, 100);
    cr_assert_eq(s.lost, 0);
    cr_assert_str_eq(s.reader.head.program, "made");
    cr_assert_eq(s.reader.bad, 0);
    size_t size;
    const char *command = af_reader_command(&s.reader, &size);
    cr_assert_eq(size, 10);
    cr_assert_str_eq(command + 5, "--up");
}

Test(reader, says_how_many_closed_ones_an_overrun_ring_has_lost) {
    const char *directory = new_directory();
    struct af_ledger *ledger = filled(directory);
    /* As after a very long time: the ring is small, and went round. */
    ledger->max_closed = 4;
    for (uint64_t i = 5; i <= 10; i++) {
        const struct af_closed closed = { .serial = i, .cookie = i * 10, .counted = AF_END_TIME_WAIT };
        memcpy((char *)ledger + ledger->closed_at + ((i - 1) & 3) * sizeof closed, &closed, sizeof closed);
    }
    ledger->n_closed = 10;
    struct seen s = read_all(directory, "a.ledger");
    cr_assert(s.ok, "%s", s.error.text);
    cr_assert_eq(s.closed, 4);
    cr_assert_eq(s.cookies, 70 + 80 + 90 + 100);
    cr_assert_eq(s.lost, 6);
}

Test(reader, leaves_out_records_that_are_unfinished_or_make_no_sense) {
    const char *directory = new_directory();
    struct af_ledger *ledger = filled(directory);
    struct af_closed *ring = (struct af_closed *)((char *)ledger + ledger->closed_at);
    ring[0].serial = 0;    /* being written when it was killed */
    ring[1].serial = 1000; /* not its place */
    ring[2].counted = 99;
    uint32_t slot = make_process(ledger, 5);
    af_ledger_process(made_map(ledger), slot)->used = 1;
    slot = make_process(ledger, 6);
    af_ledger_process(made_map(ledger), slot)->ended = 17;
    af_ledger_connection(made_map(ledger), 0)->owner = 70000;
    struct seen s = read_all(directory, "a.ledger");
    cr_assert(s.ok, "%s", s.error.text);
    cr_assert_eq(s.processes, 1);
    cr_assert_eq(s.connections, 0);
    cr_assert_eq(s.closed, 1);
    cr_assert_eq(s.cookies, 40);
    cr_assert_eq(s.reader.bad, 4, "two ring records, a process, a connection: %u", s.reader.bad);
}

Test(reader, keeps_the_invariant_of_a_process_that_counts_meanwhile) {
    const char *directory = new_directory();
    struct af_ledger *ledger = make_ledger(directory, "a.ledger");
    uint32_t slot = make_process(ledger, 1);
    make_count(ledger, slot, AF_COUNT_established, 2);
    make_count(ledger, slot, AF_COUNT_aborted, 3); /* its beginning was counted after we had looked */
    struct seen s = read_all(directory, "a.ledger");
    cr_assert_eq(s.process.count[AF_COUNT_established], 3);
    cr_assert_eq(af_seen_open(s.process.count), 0);
}

/* ---- what is broken ----------------------------------------------------------------------------------------- */

static void as_it_is(struct af_ledger *l) {
    (void)l;
}
static void no_magic(struct af_ledger *l) {
    l->magic[0] = 'x';
}
static void next_version(struct af_ledger *l) {
    l->version++;
}
static void other_boot(struct af_ledger *l) {
    l->boot_id[0] = l->boot_id[0] == 'a' ? 'b' : 'a';
}
static void no_boot(struct af_ledger *l) {
    memset(l->boot_id, 0, sizeof l->boot_id);
}
static void larger_header(struct af_ledger *l) {
    l->header_size += 8;
}
static void larger_process(struct af_ledger *l) {
    l->process_size++;
}
static void zero_closed(struct af_ledger *l) {
    l->closed_size = 0;
}
static void processes_in_header(struct af_ledger *l) {
    l->processes_at = 8;
}
static void ring_beyond_end(struct af_ledger *l) {
    l->closed_at = l->size - 8;
}
static void ring_far_away(struct af_ledger *l) {
    l->closed_at = UINT64_MAX - 7;
}
static void too_many(struct af_ledger *l) {
    l->max_connections = UINT32_MAX;
}
static void none(struct af_ledger *l) {
    l->max_closed = 0;
}
static void odd_ring(struct af_ledger *l) {
    l->max_closed = 1000;
}
static void unaligned(struct af_ledger *l) {
    l->endpoints_at += 4;
}
static void longer_than_file(struct af_ledger *l) {
    l->size += 4096;
}
static void endless(struct af_ledger *l) {
    l->size = UINT64_MAX;
}
static void wild_numbers(struct af_ledger *l) {
    l->n_processes = UINT32_MAX;
    l->n_connections = UINT32_MAX;
    l->n_closed = UINT64_MAX;
    l->command_size = UINT32_MAX;
    memset(l->program, 'x', sizeof l->program);
}

Test(reader, says_which_file_is_broken_and_why) {
    static const struct {
        void (*how)(struct af_ledger *);
        const char *why; /* NULL: it can be read */
    } rows[] = {
        { as_it_is, NULL },
        { no_magic, "not a ledger" },
        { next_version, "a ledger of version 7; this command reads version 6" },
        { other_boot, "from another boot of this machine" },
        { no_boot, NULL },
        { larger_header, "its records have sizes that version 6 does not have" },
        { larger_process, "its records have sizes that version 6 does not have" },
        { zero_closed, "its records have sizes that version 6 does not have" },
        { processes_in_header, "its sections do not lie where they can" },
        { ring_beyond_end, "its sections do not lie where they can" },
        { ring_far_away, "its sections do not lie where they can" },
        { too_many, "its sections do not lie where they can" },
        { none, "its sections do not lie where they can" },
        { odd_ring, "its sections do not lie where they can" },
        { unaligned, "its sections do not lie where they can" },
        { longer_than_file, "truncated: " },
        { endless, "truncated: " },
        { wild_numbers, NULL },
    };
    const char *directory = new_directory();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[32], wanted[128];
        snprintf(name, sizeof name, "%zu.ledger", i);
        struct af_ledger *ledger = make_ledger(directory, name);
        const size_t large = ledger->size;
        rows[i].how(ledger);
        struct seen s = read_all(directory, name);
        snprintf(wanted, sizeof wanted, "%s: %s", name, rows[i].why ? rows[i].why : "");
        cr_expect_eq(s.ok, !rows[i].why, "row %zu: %s", i, s.error.text);
        cr_expect(s.ok || strncmp(s.error.text, wanted, strlen(wanted)) == 0, "row %zu: %s", i, s.error.text);
        munmap(ledger, large);
    }
}

Test(reader, wants_a_regular_file_of_its_own_and_waits_for_nothing) {
    const char *directory = new_directory();
    struct af_ledger *ledger = filled(directory);
    char path[512], other[512];
    snprintf(path, sizeof path, "%s/fifo.ledger", directory);
    mkfifo(path, 0600);
    snprintf(path, sizeof path, "%s/dir.ledger", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/empty.ledger", directory);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    snprintf(path, sizeof path, "%s/link.ledger", directory);
    snprintf(other, sizeof other, "%s/a.ledger", directory);
    cr_assert_eq(symlink(other, path), 0);
    static const char *const rows[][2] = {
        { "fifo.ledger", "not a regular file" },        { "dir.ledger", "not a regular file" },
        { "link.ledger", "a symbolic link" },           { "empty.ledger", "too short for a ledger: 0 bytes" },
        { "gone.ledger", "No such file or directory" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char wanted[128];
        struct seen s = read_all(directory, rows[i][0]);
        snprintf(wanted, sizeof wanted, "%s: %s", rows[i][0], rows[i][1]);
        cr_expect_not(s.ok);
        cr_expect_str_eq(s.error.text, wanted);
    }
    (void)ledger;
}

Test(reader, reads_nobody_elses_ledger_unless_it_is_root) {
    if (geteuid() != 0)
        cr_skip_test("only root can change its user id");
    const char *directory = new_directory();
    char path[512];
    filled(directory);
    snprintf(path, sizeof path, "%s/a.ledger", directory);
    cr_assert_eq(chmod(directory, 0755) + chmod(path, 0644), 0);
    if (chown(path, 65533, 65533) != 0)
        cr_skip_test("no second user in this user namespace");
    cr_assert(read_all(directory, "a.ledger").ok, "root may");
    cr_assert_eq(seteuid(65534), 0);
    struct seen s = read_all(directory, "a.ledger");
    cr_assert_not(s.ok);
    cr_assert_str_eq(s.error.text, "a.ledger: belongs to user 65533, not to us");
    /* As the library leaves it in a group's directory; who is not in the group cannot open it. */
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chmod(path, 0640) + setgid(65533) + seteuid(65534), 0);
    s = read_all(directory, "a.ledger");
    cr_expect(s.ok, "%s", s.error.text);
}

Test(reader, says_that_a_file_shrank_under_it) {
    const char *directory = new_directory();
    filled(directory);
    struct seen s = { .ok = false };
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(af_reader_open(&s.reader, dir, "a.ledger", NULL, &s.error));
    char path[512];
    snprintf(path, sizeof path, "%s/a.ledger", directory);
    cr_assert_eq(truncate(path, sizeof(struct af_ledger)), 0);
    read_records(&s);
    cr_assert_not(s.ok);
    cr_assert_str_eq(s.error.text, "a.ledger: shrank while it was read");
}

/* A writer that laps the ring again and again: in what comes out, cookie and serial belong together. */
static void check_whole(void *context, const struct af_closed *c) {
    unsigned *seen = context;
    cr_assert_eq(c->cookie, c->serial * 3);
    cr_assert_eq(c->at, c->serial * 5);
    cr_assert_eq(c->slot, (uint32_t)c->serial & 0xff);
    ++*seen;
}

static void write_forever(struct af_ledger *ledger) {
    struct af_closed *ring = (struct af_closed *)((char *)ledger + ledger->closed_at);
    for (uint64_t serial = 1;; serial++) {
        struct af_closed *to = &ring[(serial - 1) & (ledger->max_closed - 1)];
        atomic_store_explicit(&to->serial, 0, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
        to->cookie = serial * 3;
        to->at = serial * 5;
        to->slot = (uint32_t)serial & 0xff;
        atomic_store_explicit(&to->serial, serial, memory_order_release);
        atomic_store(&ledger->n_closed, serial);
    }
}

Test(reader, takes_no_torn_record_for_truth_while_the_ring_is_overwritten) {
    const char *directory = new_directory();
    struct af_ledger *ledger = make_ledger(directory, "a.ledger");
    ledger->max_closed = 4096;
    pid_t writer = fork();
    if (writer == 0)
        write_forever(ledger);
    unsigned seen = 0;
    uint64_t lost = 0;
    for (int i = 0; i < 500 || !lost; i++) {
        struct seen s = { .ok = false };
        int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert(af_reader_open(&s.reader, dir, "a.ledger", NULL, &s.error), "%s", s.error.text);
        cr_assert(af_reader_closed(&s.reader, check_whole, &seen, &lost, &s.error));
        cr_assert_eq(s.reader.bad, 0);
        af_reader_close(&s.reader);
        close(dir);
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    cr_assert_gt(seen, 0);
}

Test(reader, survives_a_thousand_ledgers_with_random_bytes_in_them) {
    const char *directory = new_directory();
    struct af_ledger *ledger = filled(directory);
    char *bytes = (char *)ledger;
    const uint64_t sections[] = { 0, ledger->processes_at, ledger->connections_at, ledger->endpoints_at,
                                  ledger->closed_at };
    struct af_ledger intact;
    memcpy(&intact, ledger, sizeof intact);
    ledger->n_processes = ledger->n_connections = 64;
    srandom(1);
    unsigned readable = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t at = sections[i % 5];
        if (i % 5 == 0)
            memcpy(ledger, &intact, sizeof intact);
        for (int n = 0; n < (i % 5 ? 64 : 1); n++)
            bytes[at + (uint64_t)random() % (i % 5 ? 8192 : sizeof intact)] = (char)random();
        readable += read_all(directory, "a.ledger").ok;
    }
    cr_assert_gt(readable, 500, "most of a header's bytes are text");
}
