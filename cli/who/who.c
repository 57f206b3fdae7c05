/* afterfin who: every TIME_WAIT socket with the process that left it. */
#include "cli/who/who.h"
#include "cli/commands.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/filter.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/options.h"
#include "cli/output/memory.h"
#include "cli/output/busy.h"
#include "cli/output/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PID = AF_NO_LETTER, PEER, SORT, LIMIT, JSON };
enum { MOST_LISTED = 100000000, MOST_UNKNOWN = 20 };

static const struct af_option_row rows[] = {
    { 'd', NULL, AF_TAKES_VALUE, "DIR", "read the ledgers in DIR, not in the default directory" },
    { PID, "pid", AF_TAKES_ONE, "N", "only what process N left; N@NS: N in pid namespace NS" },
    { PEER, "peer", AF_TAKES_ONE, "TARGET", "only towards TARGET, as in a rule: 10.0.0.0/8:443" },
    { SORT, "sort", AF_TAKES_VALUE, "COLUMN",
      "time_wait (of its process, the default), pid, program, local, peer or expires; - in front reverses" },
    { LIMIT, "limit", AF_TAKES_VALUE, "N",
      "list the first N sockets; else all, but of more than 20 of no known process only counts" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    const char *directory; /* NULL: the default one */
    struct af_filter filter;
    enum af_who_column sort;
    bool reversed, limited, json;
    unsigned limit; /* where limited */
    const char *json_path;
};

/* ---- what is asked ------------------------------------------------------------------------------------------ */

static bool read_sort(struct request *q, struct af_options *options) {
    q->reversed = options->value[0] == '-';
    q->sort = af_who_column_named(options->value + q->reversed);
    if (q->sort != AF_WHO_COLUMNS)
        return true;
    af_misuse(options, "--sort needs one of %s, not '%s'", af_who_column_names(), options->value + q->reversed);
    return false;
}

static bool take(struct request *q, struct af_options *options, int id) {
    switch (id) {
    case 'd': q->directory = options->value; return true;
    case PID: return af_option_accepted(options, af_filter_read_pid(&q->filter, options->value));
    case PEER: return af_option_accepted(options, af_filter_read_peer(&q->filter, options->value));
    case SORT: return read_sort(q, options);
    case LIMIT: q->limited = true; return af_option_number(options, "--limit", 0, MOST_LISTED, &q->limit);
    default:
        q->json = true;
        q->json_path = options->value;
        return true;
    }
}

/* False: the status to exit with is in *status. */
static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "who", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    bool ok = true;
    int id;
    while (ok && (id = af_next_option(&options)) > 0)
        ok = take(q, &options, id);
    if (ok && id == 0 && options.next < argc)
        id = af_misuse(&options, "takes no operand, but got '%s'", argv[options.next]);
    *status = options.status;
    return ok && id == 0;
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
    w->standing = o->n;
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
    int directory;
    if (af_ledger_dir_open("who", q.directory, &directory) != 0)
        return AF_EXIT_FAILURE;
    af_busy_begin("who");
    int error = af_owners_read(&w.owners, directory);
    af_busy_end();
    if (directory >= 0)
        close(directory);
    if (error) {
        af_tell("who: the kernel's table cannot be read: %s", strerror(-error));
        return AF_EXIT_FAILURE;
    }
    select_wanted(&w, &q);
    af_who_put_in_order(&w, q.sort, q.reversed);
    w.listed = q.limited && q.limit < w.owners.n ? q.limit : w.owners.n;
    w.counts_unknown = !q.limited && w.unknown > MOST_UNKNOWN;
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
