/* One look at everything that top shows: the kernel's tables, then the ledgers. */
#ifndef AFTERFIN_CLI_TOP_SNAPSHOT_H
#define AFTERFIN_CLI_TOP_SNAPSHOT_H

#include "cli/ledgers/owners.h"
#include "cli/kernel/ephemeral.h"

/* A network namespace. */
struct af_space {
    uint64_t net_ns; /* 0: ours, which is the first */
    struct af_kernel_sockets kernel;
    struct af_ephemeral ports;
};

struct af_look {
    struct af_space *spaces;
    size_t n_spaces;
    struct af_collection found; /* settled */
    struct af_elsewhere elsewhere;
    bool ledgers;     /* the directory was there */
    uint64_t at;      /* CLOCK_MONOTONIC, ns: of the kernel's tables */
    uint64_t at_real; /* CLOCK_REALTIME, ns: before the ledgers were read */
    uint64_t pid_ns;  /* ours */
    int tw_reuse;     /* net.ipv4.tcp_tw_reuse; -1: not known */
};

/* Ledgers below `directory`; negative: there are none. 0, or -errno of the kernel's dump. */
int af_look_take(struct af_look *look, int directory);
void af_look_free(struct af_look *look);

#endif
