/* See watched.h. */
#include "cli/launch/recorded_run.h"
#include "cli/launch/verify.h"
#include "cli/output/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

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

void af_watched_run(struct af_watched *w, const char *who, char **command, struct af_settings *settings) {
    struct af_confirm confirm = { .result = &w->result };
    struct af_watch watch = { 0 };
    *w = (struct af_watched){ .result = { .command = command, .settings = settings } };
    w->placed = af_place_make(&w->place, who, &settings->policy);
    if (w->placed) {
        af_settings_set(settings, "AFTERFIN_LEDGER", w->place.path);
        af_confirm_begin(&confirm, w->place.directory);
        watch = (struct af_watch){ confirm.interval_s, af_confirm_look, &confirm };
    }
    af_child_run(who, command, settings->environment, &watch, &w->result.child);
    signal(SIGPIPE, SIG_IGN); /* nobody may read what we write now; CMD's status is still to be given back */
    if (!w->placed)
        return;
    af_collect(&w->result.found, w->place.directory);
    if (!w->result.child.started)
        return;
    af_confirm_end(&confirm);
    correct_fate(&w->result);
    order_rows(&w->result);
}

void af_watched_leave(struct af_watched *w) {
    if (w->placed)
        af_place_leave(&w->place, &w->result.found);
    af_collection_free(&w->result.found);
    free(w->result.order);
}
