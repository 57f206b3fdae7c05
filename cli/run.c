/* afterfin run: CMD under the library, and what came of it. */
#include "cli/confirm.h"
#include "cli/memory.h"
#include "cli/place.h"
#include "cli/preload.h"
#include "cli/reach.h"
#include "cli/result.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON = AF_NO_LETTER, EXEC };

static const struct af_option_row rows[] = {
    { 'p', NULL, AF_TAKES_VALUE, "KEY=VALUE", "a policy; beats the environment; may be repeated" },
    { 'q', NULL, AF_TAKES_NOTHING, NULL, "no table" },
    { 'f', NULL, AF_TAKES_NOTHING, NULL, "run a CMD that the library cannot reach, with a warning" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write the result as JSON to stdout, or to FILE" },
    { EXEC, "exec", AF_TAKES_NOTHING, NULL, "become CMD: no table, no process between (for entrypoints)" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    struct af_settings settings;
    char **command;
    bool quiet, force, json, exec;
    const char *json_path; /* NULL: stdout */
};

static int misuse(struct af_options *options, const char *what) {
    af_misuse(options, "%s", what);
    return options->status;
}

/* 0, or the status to exit with in *status: false. */
static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "run", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0) {
        if (id == 'p' && !af_settings_add(&q->settings, &options, options.value)) {
            *status = options.status;
            return false;
        }
        q->quiet |= id == 'q';
        q->force |= id == 'f';
        q->exec |= id == EXEC;
        if (id == JSON) {
            q->json = true;
            q->json_path = options.value;
        }
    }
    q->command = argv + options.next;
    *status = id < 0                  ? options.status
              : options.next >= argc  ? misuse(&options, "which CMD?")
              : q->exec && q->json    ? misuse(&options, "--json and --exec exclude each other")
                                      : -1;
    return *status < 0;
}

/* Everything that can be wrong is found before CMD starts. */
static bool prepare(struct request *q) {
    char why[512];
    if (!af_settings_check(&q->settings) || !af_preload(&q->settings))
        return false;
    if (af_reachable(q->command[0], getenv("PATH"), why))
        return true;
    af_tell("run: %s%s", why, q->force ? "" : "; -f runs it all the same");
    return q->force;
}

/* ---- the run ------------------------------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b, void *context) {
    const struct af_result *r = context;
    const struct af_seen_process *x = &r->found.rows[*(const size_t *)a].seen;
    const struct af_seen_process *y = &r->found.rows[*(const size_t *)b].seen;
    return x->started < y->started ? -1 : x->started > y->started;
}

static void order_rows(struct af_result *r) {
    r->order = af_array(NULL, r->found.n_rows, sizeof *r->order);
    for (size_t i = 0; i < r->found.n_rows; i++)
        r->order[i] = i;
    qsort_r(r->order, r->found.n_rows, sizeof *r->order, by_start, r);
}

/* A raw exit passes the library by; how CMD itself ended, we know better. */
static void correct_fate(struct af_result *r) {
    for (size_t i = 0; i < r->found.n_rows; i++) {
        struct af_row *row = &r->found.rows[i];
        if (row->seen.pid == r->child.pid && row->fate == AF_FATE_SIGNAL && !r->child.signaled)
            row->fate = AF_FATE_EXIT;
    }
}

/* Without a table or JSON nobody asks for counts: then there is no ledger, unless the user wants one. */
static int run_watched(struct request *q) {
    struct af_result result = { .command = q->command, .settings = &q->settings };
    struct af_confirm confirm = { .result = &result };
    struct af_watch watch = { 0 };
    struct af_place place;
    bool report = (!q->quiet || q->json) && af_place_make(&place, &q->settings.policy);
    if (report) {
        af_settings_set(&q->settings, "AFTERFIN_LEDGER", place.path);
        af_confirm_begin(&confirm, place.directory);
        watch = (struct af_watch){ confirm.interval_s, af_confirm_look, &confirm };
    }
    af_child_run(q->command, q->settings.environment, &watch, &result.child);
    signal(SIGPIPE, SIG_IGN); /* nobody may read our table; CMD's status is still to be given back */
    if (!report)
        return result.child.status;
    af_collect(&result.found, place.directory);
    if (result.child.started) {
        af_confirm_end(&confirm);
        correct_fate(&result);
        order_rows(&result);
        if (!q->quiet)
            af_result_print(&result);
        if (q->json)
            af_result_write_json(&result, q->json_path);
    }
    af_place_leave(&place, &result.found);
    return result.child.status;
}

int af_command_run(int argc, char **argv) {
    struct request q = { .json_path = NULL };
    int status;
    af_settings_init(&q.settings, environ);
    if (!read_options(&q, argc, argv, &status))
        return status;
    if (!prepare(&q))
        return AF_EXIT_RUN;
    return q.exec ? af_child_become(q.command, q.settings.environment) : run_watched(&q);
}
