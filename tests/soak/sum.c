/* The books held against each other: what run says of each process against what that process says of itself, the
 * sums against what the peers saw, and all of it against the kernel. */
#include "tests/harness/command.h"
#include "tests/soak/soak.h"

#include <stdarg.h>
#include <stdlib.h>

struct sum {
#define X(field) uint64_t field;
    SOAK_FIELDS(X)
#undef X
    uint64_t avoided, open, confirmed;
    uint64_t rows, helpers, guessed;
};

static uint64_t number(const json_t *object, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void add_row(struct sum *sum, const json_t *row) {
#define X(field) sum->field += number(row, #field);
    SOAK_FIELDS(X)
#undef X
    sum->avoided += number(row, "avoided");
    sum->open += number(row, "open");
    sum->confirmed += number(row, "time_wait_confirmed");
    sum->rows++;
}

static int64_t node_of(const struct soak_book *book, json_int_t pid) {
    for (uint32_t i = 0; i < book->nodes; i++)
        if (book->node[i].pid == pid)
            return i;
    return -1;
}

static bool is_ended(const json_t *row, const char *how) {
    return strcmp(json_string_value(json_object_get(row, "ended")), how) == 0;
}

/* A process that nobody killed counted what it says it did, and the kernel confirms its TIME_WAITs. */
static void expect_exact(uint32_t node, const struct soak_count *count, const json_t *row) {
#define X(field) \
    cr_expect(number(row, #field) == count->field, "node %u, pid %ju: %s is %ju, not %ju", node, \
              (uintmax_t)number(row, "pid"), #field, (uintmax_t)number(row, #field), (uintmax_t)count->field);
    SOAK_FIELDS(X)
#undef X
    cr_expect(number(row, "open") == 0 && number(row, "avoided") == 0, "node %u: %ju open", node,
              (uintmax_t)number(row, "open"));
    cr_expect(number(row, "time_wait_confirmed") == count->time_wait, "node %u: %ju of %ju confirmed", node,
              (uintmax_t)number(row, "time_wait_confirmed"), (uintmax_t)count->time_wait);
}

static void check_node(const struct soak_book *book, uint32_t node, const json_t *row, struct sum *sum) {
    const struct soak_node *n = &book->node[node];

    if (is_ended(row, "exec")) {
        expect_exact(node, &n->before, row);
    } else if (soak_has_threads(node) && book->forks_in_threads) {
        sum->guessed += number(row, "passive"); /* children end what other threads had open when they were born */
    } else if (!n->killed) {
        expect_exact(node, &n->count, row);
        cr_expect(is_ended(row, "exit"), "node %u has not ended", node);
    } else {
        sum->guessed += number(row, "passive");
    }
}

/* A child that was handed a connection: it ended that one, or its parent was killed and it ended none. */
static void check_helper(const struct soak_book *book, const json_t *row, struct sum *sum) {
    const uint64_t n = number(row, "established");

    sum->helpers += n;
    sum->guessed += number(row, "passive");
    cr_expect(book->forks_in_threads || (n <= 1 && number(row, "aborted") == 0 && number(row, "passed") == 0),
              "a helper, pid %ju: %ju established", (uintmax_t)number(row, "pid"), (uintmax_t)n);
}

static struct sum check_rows(const struct soak_book *book, const json_t *json) {
    struct sum sum = { 0 };
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(json, "processes"), i, row) {
        int64_t node = node_of(book, json_integer_value(json_object_get(row, "pid")));
        add_row(&sum, row);
        cr_expect(number(row, "established") == number(row, "time_wait") + number(row, "avoided") +
                                                    number(row, "passive") + number(row, "aborted") +
                                                    number(row, "passed") + number(row, "open"),
                  "pid %ju does not add up", (uintmax_t)number(row, "pid"));
        if (node >= 0)
            check_node(book, (uint32_t)node, row, &sum);
        else
            check_helper(book, row, &sum);
    }
    return sum;
}

/* Ground truth: the peers, and the pairs' own word (they are not killed). */
struct truth {
    uint64_t connections, time_wait, reset, killed;
    uint64_t connecting; /* established while they were killed in connect */
};

static struct truth truth_of(const struct soak_book *book) {
    struct truth t = { 0 };

    for (uint32_t i = 0; i < book->nodes; i++) {
        const struct soak_node *n = &book->node[i];
        t.killed += n->killed;
        if (soak_is_pair(i)) {
            t.connections += 2 * n->count.passive;
            t.time_wait += n->count.passive;
        }
        for (unsigned j = 0; j < SOAK_THREADS; j++) {
            const struct soak_thread *thread = &n->thread[j];
            t.connections += thread->seen;
            t.time_wait += thread->ended;
            t.reset += thread->reset;
            t.connecting += thread->connecting && thread->seen > thread->opened;
            cr_expect(thread->seen == thread->ended + thread->reset, "node %u.%u: the peers lost one", i, j);
            cr_expect(thread->seen == thread->opened || (n->killed && thread->connecting), "node %u.%u: %ju, %ju", i, j,
                      (uintmax_t)thread->seen, (uintmax_t)thread->opened);
        }
    }
    return t;
}

void soak_say(const char *format, ...) {
    va_list args;

    if (!getenv("SOAK_CONNECTIONS"))
        return;
    fprintf(stderr, "soak: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
}

static void print(const struct truth *t, const struct sum *s, uint64_t made) {
    soak_say("%ju connections by %ju processes; TcpExtTW grew by %ju, the peers saw %ju", (uintmax_t)t->connections,
             (uintmax_t)s->rows, (uintmax_t)made, (uintmax_t)t->time_wait);
    soak_say("run counted %ju time_wait, %ju confirmed; %ju passive, %ju aborted, %ju passed, %ju open",
             (uintmax_t)s->time_wait, (uintmax_t)s->confirmed, (uintmax_t)s->passive, (uintmax_t)s->aborted,
             (uintmax_t)s->passed, (uintmax_t)s->open);
    soak_say("%ju killed; %ju in the middle of a connect that came about; %ju were reset meanwhile",
             (uintmax_t)t->killed, (uintmax_t)t->connecting, (uintmax_t)s->guessed);
    soak_say("not counted: %jd connections, %jd TIME_WAITs", (intmax_t)(t->connections - (s->established - s->passed)),
             (intmax_t)(made - s->time_wait));
}

void soak_sum(const struct soak_book *book, const char *path, uint64_t made, uint64_t overflowed) {
    json_error_t error;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", path, error.text);
    const struct truth t = truth_of(book);
    const struct sum s = check_rows(book, json);

    print(&t, &s, made);
    cr_expect(overflowed == 0, "%ju TIME_WAITs found no room in the kernel's table", (uintmax_t)overflowed);
    cr_expect(made == t.time_wait, "the kernel made %ju TIME_WAITs, the peers saw %ju", (uintmax_t)made,
              (uintmax_t)t.time_wait);
    cr_expect(s.established - s.passed == t.connections, "%ju connections, not %ju",
              (uintmax_t)(s.established - s.passed), (uintmax_t)t.connections);
    cr_expect(s.time_wait == made, "%ju TIME_WAITs counted, %ju made", (uintmax_t)s.time_wait, (uintmax_t)made);
    cr_expect(s.confirmed == made, "%ju TIME_WAITs confirmed, %ju made", (uintmax_t)s.confirmed, (uintmax_t)made);
    /* Of one that was reset while its process was killed nobody can tell who was first: it is guessed passive. */
    cr_expect(s.aborted + s.guessed == t.reset, "%ju aborted, %ju guessed, %ju reset", (uintmax_t)s.aborted,
              (uintmax_t)s.guessed, (uintmax_t)t.reset);
    cr_expect(s.open == 0 && s.avoided == 0, "%ju open, %ju avoided", (uintmax_t)s.open, (uintmax_t)s.avoided);
    json_decref(json);
}
