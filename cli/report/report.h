/* What report adds up: processes out of ledgers and log lines, then programs. */
#ifndef AFTERFIN_CLI_REPORT_REPORT_H
#define AFTERFIN_CLI_REPORT_REPORT_H

#include "cli/ledgers/collect.h"
#include "cli/kernel/ports.h"

#include <jansson.h>

/* One process image as one source told it. */
struct af_entry {
    char *program; /* UTF-8 */
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
    json_t *told; /* {"connects": n, "connect:ECONNREFUSED": n}: the counters of metrics; past.h raises them */
};

struct af_report {
    struct af_entries entries; /* one a process image, once summed */
    size_t ledgers;
    struct af_sum *sums; /* by program, most time_wait first */
    size_t n_sums;
    struct af_sum total;
    bool has_ports; /* ledgers were read, and the kernel's table with them */
    struct af_ports ports;
};

/* report_log.c: the lines of one log, logfmt and JSON mixed; "-" is stdin. What is no line of ours, or broken, is
 * named on stderr. False: it cannot be read, which has been said. */
bool af_report_read_log(struct af_entries *entries, const char *path);

/* report_sum.c. Of what was said of one image keep its ledger, else the latest line; then add up. `only`: what lies in
 * these entries of the directory; NULL: all. */
void af_report_add_rows(struct af_entries *entries, const struct af_collection *found, const struct af_strings *only);
void af_report_sum(struct af_report *report);
/* The sum of this program, an empty one where there was none; then the name is to live as long. */
struct af_sum *af_report_sum_of(struct af_report *report, const char *program);
void af_report_free(struct af_report *report);

/* On stdout. */
void af_report_print(const struct af_report *report);
/* To stdout (path NULL), or to a file. False: it has been said why. */
bool af_report_write_json(const struct af_report *report, const char *path);
/* report_metrics.c */
bool af_report_write_prometheus(const struct af_report *report, const char *path);

#endif
