/* Rows of a table, each of them a way to start the driver, and their figures round by round. */
#ifndef AFTERFIN_BENCH_ROWS_H
#define AFTERFIN_BENCH_ROWS_H

#include "bench/bench.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define LOG "LOG=/dev/null"

struct row {
    const char *name, *settings; /* LEDGER stands for LEDGER=directory */
    double bound;                /* on the median of the ratios (or differences); 0: none */
    const char *kind;            /* of cycles */
};

/* `how` with the settings of that row. The text is good until the next call. */
struct start row_start(const struct row *row, struct start how);
/* Each row once a round, in an order of its own, in one network namespace that keeps no TIME_WAIT. */
bool rows_run(const struct row *rows, size_t n, unsigned rounds, struct start how, struct series figures[]);
/* The ratios (or differences) of one row to another, round by round. */
struct series series_to(const struct series *figures, const struct series *base, bool differences);
/* The bound of the row, and whether it is met; and the end of the line. */
void print_bound(const struct row *row, struct series *ratios);

#endif
