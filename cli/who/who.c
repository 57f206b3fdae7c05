/* afterfin who: every TIME_WAIT socket with the process that left it. */
#include "cli/who/who.h"
#include "cli/commands.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/filter.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/options.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PID = AF_NO_LETTER, PEER, JSON };

static const struct af_option_row rows[] = {
    { 'd', NULL, AF_TAKES_VALUE, "DIR", "read the ledgers in DIR, not in the default directory" },
    { PID, "pid", AF_TAKES_VALUE, "N", "only what process N left; N@NS: N in pid namespace NS" },
    { PEER, "peer", AF_TAKES_VALUE, "TARGET", "only towards TARGET, as in a rule: 10.0.0.0/8:443" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    const char *directory; /* NULL: the default one */
    struct af_filter filter;
    bool json;
    const char *json_path;
};

/* ---- what is asked ------------------------------------------------------------------------------------------ */

/* False: the status to exit with is in *status. */
static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "who", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0) {
        bool ok = id == PID    ? af_option_accepted(&options, af_filter_read_pid(&q->filter, options.value))
                  : id == PEER ? af_option_accepted(&options, af_filter_read_peer(&q->filter, options.value))
                               : true;
        if (!ok)
            break;
        if (id == 'd')
            q->directory = options.value;
        if (id == JSON) {
            q->json = true;
            q->json_path = options.value;
        }
    }
    if (id == 0 && options.next < argc)
        id = af_misuse(&options, "takes no operand, but got '%s'", argv[options.next]);
    *status = options.status;
    return id == 0;
}

/* ---- what is shown ------------------------------------------------------------------------------------------ */

static bool is_wanted(const struct request *q, const struct af_owners *o, const struct af_owned *owned) {
    bool its = af_filter_takes_row(&q->filter, &o->found, owned->owner.row);
    for (size_t i = 0; i < owned->owner.n_claims && !its; i++)
        its = af_filter_takes_row(&q->filter, &o->found, o->found.claims[owned->owner.claim + i].row);
    return its && af_filter_takes_peer(&q->filter, &owned->socket.peer);
}

static void select_wanted(struct af_who *w, const struct request *q) {
    struct af_owners *o = &w->owners;
    size_t kept = 0;
    w->left = af_array(NULL, o->found.n_rows, sizeof *w->left);
    memset(w->left, 0, o->found.n_rows * sizeof *w->left);
    for (size_t i = 0; i < o->n; i++) {
        if (!is_wanted(q, o, &o->all[i]))
            continue;
        if (o->all[i].owner.n_claims)
            w->contested++;
        else if (o->all[i].owner.row == AF_NO_ROW)
            w->unknown++;
        else
            w->left[o->all[i].owner.row]++;
        o->all[kept++] = o->all[i];
    }
    o->n = kept;
}

static int by_number(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static int compare_rows(const struct af_who *w, size_t x, size_t y) {
    if (x == y)
        return 0;
    if (x == AF_NO_ROW || y == AF_NO_ROW)
        return x == AF_NO_ROW ? 1 : -1;
    if (w->left[x] != w->left[y])
        return by_number(w->left[y], w->left[x]);
    const struct af_row *a = &w->owners.found.rows[x], *b = &w->owners.found.rows[y];
    int order = by_number(a->seen.started, b->seen.started);
    return order ? order : by_number(x, y);
}

static int by_row(const void *a, const void *b, void *who) {
    return compare_rows(who, *(const size_t *)a, *(const size_t *)b);
}

static int compare_addr(const struct af_addr *x, const struct af_addr *y) {
    int order = by_number(x->v6, y->v6);
    order = order ? order : memcmp(x->ip, y->ip, sizeof x->ip);
    return order ? order : by_number(x->port, y->port);
}

static int by_owner(const void *a, const void *b, void *who) {
    const struct af_owned *x = a, *y = b;
    int order = compare_rows(who, x->owner.row, y->owner.row);
    order = order ? order : by_number(y->owner.n_claims, x->owner.n_claims);
    order = order ? order : by_number(x->net_ns, y->net_ns);
    order = order ? order : compare_addr(&x->socket.local, &y->socket.local);
    return order ? order : compare_addr(&x->socket.peer, &y->socket.peer);
}

static void put_in_order(struct af_who *w) {
    w->order = af_array(NULL, w->owners.found.n_rows, sizeof *w->order);
    for (size_t i = 0; i < w->owners.found.n_rows; i++)
        if (w->left[i])
            w->order[w->n_order++] = i;
    if (w->n_order)
        qsort_r(w->order, w->n_order, sizeof *w->order, by_row, w);
    if (w->owners.n)
        qsort_r(w->owners.all, w->owners.n, sizeof *w->owners.all, by_owner, w);
}

/* ---- who ---------------------------------------------------------------------------------------------------- */

/* What is missing from the answer, on stderr. */
static void say_rest(const struct af_owners *o) {
    af_collection_tell(&o->found, "who");
    af_elsewhere_tell(&o->elsewhere, "who");
}

int af_command_who(int argc, char **argv) {
    struct request q = { .directory = NULL };
    struct af_who w = { .pid_ns = af_own_namespace("pid") };
    int status;
    if (!read_options(&q, argc, argv, &status))
        return status;
    int directory = af_ledger_dir_open("who", q.directory);
    if (directory < 0)
        return AF_EXIT_FAILURE;
    int error = af_owners_read(&w.owners, directory);
    close(directory);
    if (error) {
        af_tell("who: the kernel's table cannot be read: %s", strerror(-error));
        return AF_EXIT_FAILURE;
    }
    select_wanted(&w, &q);
    put_in_order(&w);
    say_rest(&w.owners);
    if (q.json)
        status = af_who_write_json(&w, q.json_path) ? 0 : AF_EXIT_FAILURE;
    else
        af_who_print(&w);
    af_owners_free(&w.owners);
    free(w.order);
    free(w.left);
    return status;
}
