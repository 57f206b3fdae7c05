/* What `make bench` measures, and how: in each round a driver program (driver.c) runs once under each setting, in
 * random order, in a network namespace that keeps no TIME_WAIT, so that no run loads the next (netns.c). A ratio is
 * the median of those to another row's run in the same round, with the quartiles beside it (figures.c). */
#ifndef AFTERFIN_BENCH_H
#define AFTERFIN_BENCH_H

#include <stdbool.h>
#include <stddef.h>

enum { MOST_ROUNDS = 1000, MOST_FIGURES = 32 };

/* Figures of one row, one a round. */
struct series {
    double value[MOST_ROUNDS];
    size_t n;
};
void series_add(struct series *s, double value);
/* The share-th (0.5: median) of them; sorts. */
double series_at(struct series *s, double share);

/* How a driver is run. NULL settings: bare. "empty", "floor": under that library of bench/, "floor WORD" with that in
 * FLOOR. "static": a static one, bare;
 * "static KEY=VALUE": under run's supervisor, with that policy; "static filter", "look", "copy": under the least that does
 * so (outside.c). Else under afterfin with these variables, "|" between,
 * AFTERFIN_ left out. */
struct start {
    const char *settings, *arguments;
    bool for_children; /* the settings are for the children that it starts, not for itself */
    bool everywhere;   /* on all processors, not only the client's */
    bool awake;        /* the server does not sleep */
};
/* What it prints: numbers. False, with a message on stderr: it failed. */
bool run_driver(const struct start *start, double out[], size_t n);
/* Several at once, each with one number. */
bool run_drivers(const struct start *starts, size_t n, double out[]);
/* Its instructions in user space, as callgrind has them; -1 where that is not there or failed. */
double count_driver(const struct start *start);

/* Where the library, the empty library and the driver are, and a directory for ledgers. */
void place_init(const char *build);
void place_end(void);
const char *place_ledgers(void);
/* A fresh network namespace for what is run next, with a server on BENCH_PORT, which sleeps while there is nothing to do,
 * or stays awake, and one that sends a byte before it reads on the next; place_leave ends them. */
#define BENCH_PORT "9000"
#define GREETS_PORT "9001"
bool place_enter(bool keeps_time_waits, bool awake);
void place_leave(void);
/* TIME_WAITs of the namespace, -1: unknown. */
long place_time_waits(void);

/* The sections; false where something could not be measured. */
bool bench_cycles(unsigned rounds);
bool bench_closes(unsigned rounds);
bool bench_execs(unsigned rounds);
bool bench_forks(unsigned rounds);
bool bench_threads(unsigned rounds);
bool bench_search(unsigned rounds);
bool bench_static(unsigned rounds);

/* "met", "MISSED", or "unclear" where the lower quartile of what missed lies within; and the tally of them. */
const char *verdict(double figure, double lower_quartile, double bound);
extern unsigned bounds_met, bounds_unclear, bounds_missed;

#endif
