/* What who shows, on its way to columns and to JSON. */
#ifndef AFTERFIN_CLI_WHO_WHO_H
#define AFTERFIN_CLI_WHO_WHO_H

#include "cli/ledgers/owners.h"

enum af_who_column {
    AF_WHO_TIME_WAIT,
    AF_WHO_PID,
    AF_WHO_PROGRAM,
    AF_WHO_LOCAL,
    AF_WHO_PEER,
    AF_WHO_EXPIRES,
    AF_WHO_COLUMNS
};

struct af_who {
    struct af_owners owners; /* only what was asked for, in order */
    size_t standing;         /* TIME_WAITs before anything was asked for */
    size_t listed;           /* the first so many of them are */
    bool counts_unknown;     /* and of no known process only counts: they are too many */
    size_t *order;           /* rows that left any, in order */
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

/* Put sockets and rows in order: by a column, the most first of time_wait, the least of all others; what is the same
 * there by process, the most first, then by address. */
void af_who_put_in_order(struct af_who *who, enum af_who_column column, bool reversed);
/* AF_WHO_COLUMNS: none has this name. Names separated by commas, for a message. */
enum af_who_column af_who_column_named(const char *name);
const char *af_who_column_names(void);

/* "900 to 127.0.0.1:8080, 90 from :443, 10 others": the unknown ones by where they lead, or by the port that they were
 * accepted at, which of both more have in common. From malloc. */
char *af_who_unknown(const struct af_who *who);

/* Columns, on stdout. */
void af_who_print(const struct af_who *who);
/* JSON to stdout, or to a file. False: it has been said why. */
bool af_who_write_json(const struct af_who *who, const char *path);

#endif
