/* One look at the kernel's table: which TIME_WAIT sockets are to be ended, and their end. */
#include "cli/kernel/sockstat.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/ledgers/settle.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/reap/reap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_old_enough(const struct af_reap *q, const struct af_kernel_socket *socket) {
    return socket->expires_ms + q->older_ms <= AF_TIME_WAIT_MS || !q->older_ms;
}

/* What the kernel's table alone tells. */
static void pick_by_table(const struct af_reap *q, struct af_reaped *r) {
    struct af_kernel_sockets *kernel = &r->kernel;
    size_t kept = 0;
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        const bool waits = socket->state == AF_IN_TIME_WAIT;
        r->standing += waits;
        r->orphans += !waits && af_is_time_wait(socket);
        if (waits && is_old_enough(q, socket) && af_filter_takes_peer(&q->filter, &socket->peer))
            kernel->all[kept++] = *socket;
    }
    kernel->n = kept;
}

/* A ledger is its owner's word, and this one is acted on. In the directory of a run there are others' too. */
static bool is_ours(const struct af_collection *found, size_t row) {
    return row != AF_NO_ROW && found->images[found->rows[row].image].uid == geteuid();
}

/* The ledgers are read after the kernel's table: whatever is in that was recorded before. 0, or -errno, which has been
 * said. */
static int pick_by_owner(const struct af_reap *q, bool tell, struct af_reaped *r) {
    struct af_kernel_sockets *kernel = &r->kernel;
    struct af_collection found;
    size_t kept = 0;
    int directory;
    const int error = af_ledger_dir_open("reap", q->directory, &directory);
    r->told = error != 0;
    if (error)
        return error;
    af_collect(&found, directory); /* not all users' */
    if (directory >= 0)
        close(directory);
    af_settle_records(&found);
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_owner owner = af_settle_owner(&found, kernel->all[i].cookie);
        if (is_ours(&found, owner.row) && af_filter_takes_row(&q->filter, &found, owner.row))
            kernel->all[kept++] = kernel->all[i];
    }
    kernel->n = kept;
    if (tell)
        af_collection_tell(&found, "reap");
    af_collection_free(&found);
    return 0;
}

static int by_age(const void *a, const void *b) {
    const struct af_kernel_socket *x = a, *y = b;
    if (x->expires_ms != y->expires_ms)
        return x->expires_ms < y->expires_ms ? -1 : 1;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static void keep_some(const struct af_reap *q, struct af_reaped *r) {
    const size_t surplus = r->standing > q->above ? r->standing - (size_t)q->above : 0;
    r->chosen = surplus < r->matched ? surplus : r->matched;
    if (r->chosen < r->matched)
        qsort(r->kernel.all, r->matched, sizeof *r->kernel.all, by_age);
}

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Of those that were gone: who would still be there, had nobody else taken it away. */
static size_t count_early(const struct af_reaped *r, uint64_t elapsed_ms) {
    enum { TIMER_MS = 10 }; /* the kernel's table is in ticks */
    size_t n = 0;
    for (size_t i = 0; i < r->chosen; i++)
        n += r->fates[i] == AF_DESTROY_GONE && r->kernel.all[i].expires_ms > elapsed_ms + TIMER_MS;
    return n;
}

int af_reap_round(const struct af_reap *q, bool tell, struct af_reaped *r) {
    const uint64_t begun = now_ms();
    *r = (struct af_reaped){ .before = af_sockstat("tw"), .after = -1 };
    int error = af_diag_dump(AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2, &r->kernel);
    if (error)
        return error;
    r->dumped = true;
    pick_by_table(q, r);
    if (q->filter.pid && (error = pick_by_owner(q, tell, r)) != 0)
        return error;
    r->matched = r->chosen = r->kernel.n;
    if (q->has_above)
        keep_some(q, r);
    if (!q->dry_run) {
        r->fates = af_array(NULL, r->chosen, sizeof *r->fates);
        error = af_diag_destroy(r->kernel.all, r->chosen, r->fates, &r->done);
        r->early = count_early(r, now_ms() - begun);
    }
    r->after = af_sockstat("tw");
    return error;
}

void af_reap_tell_error(const struct af_reaped *r, int error) {
    if (r->told)
        return;
    if (!r->dumped)
        af_tell("reap: the kernel's table cannot be read: %s", strerror(-error));
    else if (error == -EPERM)
        af_tell("reap: ending sockets needs CAP_NET_ADMIN in this network namespace; --dry-run does not");
    else if (error == -EOPNOTSUPP)
        af_tell("reap: this kernel ends no TIME_WAIT: that takes Linux 6.0 with CONFIG_INET_DIAG_DESTROY");
    else
        af_tell("reap: the kernel ended no more sockets: %s", strerror(-error));
}

void af_reaped_free(struct af_reaped *r) {
    free(r->kernel.all);
    free(r->fates);
}
