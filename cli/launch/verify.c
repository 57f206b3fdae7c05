/* See verify.h. */
#include "cli/launch/verify.h"
#include "cli/kernel/process.h"
#include "cli/kernel/sockstat.h"
#include "cli/ledgers/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SETTLE_MS = 250, SETTLE_STEP_MS = 10 };

static unsigned fin_timeout(void) {
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_fin_timeout", "re");
    unsigned seconds = 0;
    if (file && fscanf(file, "%u", &seconds) != 1)
        seconds = 0;
    if (file)
        fclose(file);
    return seconds;
}

void af_verify_begin(struct af_verify *verify, int directory) {
    struct af_result *r = verify->result;
    struct af_kernel_sockets kernel;
    int error = af_diag_dump(AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2, &kernel);
    r->dumped = error == 0;
    r->resets = -af_netstat("Tcp:", "OutRsts");
    r->taken_over = -af_netstat("TcpExt:", "TWRecycled");
    r->why = strerror(-error);
    for (size_t i = 0; i < kernel.n; i++)
        r->before += af_is_time_wait(&kernel.all[i]);
    if (r->dumped)
        af_sample_add(&verify->samples, &kernel, NULL);
    free(kernel.all);
    verify->directory = directory;
    verify->interval_s = r->dumped ? af_sample_interval(fin_timeout()) : 0;
}

/* The dump comes first: whatever is in TIME_WAIT in it was recorded before. */
void af_verify_sample(void *context) {
    struct af_verify *verify = context;
    struct af_kernel_sockets kernel;
    if (af_diag_dump(AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2, &kernel) != 0)
        return;
    if (af_sample_has_new(&verify->samples, &kernel)) {
        struct af_collection found;
        af_collect(&found, verify->directory);
        af_settle_records(&found);
        af_sample_add(&verify->samples, &kernel, &found);
        af_collection_free(&found);
    } else {
        af_sample_add(&verify->samples, &kernel, NULL);
    }
    free(kernel.all);
}

/* Of a program that the library cannot reach nobody knows which are its own: then it may be any. */
static bool any_on_its_way(const struct af_result *r, const struct af_kernel_sockets *closing) {
    bool any = af_settle_any(&r->found, closing);
    for (size_t i = 0; i < closing->n && !r->found.n_rows; i++)
        any |= !closing->all[i].inode && closing->all[i].state != AF_IN_LAST_ACK;
    return any;
}

/* What was just closed is on its way for as long as the peer delays its ACK, up to 40 ms. */
static bool wait_settled(const struct af_result *r) {
    for (int ms = 0;; ms += SETTLE_STEP_MS) {
        struct af_kernel_sockets closing;
        if (af_diag_dump(AF_IN_FIN_WAIT1 | AF_IN_CLOSING | AF_IN_LAST_ACK, &closing) != 0)
            return true;
        bool any = any_on_its_way(r, &closing);
        free(closing.all);
        if (!any || ms >= SETTLE_MS)
            return !any;
        nanosleep(&(struct timespec){ .tv_nsec = SETTLE_STEP_MS * 1000000 }, NULL);
    }
}

void af_verify_end(struct af_verify *verify) {
    struct af_result *r = verify->result;
    const uint64_t net_ns = af_own_namespace("net");
    struct af_kernel_sockets kernel;
    af_settle_records(&r->found);
    if (!r->dumped)
        return;
    r->settled = wait_settled(r);
    r->resets += af_netstat("Tcp:", "OutRsts");
    r->taken_over += af_netstat("TcpExt:", "TWRecycled");
    int error = af_diag_dump(AF_IN_ANY, &kernel);
    if (error) {
        r->dumped = false;
        r->why = strerror(-error);
        return;
    }
    for (size_t i = 0; i < kernel.n; i++)
        r->after += af_is_time_wait(&kernel.all[i]);
    r->expired = af_sample_settle(&verify->samples, &r->found, &kernel, net_ns);
    r->attributed = af_settle_kernel(&r->found, &kernel, net_ns);
    af_full_find(&r->full, &r->found, &kernel);
    for (size_t i = 0, first; i < kernel.n && r->found.n_claims; i++)
        r->contested += af_is_time_wait(&kernel.all[i]) && af_find_claims(&r->found, kernel.all[i].cookie, &first);
    af_samples_free(&verify->samples);
    free(kernel.all);
}
