/* Random plays over descriptors and processes (tests/victims/model.c), held against its own book of who had what and
 * against the kernel's: each connection ends once, its TIME_WAIT is confirmed, by cookie, as that of who let go of it
 * last, or, where nobody could see that, of one who had it. MODEL_SEEDS in the environment asks for more of them,
 * MODEL_FIRST for others. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 40, CONNECTIONS = 512, HOLDERS = 32 };
enum { A_NAMESPACE = 50 /* plays, for which there is room */, A_NAMESPACE_S = 20 /* a TIME_WAIT has 60 */ };

struct connection {
    unsigned port;
    long last; /* the process that let go of it last; 0: nobody saw that */
    long had[HOLDERS];
    unsigned n_had;
};

struct play {
    const char *name;
    long n;
    bool locked;
    struct connection all[CONNECTIONS];
};

static unsigned long asked(const char *name, unsigned long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

/* What the play has said of itself. */
static void read_book(struct play *p, const char *said) {
    char *at = strstr(said, "connections ");
    cr_assert(at, "%s: %s", p->name, said);
    p->n = strtol(at + strlen("connections "), &at, 10);
    for (long i = 0; i < p->n && p->locked; i++) {
        struct connection *c = &p->all[i];
        c->port = (unsigned)strtoul(at, &at, 10);
        c->last = strtol(at, &at, 10);
        for (c->n_had = 0; *at == ' ' && c->n_had < HOLDERS;)
            c->had[c->n_had++] = strtol(at, &at, 10);
    }
}

static bool may_have_left(const struct connection *c, long pid) {
    for (unsigned i = 0; i < c->n_had && !c->last; i++)
        if (c->had[i] == pid)
            return true;
    return c->last == pid;
}

/* Each connection once, whoever has counted it. */
static void expect_totals(const struct play *p, const json_t *json) {
    const long established = json_number(json, "totals.established"), passed = json_number(json, "totals.passed"),
               open = json_number(json, "totals.open");
    cr_assert(established - passed == p->n && open == 0, "%s: %ld established, %ld passed, %ld open, of %ld: %s",
              p->name, established, passed, open, p->n, json_dumps(json, 0));
}

/* `run`: as many a process as it may have left. */
static void expect_confirmed(const struct play *p, const json_t *json) {
    const json_t *processes = json_object_get(json, "processes");
    long confirmed = 0;

    expect_totals(p, json);
    cr_assert(json_number(json, "kernel.attributed") == p->n, "%s: %ld of %ld: %s", p->name,
              json_number(json, "kernel.attributed"), p->n, json_dumps(json, 0));
    for (size_t i = 0; i < json_array_size(processes); i++) {
        const json_t *row = json_array_get(processes, i);
        const long pid = json_number(row, "pid");
        long own = 0, least = 0, most = 0;
        for (size_t k = 0; k < json_array_size(processes); k++) /* images of one process */
            if (json_number(json_array_get(processes, k), "pid") == pid)
                own += json_number(json_array_get(processes, k), "time_wait_confirmed");
        for (long k = 0; k < p->n; k++) {
            least += p->all[k].last == pid;
            most += may_have_left(&p->all[k], pid);
        }
        cr_assert(!p->locked || (own >= least && own <= most), "%s: %ld left %ld, not %ld to %ld: %s", p->name, pid,
                  own, least, most, json_dumps(json, 0));
        confirmed += json_number(row, "time_wait_confirmed");
    }
    cr_assert(confirmed == p->n, "%s: %ld confirmed of %ld: %s", p->name, confirmed, p->n, json_dumps(json, 0));
}

/* What the kernel has of it. Where steps are not made one at a time a process may be killed between a connect and its
 * entry in the book. */
static void settle(struct play *p, const struct peer *peer, long *before) {
    do
        ns_settle();
    while (ns_count(ST_ESTABLISHED, 0, peer->port) > 0); /* one that is on its way to nobody is closed by and by */
    const long now = books_of(p->name, peer->port).to;
    cr_assert(!p->locked || now - *before == p->n, "%s: the kernel has %ld of %ld", p->name, now - *before, p->n);
    p->n = now - *before;
    *before = now;
}

static void play_under_run(struct play *p, const char *line, const struct peer *peer, long *before) {
    const char *json = scratch_path();
    struct ended e = run(NULL, "%s run -q --json=%s %s", command_path(), json, line);
    cr_assert_eq(e.status, 0, "%s: %d %s%s", p->name, e.status, e.out, e.err);
    read_book(p, e.out);
    settle(p, peer, before);
    json_t *result = json_load_file(json, 0, NULL);
    cr_assert(result, "%s: %s", p->name, e.err);
    expect_confirmed(p, result);
    json_decref(result);
    unlink(json);
}

/* `who`: each socket. */
static void expect_owners(const struct play *p, const json_t *who) {
    const json_t *sockets = json_object_get(who, "sockets");

    for (long i = 0; i < p->n && p->locked; i++) {
        const char *local = text("127.0.0.1:%u", p->all[i].port);
        size_t k = 0;
        while (k < json_array_size(sockets) &&
               strcmp(json_string_value(json_object_get(json_array_get(sockets, k), "local")), local) != 0)
            k++;
        const json_t *socket = json_array_get(sockets, k);
        cr_assert(socket, "%s: %s is nowhere", p->name, local);
        cr_assert(may_have_left(&p->all[i], json_number(socket, "pid")), "%s: %s is that of %ld, not of %ld: %s",
                  p->name, local, json_number(socket, "pid"), p->all[i].last, json_dumps(socket, 0));
    }
}

static void play_with_ledgers(struct play *p, const char *line, const struct peer *peer, long *before) {
    const char *directory = directory_made();
    struct ended e = run(text("LEDGER=%s", directory), "%s", line);
    cr_assert_eq(e.status, 0, "%s: %d %s%s", p->name, e.status, e.out, e.err);
    read_book(p, e.out);
    settle(p, peer, before);
    json_t *who = json_loads(command(NULL, "who", "--json", "-d", directory, NULL).out, 0, NULL);
    json_t *report = json_loads(command(NULL, "report", "--json", "-d", directory, NULL).out, 0, NULL);
    cr_assert(who && report, "%s", p->name);
    expect_owners(p, who);
    expect_totals(p, report);
    json_decref(who);
    json_decref(report);
    directory_removed(directory);
}

Test(model, every_connection_of_a_random_play_is_counted_once, .timeout = 0) {
    const unsigned long first = asked("MODEL_FIRST", 1), n = asked("MODEL_SEEDS", 60);
    static struct play p;
    long before = 0;
    time_t began = 0;
    struct peer peer = { 0 };

    for (unsigned long seed = first; seed < first + n; seed++) {
        if ((seed - first) % A_NAMESPACE == 0 || time(NULL) - began > A_NAMESPACE_S) {
            if (peer.pid)
                peer_stop(&peer);
            ns_enter();
            peer = peer_start(&(struct peer_options){ 0 });
            before = 0;
            began = time(NULL);
        }
        p.locked = seed % 4 < 2;
        p.name = text("seed %lu", seed);
        const char *line = text("%s %lu 127.0.0.1 %u %d %s", victim_path("model"), seed, peer.port, STEPS,
                                p.locked ? "locked" : "free");
        if (seed % 2)
            play_under_run(&p, line, &peer, &before);
        else
            play_with_ledgers(&p, line, &peer, &before);
    }
}
