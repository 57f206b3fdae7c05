/* Process images, each once, of what ledgers and log lines told of them; in memory that grows with the images and not
 * with the lines. */
#ifndef AFTERFIN_CLI_LEDGERS_ENTRIES_H
#define AFTERFIN_CLI_LEDGERS_ENTRIES_H

#include "cli/ledgers/collect.h"
#include "cli/output/lookup.h"

#include <jansson.h>

/* A program's name, once for all processes that have it. */
struct af_name {
    char *program; /* af_entry_program */
    char *key;     /* of it, the same whoever told: see entries.c */
    uint32_t hash; /* of that */
    size_t sum;    /* totals.c: its sum's index + 1 */
};

/* Counts by name: "connect:ECONNREFUSED", NUL, "1", NUL, and so on; first those of errors, then those of time_wait_to. */
struct af_pairs {
    char *text;
    uint32_t room, errors, time_wait_to; /* bytes */
};

/* One more, of text that grows by malloc; `of` is its errors, or its time_wait_to, to which no error is added any more. */
void af_pairs_add(struct af_pairs *pairs, uint32_t *of, const char *name, size_t name_size, const char *digits,
                  size_t n_digits);
void af_pairs_add_json(struct af_pairs *pairs, uint32_t *of, const json_t *object);

/* One process image, as one source told of it. */
struct af_entry {
    size_t name; /* of the entries' names */
    int64_t pid;
    uint64_t started, at; /* of the image; of the line, UINT64_MAX for a ledger: both ns since 1970 */
    bool running;
    uint64_t time_wait_now; /* the kernel shows so many */
    uint32_t known;         /* of the counts: af_seen_knows */
    uint64_t count[AF_COUNTERS];
    struct af_pairs pairs;
};

struct af_entries {
    struct af_entry *all;
    struct af_name *names;
    size_t n, n_names;
    struct af_lookup images, by_program;
    size_t lines, skipped; /* of logs: taken; named and left out */
};

/* A program's name as every source can tell it: as much as a ledger holds, no character in halves, and what is not fit
 * in it is \xNN (text.h). From malloc. */
char *af_entry_program(const char *name, size_t size);

/* An entry for each process of the collected ledgers; to come before the logs. `only`: what lies in these entries of the
 * directory; NULL: all. */
void af_entries_add(struct af_entries *entries, const struct af_collection *found, const struct af_strings *only);

/* What a line of a log tells. Of one image its ledger is kept, else the latest line. `program` has been through
 * af_entry_program and need not end with a NUL; of `line` the name is not looked at; all of it is copied. */
void af_entries_take(struct af_entries *entries, const char *program, size_t size, const struct af_entry *line);

void af_entries_free(struct af_entries *entries);

#endif
