/* --pid and --peer: which TIME_WAIT sockets are meant. */
#ifndef AFTERFIN_CLI_LEDGERS_FILTER_H
#define AFTERFIN_CLI_LEDGERS_FILTER_H

#include "cli/ledgers/collect.h"

/* All zero: takes everything. */
struct af_filter {
    int32_t pid;     /* 0: any */
    uint64_t pid_ns; /* 0: any */
    bool by_peer;
    struct af_rule peer;
};

/* Read the value of --pid (N or N@NAMESPACE), of --peer (a TARGET). NULL, or what is wrong with it, from malloc. */
char *af_filter_read_pid(struct af_filter *filter, const char *text);
char *af_filter_read_peer(struct af_filter *filter, const char *text);

bool af_filter_takes_peer(const struct af_filter *filter, const struct af_addr *peer);
/* Was it left by the wanted process? `row` is its owner's, or AF_NO_ROW. */
bool af_filter_takes_row(const struct af_filter *filter, const struct af_collection *found, size_t row);

#endif
