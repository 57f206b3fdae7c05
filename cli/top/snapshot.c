/* See look.h. */
#include "cli/top/snapshot.h"
#include "cli/kernel/process.h"
#include "cli/output/memory.h"
#include "cli/ledgers/ledger_dir.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Listeners, and what is only bound, hold their port against every destination. */
static int add_space(struct af_look *l, uint64_t net_ns) {
    struct af_kernel_sockets kernel;
    int error = af_diag_dump(AF_IN_ANY | AF_IN_LISTENING | AF_IN_BOUND_ONLY, &kernel);
    if (error)
        return error;
    l->spaces = af_room_for_one(l->spaces, l->n_spaces, sizeof *l->spaces);
    struct af_space *space = &l->spaces[l->n_spaces++];
    space->net_ns = net_ns;
    space->kernel = kernel;
    af_ephemeral_read(&space->ports);
    return 0;
}

static void add_elsewhere(void *look, uint64_t net_ns) {
    add_space(look, net_ns);
}

/* The kernel first: whatever is in its table then was recorded before. */
int af_look_take(struct af_look *l, int directory) {
    memset(l, 0, sizeof *l);
    l->pid_ns = af_own_namespace("pid");
    l->tw_reuse = af_tw_reuse_read();
    int error = add_space(l, 0);
    if (error)
        return error;
    l->at = now(CLOCK_MONOTONIC);
    l->at_real = now(CLOCK_REALTIME);
    l->ledgers = directory >= 0;
    if (l->ledgers)
        af_place_collect(&l->found, directory);
    af_settle_records(&l->found);
    af_elsewhere_each(&l->elsewhere, &l->found, add_elsewhere, l);
    for (size_t i = 0; i < l->n_spaces; i++)
        af_settle_kernel(&l->found, &l->spaces[i].kernel, i ? l->spaces[i].net_ns : af_own_namespace("net"));
    return 0;
}

void af_look_free(struct af_look *l) {
    for (size_t i = 0; i < l->n_spaces; i++)
        free(l->spaces[i].kernel.all);
    free(l->spaces);
    af_collection_free(&l->found);
    memset(l, 0, sizeof *l);
}
