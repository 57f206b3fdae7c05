/* What who shows, on its way to columns and to JSON. */
#ifndef AFTERFIN_CLI_WHO_WHO_H
#define AFTERFIN_CLI_WHO_WHO_H

#include "cli/ledgers/owners.h"

struct af_who {
    struct af_owners owners; /* only what was asked for, ordered: by process, then by address */
    size_t *order;           /* rows that left any, most first */
    size_t n_order;
    uint64_t *left; /* for each row, how many */
    uint64_t unknown;
    uint64_t contested; /* left by processes of which several users' ledgers claim it */
    uint64_t pid_ns;    /* ours */
};

/* The pid namespace of a row's pid where that is not ours; else 0. */
uint64_t af_who_pid_ns(const struct af_who *who, size_t row);
/* The user whose ledger tells of a row. Only root reads those of others. */
uint32_t af_who_uid(const struct af_who *who, size_t row);
/* "FIN_WAIT2" or "TIME_WAIT". */
const char *af_who_state(const struct af_owned *owned);

/* Columns, on stdout. */
void af_who_print(const struct af_who *who);
/* JSON to stdout, or to a file. False: it has been said why. */
bool af_who_write_json(const struct af_who *who, const char *path);

#endif
