/* See snapshot.h. */
#include "cli/top/snapshot.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Listeners, and what is only bound, hold their port against every destination. */
static int add_netns(struct af_snapshot *snapshot, uint64_t net_ns) {
    struct af_kernel_sockets kernel;
    int error = af_diag_dump(AF_IN_ANY | AF_IN_LISTENING | AF_IN_BOUND_ONLY, &kernel);
    if (error)
        return error;
    snapshot->namespaces = af_room_for_one(snapshot->namespaces, snapshot->n_namespaces, sizeof *snapshot->namespaces);
    struct af_netns_snapshot *netns = &snapshot->namespaces[snapshot->n_namespaces++];
    netns->net_ns = net_ns;
    netns->kernel = kernel;
    af_ephemeral_read(&netns->ports);
    netns->taken_over = af_tw_taken_over();
    return 0;
}

static void add_elsewhere(void *snapshot, uint64_t net_ns) {
    add_netns(snapshot, net_ns);
}

/* The kernel first: whatever is in its table then was recorded before. */
int af_snapshot_take(struct af_snapshot *snapshot, const int *directory) {
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->pid_ns = af_own_namespace("pid");
    snapshot->tw_reuse = af_tw_reuse_read();
    int error = add_netns(snapshot, 0);
    if (error)
        return error;
    snapshot->at = now(CLOCK_MONOTONIC);
    snapshot->at_real = now(CLOCK_REALTIME);
    snapshot->ledgers = directory != NULL;
    if (directory)
        af_ledger_dir_collect(&snapshot->found, *directory);
    af_settle_records(&snapshot->found);
    af_elsewhere_each(&snapshot->elsewhere, &snapshot->found, add_elsewhere, snapshot);
    for (size_t i = 0; i < snapshot->n_namespaces; i++)
        af_settle_kernel(&snapshot->found, &snapshot->namespaces[i].kernel,
                         i ? snapshot->namespaces[i].net_ns : af_own_namespace("net"));
    return 0;
}

void af_snapshot_free(struct af_snapshot *snapshot) {
    for (size_t i = 0; i < snapshot->n_namespaces; i++)
        free(snapshot->namespaces[i].kernel.all);
    free(snapshot->namespaces);
    af_collection_free(&snapshot->found);
    memset(snapshot, 0, sizeof *snapshot);
}
