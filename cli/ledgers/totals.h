/* Totals by program, added up from ledgers and from what logs tell of the same processes. */
#ifndef AFTERFIN_CLI_LEDGERS_TOTALS_H
#define AFTERFIN_CLI_LEDGERS_TOTALS_H

#include "cli/ledgers/collect.h"

#include <jansson.h>

/* One process image as one source told it. */
struct af_entry {
    char *program; /* af_entry_program */
    char *key;     /* of it, the same whoever told: see af_entry_name */
    int64_t pid;
    uint64_t started, at; /* of the image; of the line, UINT64_MAX for a ledger: both ns since 1970 */
    size_t order;         /* of being read */
    bool running;
    uint64_t time_wait_now; /* the kernel shows so many */
    uint64_t count[AF_COUNTERS];
    json_t *errors, *time_wait_to; /* {"name": n}, NULL where empty */
};

struct af_entries {
    struct af_entry *all;
    size_t n;
    size_t lines, skipped; /* of logs: taken; named and left out */
};

/* The sum of a program's processes, or of all. */
struct af_sum {
    const char *program;
    uint64_t processes, running, time_wait_now;
    uint64_t count[AF_COUNTERS];
    json_t *errors, *time_wait_to;
    json_t
        *told; /* {"connects": n, "connect:ECONNREFUSED": n}: the counters of metrics; metrics_history.h raises them */
};

struct af_totals {
    struct af_entries entries; /* one a process image, once summed */
    struct af_sum *sums;       /* by program, most time_wait first */
    size_t n_sums;
    struct af_sum total;
};

/* A program's name as every source can tell it: as much as a ledger holds, no character in halves, and what is not fit
 * in it is \xNN (text.h). From malloc. */
char *af_entry_program(const char *name, size_t size);
/* Give an entry its name, from malloc, which is the entry's then. A byte that is no UTF-8 is one of its own in a ledger,
 * and U+0080 to U+00FF in a JSON log: in the key every character beyond ASCII, and every \xNN, is a question mark. */
void af_entry_name(struct af_entry *entry, char *program);

/* An entry for each process of the collected ledgers. `only`: what lies in these entries of the directory; NULL:
 * all. */
void af_entries_add(struct af_entries *entries, const struct af_collection *found, const struct af_strings *only);
/* Of what was said of one image keep its ledger, else the latest line; then add up. */
void af_totals_sum(struct af_totals *totals);
/* The sum of this program, an empty one where there was none; then the name is to live as long. */
struct af_sum *af_totals_of(struct af_totals *totals, const char *program);
void af_totals_free(struct af_totals *totals);

#endif
