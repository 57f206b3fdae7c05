/* Readers that look while it is written: the ledgers' reader itself, who, and report. What they are shown must
 * make sense at every moment; the first thing that does not is kept for the test to print. */
#include "ledger/reader.h"
#include "tests/harness/command.h"
#include "tests/soak/soak.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct soak_book *book;
static struct soak_watch *watch; /* of this process */

static void note(_Atomic uint64_t *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(_Atomic uint64_t *kind, const char *format, ...) {
    va_list args;

    va_start(args, format);
    if ((kind == &watch->faults && watch->faults == 0) || !*watch->first)
        vsnprintf(watch->first, sizeof watch->first, format, args);
    va_end(args);
    ++*kind;
}

#define FAULT(...) note(&watch->faults, __VA_ARGS__)

static void nap_ms(long ms) {
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- the reader ----------------------------------------------------------------------------------------- */

/* What was read of one ledger the last time. */
struct seen {
    struct seen *next;
    char name[256];
    struct af_seen_process *rows;
    uint32_t n;
};
static struct seen *all_seen;

static struct seen *seen_of(const char *name) {
    for (struct seen *s = all_seen; s; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s;
    struct seen *s = calloc(1, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->next = all_seen;
    return all_seen = s;
}

static void compare(const struct seen *s, const struct af_seen_process *was, const struct af_seen_process *is) {
    for (int i = 0; i < AF_COUNTERS; i++)
        if (is->count[i] < was->count[i])
            FAULT("%s, slot %u: counter %d went from %ju to %ju", s->name, is->slot, i, (uintmax_t)was->count[i],
                  (uintmax_t)is->count[i]);
    if (was->pid && (is->pid != was->pid || is->started != was->started || is->start_ticks != was->start_ticks))
        FAULT("%s, slot %u: pid %d became %d", s->name, is->slot, was->pid, is->pid);
    if (is->ended < was->ended)
        FAULT("%s, slot %u: lives again", s->name, is->slot);
}

static void one_row(void *context, const struct af_seen_process *row) {
    struct seen *s = context;
    const uint64_t *n = row->count;

    watch->rows++;
    if (row->slot >= s->n) {
        s->rows = realloc(s->rows, (row->slot + 1) * sizeof *s->rows);
        memset(s->rows + s->n, 0, (row->slot + 1 - s->n) * sizeof *s->rows);
        s->n = row->slot + 1;
    }
    compare(s, &s->rows[row->slot], row);
    s->rows[row->slot] = *row;
    if (n[AF_COUNT_established] != n[AF_COUNT_time_wait] + n[AF_COUNT_avoided] + n[AF_COUNT_passive] +
                                       n[AF_COUNT_aborted] + n[AF_COUNT_passed] + (uint64_t)af_seen_open(n) ||
        af_seen_open(n) < 0 || af_seen_open(n) > 1000)
        FAULT("%s, slot %u: %ju established, %jd open", s->name, row->slot, (uintmax_t)n[AF_COUNT_established],
              (intmax_t)af_seen_open(n));
    if (row->ppid <= 0 || !row->started || !row->start_ticks || row->lost || row->sealed || row->n_errors)
        FAULT("%s, slot %u: ppid %d, started %ju, lost %u, errors %u", s->name, row->slot, row->ppid,
              (uintmax_t)row->started, row->lost, row->n_errors);
}

static void one_connection(void *context, const struct af_connection *conn) {
    (void)context;
    if (conn->sent || conn->flags & AF_FLAG_MPTCP)
        FAULT("a connection that was sent: %d, flags %x", conn->sent, conn->flags);
}

static void one_closed(void *context, const struct af_closed *closed) {
    uint32_t node, thread;
    struct in_addr ip;

    (void)context;
    watch->rows++;
    memcpy(&ip, closed->peer.ip, sizeof ip);
    if (!closed->cookie || !closed->at || closed->counted == AF_END_NONE ||
        (!(closed->flags & AF_FLAG_ACCEPTED) && (!soak_whose(ip, &node, &thread) || closed->peer.port < SOAK_PORT)))
        FAULT("a closed connection that never was: cookie %ju, counted %u", (uintmax_t)closed->cookie, closed->counted);
}

static void read_ledger(int directory, const char *name) {
    struct af_reader reader;
    struct af_reader_error error;
    uint64_t lost;
    struct seen *s = seen_of(name);

    if (!af_reader_open(&reader, directory, name, NULL, &error)) {
        if (!error.gone && !error.unfinished) /* the run is over, and has taken it away; it is just being made */
            note(s->n ? &watch->faults : &watch->complaints, "%s", error.text);
        return;
    }
    if (!af_reader_processes(&reader, one_row, s, &error) ||
        !af_reader_connections(&reader, one_connection, NULL, &error) ||
        !af_reader_closed(&reader, one_closed, NULL, &lost, &error))
        FAULT("%s", error.text);
    if (reader.bad || lost)
        FAULT("%s: %u records make no sense, %ju lost", name, reader.bad, (uintmax_t)lost);
    af_reader_close(&reader);
}

/* The directory of the run, once it is there. */
static int run_directory(const char *path) {
    DIR *list = opendir(path);
    int found = -1;

    for (struct dirent *e; list && found < 0 && (e = readdir(list));)
        if (strncmp(e->d_name, "run-", 4) == 0)
            found = openat(dirfd(list), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list)
        closedir(list);
    return found;
}

static void read_ledgers(const char *path) {
    int directory = run_directory(path);
    DIR *list = directory < 0 ? NULL : fdopendir(directory);

    for (struct dirent *e; list && (e = readdir(list));)
        if (e->d_name[0] != '.')
            read_ledger(directory, e->d_name);
    watch->reads += list != NULL;
    if (list)
        closedir(list);
}

/* ---- the commands --------------------------------------------------------------------------------------- */

static uint64_t number(const json_t *object, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* Every object anywhere that has the counts adds up. */
static void add_up(const json_t *json) {
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_array(json)) {
        json_array_foreach(json, i, value)
            add_up(value);
        return;
    }
    json_object_foreach((json_t *)json, key, value)
        add_up(value);
    if (!json_object_get(json, "established"))
        return;
    watch->rows++;
    if (json_integer_value(json_object_get(json, "open")) < 0 ||
        number(json, "established") != number(json, "time_wait") + number(json, "avoided") + number(json, "passive") +
                                           number(json, "aborted") + number(json, "passed") + number(json, "open"))
        FAULT("does not add up: %s", json_dumps(json, JSON_COMPACT));
}

/* Who connects to a node's address is that node, or a child of its that is none itself. */
static void expect_owner(const json_t *socket) {
    const char *peer = json_string_value(json_object_get(socket, "peer"));
    const char *role = json_string_value(json_object_get(socket, "role"));
    const json_int_t pid = json_integer_value(json_object_get(socket, "pid"));
    char ip[64] = "";
    struct in_addr address;
    uint32_t node, thread;

    snprintf(ip, sizeof ip, "%.*s", peer ? (int)strcspn(peer, ":") : 0, peer ? peer : "");
    if (!role || strcmp(role, "connect") != 0)
        return;
    if (inet_pton(AF_INET, ip, &address) != 1 || !soak_whose(address, &node, &thread)) {
        FAULT("who has a TIME_WAIT to %s", peer);
        return;
    }
    for (uint32_t i = 0; i < book->nodes; i++)
        if (i != node && book->node[i].pid == pid)
            FAULT("who says process %jd, node %u, left %s", (intmax_t)pid, i, peer);
}

static void check_who(const json_t *json) {
    uint64_t sum = number(json, "unknown");
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(json, "sockets"), i, one)
        expect_owner(one);
    json_array_foreach(json_object_get(json, "processes"), i, one)
        sum += number(one, "time_wait");
    if (sum != json_array_size(json_object_get(json, "sockets")))
        FAULT("who: %zu sockets, %ju by process", json_array_size(json_object_get(json, "sockets")), (uintmax_t)sum);
    watch->rows += sum;
    if (number(json, "unknown") > watch->unknown)
        watch->unknown = number(json, "unknown");
}

/* `afterfin NAME -d DIRECTORY --json=FILE`, with its stderr thrown away; NULL where it failed. */
static json_t *ask(const char *name, const char *directory, const char *file) {
    char option[256];
    int status = -1;

    snprintf(option, sizeof option, "--json=%s", file);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 1);
        dup2(null, 2);
        execl(command_path(), "afterfin", name, "-d", directory, option, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        FAULT("%s: status %d", name, status);
        return NULL;
    }
    json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        FAULT("%s: no JSON", name);
    return json;
}

static void run_command(const char *name, const char *directory, const char *file) {
    json_t *json = ask(name, directory, file);

    if (json && strcmp(name, "who") == 0)
        check_who(json);
    if (json)
        add_up(json);
    watch->reads += json != NULL;
    json_decref(json);
    unlink(file);
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

static const char *const names[SOAK_WATCHES] = { "the reader", "who", "report" };
static pid_t watchers[SOAK_WATCHES];

static bool is_there(const char *command_name) {
    return command(NULL, command_name, "--help", NULL).status == 0;
}

/* Whatever it costs to read, the tree has most of the machine. */
static void look(int which, const char *directory) {
    char file[200];
    struct timespec begin, end;

    snprintf(file, sizeof file, "%s.%d", directory, which);
    while (!book->stop) {
        clock_gettime(CLOCK_MONOTONIC, &begin);
        if (which == 0)
            read_ledgers(directory);
        else
            run_command(names[which], directory, file);
        clock_gettime(CLOCK_MONOTONIC, &end);
        long ms = 20 + (which ? 3 : 8) * ((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000);
        for (; ms > 0 && !book->stop; ms -= 20)
            nap_ms(20);
    }
}

void soak_watch_start(struct soak_book *of, const char *directory) {
    book = of;
    for (int i = 0; i < SOAK_WATCHES; i++) {
        if (i > 0 && !is_there(names[i]))
            continue;
        fflush(NULL);
        watchers[i] = fork();
        if (watchers[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            watch = &of->watch[i];
            look(i, directory);
            _exit(0);
        }
        cr_assert(watchers[i] > 0, "fork: %s", strerror(errno));
    }
}

void soak_watch_end(struct soak_book *of) {
    int status;

    of->stop = 1;
    for (int i = 0; i < SOAK_WATCHES; i++) {
        const struct soak_watch *w = &of->watch[i];
        if (!watchers[i])
            continue;
        cr_assert(waitpid(watchers[i], &status, 0) == watchers[i] && status == 0, "%s ended with %d", names[i], status);
        soak_say("%s: %ju reads, %ju records, %ju complaints; at most %ju unknown", names[i], (uintmax_t)w->reads,
                 (uintmax_t)w->rows, (uintmax_t)w->complaints, (uintmax_t)w->unknown);
        cr_expect(w->faults == 0, "%s: %ju faults, the first: %s", names[i], (uintmax_t)w->faults, w->first);
        cr_expect(w->reads > 0, "%s was never read", names[i]);
    }
}
