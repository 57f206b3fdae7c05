/* Reads a ledger that is still being written, and believes none of it unchecked. */
#include "ledger/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, TRIES = 8, RECORD_MAX = 512, CLOCK_STEP_S = 60 };
_Static_assert(sizeof(struct af_process) <= RECORD_MAX, "room for the largest record");

static bool fail(const struct af_reader *reader, struct af_reader_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(const struct af_reader *reader, struct af_reader_error *error, const char *format, ...) {
    int used = snprintf(error->text, sizeof error->text, "%s: ", reader->name);
    va_list args;
    va_start(args, format);
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, args);
    va_end(args);
    return false;
}

void af_boot_id(char out[40]) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, out, 36);
    memset(out + (got == 36 ? 36 : 0), 0, got == 36 ? 4 : 40);
    if (fd >= 0)
        close(fd);
}

/* ---- opening -------------------------------------------------------------------------------------------- */

/* A writer makes the file, gives it its size, and fills the header in, the magic last. Who is killed in the middle
 * leaves such a file for good, so it must be young; ctime cannot be set at will. */
static bool is_young(const struct stat *st) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t age = (now.tv_sec - st->st_ctim.tv_sec) * INT64_C(1000000000) + now.tv_nsec - st->st_ctim.tv_nsec;
    return age > -1000000000 && age < 1000000000;
}

/* The clock may have been set back a little since something was written. */
static uint64_t latest_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + CLOCK_STEP_S) * UINT64_C(1000000000);
}

static bool check_file(struct af_reader *reader, struct stat *st, struct af_reader_error *error) {
    if (fstat(reader->fd, st) != 0)
        return fail(reader, error, "%s", strerror(errno));
    if (!S_ISREG(st->st_mode))
        return fail(reader, error, "not a regular file");
    reader->uid = st->st_uid;
    if (st->st_nlink > 1)
        return fail(reader, error, "has %llu names, of which a ledger has one", (unsigned long long)st->st_nlink);
    if (st->st_uid != geteuid() && geteuid() != 0 && (st->st_mode & 07777) != 0640)
        return fail(reader, error, "belongs to user %u, not to us", (unsigned)st->st_uid);
    error->unfinished = st->st_size == 0 && is_young(st);
    if (st->st_size < (off_t)sizeof reader->head)
        return fail(reader, error, "too short for a ledger: %lld bytes", (long long)st->st_size);
    if (pread(reader->fd, &reader->head, sizeof reader->head, 0) != (ssize_t)sizeof reader->head)
        return fail(reader, error, "its header cannot be read");
    return true;
}

static bool section_fits(const struct af_ledger *head, uint64_t at, uint32_t count, uint32_t most, uint64_t size) {
    return at >= sizeof *head && at % 8 == 0 && at <= head->size && count >= 1 && count <= most &&
           count * size <= head->size - at;
}

static bool check_layout(struct af_reader *reader, const struct stat *st, struct af_reader_error *error) {
    const struct af_ledger *head = &reader->head;
    if (head->header_size != sizeof *head || head->process_size != sizeof(struct af_process) ||
        head->connection_size != sizeof(struct af_connection) || head->endpoint_size != sizeof(struct af_endpoint) ||
        head->closed_size != sizeof(struct af_closed) || head->histogram_size != sizeof(struct af_histogram))
        return fail(reader, error, "its records have sizes that version %d does not have", AF_LEDGER_VERSION);
    if (!section_fits(head, head->connect_times_at, 1, 1, head->histogram_size) ||
        !section_fits(head, head->processes_at, head->max_processes, AF_MAX_PROCESSES, head->process_size) ||
        !section_fits(head, head->connections_at, head->max_connections, AF_MAX_CONNECTIONS, head->connection_size) ||
        !section_fits(head, head->endpoints_at, head->max_endpoints, AF_MAX_ENDPOINTS, head->endpoint_size) ||
        !section_fits(head, head->closed_at, head->max_closed, AF_MAX_CLOSED, head->closed_size) ||
        (head->max_closed & (head->max_closed - 1)) != 0)
        return fail(reader, error, "its sections do not lie where they can");
    if ((uint64_t)st->st_size < head->size)
        return fail(reader, error, "truncated: %lld of %llu bytes", (long long)st->st_size,
                    (unsigned long long)head->size);
    return true;
}

static bool check_header(struct af_reader *reader, const struct stat *st, const char *boot_id,
                         struct af_reader_error *error) {
    static const char none[sizeof reader->head.magic];
    struct af_ledger *head = &reader->head;
    error->unfinished = memcmp(head->magic, none, sizeof none) == 0 && is_young(st);
    if (memcmp(head->magic, AF_LEDGER_MAGIC, sizeof head->magic) != 0)
        return fail(reader, error, "not a ledger");
    if (head->version != AF_LEDGER_VERSION)
        return fail(reader, error, "a ledger of version %u; this command reads version %d", head->version,
                    AF_LEDGER_VERSION);
    head->boot_id[sizeof head->boot_id - 1] = 0;
    head->program[sizeof head->program - 1] = 0;
    head->policy[sizeof head->policy - 1] = 0;
    if (boot_id && *boot_id && *head->boot_id && strcmp(boot_id, head->boot_id) != 0)
        return fail(reader, error, "from another boot of this machine");
    if (head->started > reader->latest)
        return fail(reader, error, "says that it begins in the future");
    if (atomic_load(&head->policy_since) > reader->latest)
        return fail(reader, error, "says that its policy came in the future");
    return true;
}

bool af_reader_open(struct af_reader *reader, int dir, const char *name, const char *boot_id,
                    struct af_reader_error *error) {
    memset(reader, 0, sizeof *reader);
    snprintf(reader->name, sizeof reader->name, "%s", name);
    /* O_NONBLOCK: a FIFO in the directory must not hold us up. */
    reader->fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *error = (struct af_reader_error){ .gone = reader->fd < 0 && errno == ENOENT };
    if (reader->fd < 0)
        return fail(reader, error, "%s", errno == ELOOP ? "a symbolic link" : strerror(errno));
    struct stat st;
    reader->latest = latest_time();
    if (check_file(reader, &st, error) && check_header(reader, &st, boot_id, error) && check_layout(reader, &st, error))
        return true;
    af_reader_close(reader);
    return false;
}

void af_reader_close(struct af_reader *reader) {
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
}

const char *af_reader_command(const struct af_reader *reader, size_t *size) {
    const struct af_ledger *head = &reader->head;
    *size = head->command_size < sizeof head->command ? head->command_size : sizeof head->command;
    return head->command;
}

/* ---- reading records ------------------------------------------------------------------------------------ */

/* A section and how to hand its records out. */
struct section {
    struct af_reader *reader;
    struct af_reader_error *error;
    uint64_t at;
    uint32_t size;
    void (*record)(const struct section *section, const void *record, uint32_t index, bool whole);
    void *context;
    union {
        void (*process)(void *, const struct af_seen_process *);
        void (*connection)(void *, const struct af_connection *);
        void (*endpoint)(void *, const struct af_endpoint *);
        void (*closed)(void *, const struct af_closed *);
    } visit;
};

static bool read_at(const struct section *s, void *out, size_t size, uint64_t at) {
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(s->reader->fd, (char *)out + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(s->reader, s->error, "%s", strerror(errno));
        if (got == 0)
            return fail(s->reader, s->error, "shrank while it was read");
        done += (size_t)got;
    }
    return true;
}

/* Two reads in a row that agree show a record that nobody was writing to: the writer sets a ring record's
 * serial to 0 before it changes the rest, and to a number that never comes again after. */
static bool read_again(const struct section *s, uint32_t index, void *record, bool *whole) {
    char again[RECORD_MAX];
    *whole = false;
    for (int i = 0; i < TRIES && !*whole; i++) {
        if (!read_at(s, again, s->size, s->at + (uint64_t)index * s->size))
            return false;
        *whole = memcmp(record, again, s->size) == 0;
        memcpy(record, again, s->size);
    }
    return true;
}

static bool hand_out(const struct section *s, char *first, const char *second, uint32_t from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        char *record = first + (size_t)i * s->size;
        bool whole = memcmp(record, second + (size_t)i * s->size, s->size) == 0;
        if (!whole && !read_again(s, from + i, record, &whole))
            return false;
        s->record(s, record, from + i, whole);
    }
    return true;
}

/* The index of the first record at or after `index` that is not in a hole of the file. */
static uint32_t skip_hole(const struct section *s, uint32_t index, uint32_t n) {
    off_t at = (off_t)(s->at + (uint64_t)index * s->size);
    off_t data = lseek(s->reader->fd, at, SEEK_DATA);
    struct stat st;
    if (data < 0) /* a hole up to the end; but is that still where it was? */
        return errno == ENXIO && fstat(s->reader->fd, &st) == 0 && (uint64_t)st.st_size >= s->reader->head.size ? n
                                                                                                                : index;
    uint64_t skipped = (uint64_t)(data > at ? data - at : 0) / s->size;
    return skipped < n - index ? index + (uint32_t)skipped : n;
}

static bool each(const struct section *s, uint32_t n) {
    static _Thread_local char first[CHUNK], second[CHUNK];
    const uint32_t most = CHUNK / s->size;
    for (uint32_t i = 0; i < n;) {
        if ((i = skip_hole(s, i, n)) >= n) /* whatever its header promises, a file of holes is soon read */
            break;
        uint32_t some = n - i < most ? n - i : most;
        uint64_t at = s->at + (uint64_t)i * s->size, *may_read = s->reader->may_read;
        if (may_read && *may_read < (uint64_t)some * s->size)
            return fail(s->reader, s->error, "its owner has more than is read of one user");
        if (may_read)
            *may_read -= (uint64_t)some * s->size;
        if (!read_at(s, first, (size_t)some * s->size, at) || !read_at(s, second, (size_t)some * s->size, at) ||
            !hand_out(s, first, second, i, some))
            return false;
        i += some;
    }
    return true;
}

/* The header's own counts go up while we read. */
static bool read_head(struct af_reader *reader, void *out, size_t size, size_t at, struct af_reader_error *error) {
    const struct section s = { .reader = reader, .error = error };
    return read_at(&s, out, size, at);
}

static uint32_t at_most(uint32_t n, uint32_t most) {
    return n < most ? n : most;
}

static bool slot_fits(const struct section *s, uint32_t slot) {
    return slot == AF_NO_SLOT || slot < s->reader->head.max_processes;
}

/* ---- processes ------------------------------------------------------------------------------------------ */

int64_t af_seen_open(const uint64_t count[AF_COUNTERS]) {
    return (int64_t)(count[AF_COUNT_established] - count[AF_COUNT_time_wait] - count[AF_COUNT_avoided] -
                     count[AF_COUNT_passive] - count[AF_COUNT_aborted] - count[AF_COUNT_passed]);
}

uint32_t af_seen_knows(const struct af_seen_process *seen) {
    return !seen->outside ? AF_KNOWS_ALL
                          : 1u << AF_COUNT_time_wait |
                                1u << (seen->count[AF_COUNT_sockets] ? AF_COUNT_sockets : AF_COUNT_connects);
}

void af_counts_add(struct af_counts *sum, const uint64_t count[AF_COUNTERS], uint32_t known) {
    for (int i = 0; i < AF_COUNTERS; i++)
        sum->count[i] += known & 1u << i ? count[i] : 0;
    sum->open += known & AF_KNOWS_open ? af_seen_open(count) : 0;
    sum->known |= known;
}

void af_counts_add_sum(struct af_counts *sum, const struct af_counts *other) {
    for (int i = 0; i < AF_COUNTERS; i++)
        sum->count[i] += other->count[i];
    sum->open += other->open;
    sum->known |= other->known;
}

static void copy_errors(struct af_seen_process *to, const struct af_process *from) {
    for (int i = 0; i < AF_ERROR_ROWS; i++) {
        uint32_t key = from->errors[i].key, count = from->errors[i].count, call = (key >> 16) - 1;
        if (key && count && call < AF_CALLS)
            to->errors[to->n_errors++] = (struct af_seen_error){ call, key & 0xffff, count };
    }
}

static void process_record(const struct section *s, const void *record, uint32_t index, bool whole) {
    struct af_process from;
    memcpy(&from, record, sizeof from);
    (void)whole;
    if (from.used != 2)
        return;
    struct af_seen_process to = {
        .slot = index,
        .ended = from.ended,
        .pid = from.pid,
        .ppid = from.ppid,
        .started = from.started,
        .ended_at = from.ended_at,
        .start_ticks = from.start_ticks,
        .sealed = from.sealed != 0 && from.sealed < AF_SEEN_FROM_OUTSIDE,
        .outside = from.sealed >= AF_SEEN_FROM_OUTSIDE,
        .listening = from.sealed == AF_SEEN_LISTENING,
        .lost = from.lost,
        .sharers = from.sharers,
    };
    if (to.ended > AF_EXECED || to.pid <= 0 || to.started > s->reader->latest || to.ended_at > s->reader->latest) {
        s->reader->bad++;
        return;
    }
    for (int i = 0; i < AF_COUNTERS; i++)
        to.count[i] = from.count[i] < INT64_MAX / 16 ? from.count[i] : 0;
    /* A process that counts while we read may be seen with an ending whose beginning we missed. */
    int64_t open = af_seen_open(to.count);
    if (open < 0)
        to.count[AF_COUNT_established] += (uint64_t)-open;
    copy_errors(&to, &from);
    s->visit.process(s->context, &to);
}

bool af_reader_processes(struct af_reader *reader, void (*visit)(void *, const struct af_seen_process *), void *context,
                         struct af_reader_error *error) {
    uint32_t n;
    const struct section s = { .reader = reader,
                               .error = error,
                               .at = reader->head.processes_at,
                               .size = sizeof(struct af_process),
                               .record = process_record,
                               .visit.process = visit,
                               .context = context };
    return read_head(reader, &n, sizeof n, offsetof(struct af_ledger, n_processes), error) &&
           each(&s, at_most(n, reader->head.max_processes));
}

/* ---- connections, endpoints, closed --------------------------------------------------------------------- */

static void connection_record(const struct section *s, const void *record, uint32_t index, bool whole) {
    struct af_connection conn;
    memcpy(&conn, record, sizeof conn);
    conn.index = index;
    (void)whole;
    if (conn.state == AF_CONN_FREE)
        return;
    if (conn.state > AF_CONN_INHERITED || !slot_fits(s, conn.owner) || !slot_fits(s, conn.holder))
        s->reader->bad++;
    else
        s->visit.connection(s->context, &conn);
}

bool af_reader_connections(struct af_reader *reader, void (*visit)(void *, const struct af_connection *), void *context,
                           struct af_reader_error *error) {
    uint32_t n;
    const struct section s = { .reader = reader,
                               .error = error,
                               .at = reader->head.connections_at,
                               .size = sizeof(struct af_connection),
                               .record = connection_record,
                               .visit.connection = visit,
                               .context = context };
    return read_head(reader, &n, sizeof n, offsetof(struct af_ledger, n_connections), error) &&
           each(&s, at_most(n, reader->head.max_connections));
}

static void endpoint_record(const struct section *s, const void *record, uint32_t index, bool whole) {
    struct af_endpoint endpoint;
    memcpy(&endpoint, record, sizeof endpoint);
    (void)index, (void)whole;
    if (!endpoint.key || !endpoint.ready || (int32_t)endpoint.count <= 0)
        return;
    if (endpoint.slot >= s->reader->head.max_processes)
        s->reader->bad++;
    else
        s->visit.endpoint(s->context, &endpoint);
}

bool af_reader_endpoints(struct af_reader *reader, void (*visit)(void *, const struct af_endpoint *), void *context,
                         struct af_reader_error *error) {
    const struct section s = { .reader = reader,
                               .error = error,
                               .at = reader->head.endpoints_at,
                               .size = sizeof(struct af_endpoint),
                               .record = endpoint_record,
                               .visit.endpoint = visit,
                               .context = context };
    return each(&s, reader->head.max_endpoints);
}

static void closed_record(const struct section *s, const void *record, uint32_t index, bool whole) {
    struct af_closed closed;
    memcpy(&closed, record, sizeof closed);
    if (!whole || !closed.serial)
        return;
    if (((closed.serial - 1) & (s->reader->head.max_closed - 1)) != index || !slot_fits(s, closed.slot) ||
        !slot_fits(s, closed.owner) || closed.counted > AF_END_PASSED || closed.at > s->reader->latest)
        s->reader->bad++;
    else
        s->visit.closed(s->context, &closed);
}

bool af_reader_closed(struct af_reader *reader, void (*visit)(void *, const struct af_closed *), void *context,
                      uint64_t *lost, struct af_reader_error *error) {
    uint64_t n;
    uint32_t unwritten;
    const uint32_t room = reader->head.max_closed;
    const struct section s = { .reader = reader,
                               .error = error,
                               .at = reader->head.closed_at,
                               .size = sizeof(struct af_closed),
                               .record = closed_record,
                               .visit.closed = visit,
                               .context = context };
    if (!read_head(reader, &n, sizeof n, offsetof(struct af_ledger, n_closed), error) ||
        !read_head(reader, &unwritten, sizeof unwritten, offsetof(struct af_ledger, lost_closed), error))
        return false;
    *lost = (n > room ? n - room : 0) + unwritten;
    return each(&s, n < room ? (uint32_t)n : room);
}

/* ---- times -------------------------------------------------------------------------------------------------- */

bool af_reader_times(struct af_reader *reader, struct af_histogram *times, struct af_reader_error *error) {
    if (!read_head(reader, times, sizeof *times, reader->head.connect_times_at, error))
        return false;
    for (unsigned i = 0; i < AF_BUCKETS; i++)
        if (times->count[i] > INT64_MAX / AF_BUCKETS) { /* their sum is to be a number too */
            memset(times, 0, sizeof *times);
            reader->bad++;
        }
    return true;
}
