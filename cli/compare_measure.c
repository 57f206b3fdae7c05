/* What one run of compare came to, from its ledgers and the kernel's table; and what becomes of its leftovers. */
#include "cli/compare_round.h"
#include "cli/ports.h"
#include "cli/settle.h"
#include "ledger/histogram.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int by_cookie(const void *a, const void *b) {
    const struct af_kernel_socket *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

uint64_t af_compare_time_waits(const struct af_kernel_sockets *sockets) {
    uint64_t n = 0;
    for (size_t i = 0; i < sockets->n; i++)
        n += af_is_time_wait(&sockets->all[i]);
    return n;
}

bool af_compare_look(struct af_kernel_sockets *sockets) {
    int error = af_diag_dump(AF_IN_ANY, sockets);
    if (error)
        af_tell("compare: the kernel's table cannot be read: %s", strerror(-error));
    else if (sockets->n)
        qsort(sockets->all, sockets->n, sizeof *sockets->all, by_cookie);
    return !error;
}


/* ---- measuring ---------------------------------------------------------------------------------------------- */

/* Leaves those of `now` that were not there before, a dump in order. */
static void keep_new(struct af_kernel_sockets *now, const struct af_kernel_sockets *before) {
    size_t kept = 0;
    for (size_t i = 0; i < now->n; i++)
        if (!before->n || !bsearch(&now->all[i], before->all, before->n, sizeof *before->all, by_cookie))
            now->all[kept++] = now->all[i];
    now->n = kept;
}

void af_compare_measure(struct af_measure *m, const struct af_result *r, struct af_kernel_sockets *left,
                        const struct af_kernel_sockets *before) {
    const struct af_histogram *times = &r->found.connect_times;
    uint64_t count[AF_COUNTERS], confirmed;
    struct af_ports ports;
    keep_new(left, before);
    af_ports_read(&ports, left);
    af_result_totals(r, count, &confirmed);
    m->value[AF_METRIC_elapsed_s] = r->child.elapsed_s;
    m->value[AF_METRIC_connects] = (double)count[AF_COUNT_connects];
    m->value[AF_METRIC_established] = (double)count[AF_COUNT_established];
    m->value[AF_METRIC_time_wait] = (double)count[AF_COUNT_time_wait];
    m->value[AF_METRIC_avoided] = (double)count[AF_COUNT_avoided];
    m->value[AF_METRIC_connect_p50_us] = af_histogram_quantile(times, 0.5) / 1000;
    m->value[AF_METRIC_connect_p99_us] = af_histogram_quantile(times, 0.99) / 1000;
    m->value[AF_METRIC_connect_max_us] = (double)times->max / 1000;
    m->value[AF_METRIC_ports] = ports.used > 0 ? (double)ports.used : 0;
    for (size_t i = 0; i < r->found.n_rows; i++)
        for (uint32_t k = 0; k < r->found.rows[i].seen.n_errors; k++) {
            const struct af_seen_error *error = &r->found.rows[i].seen.errors[k];
            m->failed[error->call][error->error < AF_ERRNOS ? error->error : 0] += error->count;
            m->value[AF_METRIC_failed_calls] += error->count;
        }
}

/* ---- what it left ------------------------------------------------------------------------------------------- */

static void keep_time_waits(struct af_kernel_sockets *sockets) {
    size_t kept = 0;
    for (size_t i = 0; i < sockets->n; i++)
        if (af_is_time_wait(&sockets->all[i]))
            sockets->all[kept++] = sockets->all[i];
    sockets->n = kept;
}

/* How many of them are still there. */
static size_t remaining(const struct af_kernel_sockets *left) {
    struct af_kernel_sockets now;
    size_t n = 0;
    if (af_diag_dump(AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2, &now) != 0)
        return 0;
    for (size_t i = 0; i < now.n; i++)
        n += left->n && bsearch(&now.all[i], left->all, left->n, sizeof *left->all, by_cookie) != NULL;
    free(now.all);
    return n;
}

static void wait_for_expiry(const struct af_experiment *e, const struct af_kernel_sockets *left) {
    const struct timespec pause = { .tv_nsec = 500 * 1000000 };
    sigprocmask(SIG_SETMASK, &e->mask, NULL); /* who waits for a minute may be interrupted */
    for (size_t n = left->n; n && (n = remaining(left)); nanosleep(&pause, NULL))
        af_compare_progress(e, "waiting for %zu TIME_WAITs to expire", n);
}

/* Only those of its own: others' are not ours to end. */
static bool reap(const struct af_result *r, struct af_kernel_sockets *left) {
    struct af_destroyed out;
    size_t kept = 0;
    for (size_t i = 0; i < left->n; i++)
        if (af_settle_owner(&r->found, left->all[i].cookie).row != AF_NO_ROW)
            left->all[kept++] = left->all[i];
    left->n = kept;
    int error = af_diag_destroy(left->all, left->n, NULL, &out);
    if (error)
        af_tell("compare: --settle=reap: %s", strerror(-error));
    return !error;
}

bool af_compare_settle(const struct af_experiment *e, const struct af_result *r, struct af_kernel_sockets *left,
                       bool last) {
    keep_time_waits(left);
    if (e->settling == AF_SETTLE_REAP)
        return reap(r, left);
    if (e->settling == AF_SETTLE_WAIT && !last)
        wait_for_expiry(e, left);
    return true;
}
