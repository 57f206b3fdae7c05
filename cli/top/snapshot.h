/* Everything that top shows, at one moment: the kernel's tables, then the ledgers. */
#ifndef AFTERFIN_CLI_TOP_SNAPSHOT_H
#define AFTERFIN_CLI_TOP_SNAPSHOT_H

#include "cli/kernel/ephemeral.h"
#include "cli/ledgers/owners.h"

/* A network namespace. */
struct af_netns_snapshot {
    uint64_t net_ns; /* 0: ours, which is the first */
    struct af_kernel_sockets kernel;
    struct af_ephemeral ports;
    int taken_over; /* af_tw_taken_over */
};

struct af_snapshot {
    struct af_netns_snapshot *namespaces;
    size_t n_namespaces;
    struct af_collection found; /* settled */
    struct af_elsewhere elsewhere;
    bool ledgers;     /* the directory could be read, or nobody has any */
    uint64_t at;      /* CLOCK_MONOTONIC, ns: of the kernel's tables */
    uint64_t at_real; /* CLOCK_REALTIME, ns: before the ledgers were read */
    uint64_t pid_ns;  /* ours */
    int tw_reuse;     /* net.ipv4.tcp_tw_reuse; -1: not known */
};

/* With the ledgers of what af_ledger_dir_open has opened; NULL: it could not. 0, or -errno of the kernel's dump. */
int af_snapshot_take(struct af_snapshot *snapshot, const int *directory);
void af_snapshot_free(struct af_snapshot *snapshot);

#endif
