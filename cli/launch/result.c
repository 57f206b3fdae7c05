/* See result.h. */
#include "cli/launch/result.h"
#include "cli/launch/verify.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

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

void af_run_recorded(struct af_result *r, const char *who, char **command, struct af_settings *settings) {
    struct af_verify verify = { .result = r };
    struct af_periodic sampling = { 0 };
    struct af_supervisor supervisor = { .line = -1 };
    *r = (struct af_result){ .command = command, .settings = settings };
    r->recorded = af_run_dir_make(&r->dir, who, &settings->policy);
    if (r->recorded) {
        af_settings_set(settings, "AFTERFIN_LEDGER", r->dir.path);
        af_verify_begin(&verify, r->dir.directory);
        sampling = (struct af_periodic){ verify.interval_s, af_verify_sample, &verify };
    }
    r->child = (struct af_child){ .status = AF_EXIT_RUN };
    if (!settings->supervised ||
        af_supervisor_start(&supervisor, who, settings, r->recorded ? r->dir.path : NULL, false))
        af_child_run(who, command, settings->environment, settings->supervised ? &supervisor : NULL, &sampling,
                     &r->child);
    if (r->child.started && r->recorded)
        af_supervisor_tell_lack(&supervisor, who, r->dir.path);
    af_supervisor_leave(&supervisor);
    signal(SIGPIPE, SIG_IGN); /* nobody may read what we write now; CMD's status is still to be given back */
    if (r->child.started)
        af_memory_exits(r->child.status);
    if (!r->recorded)
        return;
    af_collect(&r->found, r->dir.directory);
    if (!r->child.started)
        return;
    af_verify_end(&verify);
    correct_fate(r);
    order_rows(r);
}

void af_result_totals(const struct af_result *result, struct af_counts *counts, uint64_t *confirmed) {
    *counts = (struct af_counts){ .known = result->found.n_rows ? 0 : AF_KNOWS_ALL };
    *confirmed = 0;
    for (size_t i = 0; i < result->found.n_rows; i++) {
        const struct af_row *row = &result->found.rows[i];
        af_counts_add(counts, row->seen.count, af_seen_knows(&row->seen));
        *confirmed += row->confirmed;
    }
}

void af_result_free(struct af_result *r) {
    if (r->recorded)
        af_run_dir_leave(&r->dir, &r->found);
    af_collection_free(&r->found);
    free(r->order);
}
