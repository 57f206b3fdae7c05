/* What one run of compare came to, from its ledgers and the kernel's table; and what becomes of its leftovers. */
#include "cli/compare/round.h"
#include "cli/kernel/ports.h"
#include "cli/kernel/sysctl.h"
#include "cli/ledgers/settle.h"
#include "cli/output/say.h"
#include "ledger/histogram.h"

#include <signal.h>
#include <stdio.h>
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

bool af_compare_dump(struct af_kernel_sockets *sockets) {
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

/* Connect calls that opened no connection and did not fail. What is passed on is established in two processes. */
static double asked_again(const uint64_t count[AF_COUNTERS]) {
    const double opened = (double)count[AF_COUNT_established] - (double)count[AF_COUNT_passed] -
                          (double)count[AF_COUNT_accepts];
    const double rest = (double)count[AF_COUNT_connects] - (double)count[AF_COUNT_connect_errors] -
                        (opened > 0 ? opened : 0);
    return rest > 0 ? rest : 0;
}

/* What the library counts is what the state at the close leads to, where the kernel keeps any. */
static bool keeps_none(void) {
    return af_sysctl_value("net.ipv4.tcp_max_tw_buckets") == 0;
}

/* From outside only connects or sockets are seen, and TIME_WAITs (layout.h: AF_SEEN_FROM_OUTSIDE); of a process without
 * a ledger nothing at all. */
static void leave_unknown(struct af_measure *m, const struct af_collection *found) {
    enum {
        OF_LEDGERS = ((1u << AF_METRICS) - 1) & ~(1u << AF_METRIC_elapsed_s | 1u << AF_METRIC_ports),
        SEEN = 1u << AF_METRIC_connects | 1u << AF_METRIC_time_wait
    };
    m->unkept = found->n_unkept;
    if (m->unkept) {
        m->unknown = OF_LEDGERS;
        snprintf(m->unkept_why, sizeof m->unkept_why, "%s", found->unkept_why);
    }
    for (size_t i = 0; i < found->n_rows; i++) {
        const struct af_seen_process *seen = &found->rows[i].seen;
        for (int c = 0; c < AF_COUNTERS; c++)
            m->reported |= seen->count[c] > 0;
        m->outside |= seen->outside;
        if (seen->outside)
            m->unknown |= OF_LEDGERS & ~SEEN;
        if (seen->outside && seen->count[AF_COUNT_sockets] > 0)
            m->unknown |= 1u << AF_METRIC_connects;
    }
}

void af_compare_measure(struct af_measure *m, const struct af_result *r, struct af_kernel_sockets *left,
                        const struct af_kernel_sockets *before) {
    const struct af_histogram *times = &r->found.connect_times;
    struct af_counts counts;
    const uint64_t *const count = counts.count;
    uint64_t confirmed;
    struct af_ports ports;
    keep_new(left, before);
    af_ports_read(&ports, left);
    af_result_totals(r, &counts, &confirmed);
    leave_unknown(m, &r->found);
    m->value[AF_METRIC_elapsed_s] = r->child.elapsed_s;
    m->value[AF_METRIC_connects] = (double)count[AF_COUNT_connects];
    m->value[AF_METRIC_connects_again] = asked_again(count);
    m->value[AF_METRIC_established] = (double)count[AF_COUNT_established];
    m->value[AF_METRIC_time_wait] = keeps_none() ? 0 : (double)count[AF_COUNT_time_wait];
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

/* Closed and in TIME_WAIT, or on its way there. */
enum { LEAVING = AF_IN_FIN_WAIT1 | AF_IN_FIN_WAIT2 | AF_IN_CLOSING | AF_IN_TIME_WAIT };
static bool is_leftover(const struct af_kernel_socket *socket) {
    return socket->state & LEAVING && !socket->inode;
}

/* Reaping: only of its own processes; others' are not ours to end. */
static void keep_leftovers(struct af_kernel_sockets *left, const struct af_collection *own) {
    size_t kept = 0;
    for (size_t i = 0; i < left->n; i++)
        if (is_leftover(&left->all[i]) && (!own || af_settle_owner(own, left->all[i].cookie).row != AF_NO_ROW))
            left->all[kept++] = left->all[i];
    left->n = kept;
}

static bool is_among(const struct af_kernel_socket *socket, const struct af_kernel_sockets *left) {
    return left->n && bsearch(socket, left->all, left->n, sizeof *left->all, by_cookie);
}

/* What is left now of `left`; false: the kernel does not tell. */
static bool look_again(const struct af_kernel_sockets *left, struct af_kernel_sockets *now) {
    size_t kept = 0;
    if (af_diag_dump(LEAVING, now) != 0)
        return false;
    for (size_t i = 0; i < now->n; i++)
        if (is_leftover(&now->all[i]) && is_among(&now->all[i], left))
            now->all[kept++] = now->all[i];
    now->n = kept;
    return true;
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

void af_compare_wait(const struct af_experiment *e, struct af_kernel_sockets *left) {
    struct af_kernel_sockets now;
    keep_leftovers(left, NULL);
    sigprocmask(SIG_SETMASK, &e->mask, NULL); /* who waits for a minute may be interrupted */
    while (look_again(left, &now)) {
        free(now.all);
        if (!now.n)
            break;
        af_progress_show(&e->progress, "waiting for %zu TIME_WAITs to expire", now.n);
        pause_ms(500);
    }
}

/* A FIN may be on its way still, the peer's too: what is no TIME_WAIT yet has a second to become one. */
bool af_compare_reap(const struct af_result *r, struct af_kernel_sockets *left) {
    struct af_kernel_sockets now = { .n = 1 };
    struct af_destroyed out;
    int error = 0;
    keep_leftovers(left, &r->found);
    for (int ms = 0; ms < 1000 && now.n && !error && look_again(left, &now); ms += 10) {
        error = af_diag_destroy(now.all, now.n, NULL, &out);
        free(now.all);
        if (now.n > out.ended)
            pause_ms(10);
    }
    if (error)
        af_tell("compare: --settle=reap: %s", strerror(-error));
    return !error;
}
