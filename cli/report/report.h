/* What report tells. */
#ifndef AFTERFIN_CLI_REPORT_REPORT_H
#define AFTERFIN_CLI_REPORT_REPORT_H

#include "cli/kernel/ports.h"
#include "cli/ledgers/totals.h"

struct af_report {
    struct af_totals totals;
    size_t ledgers;
    bool has_ports; /* ledgers were read, and the kernel's table with them */
    struct af_ports ports;
};

/* log.c: the lines of one log, logfmt and JSON mixed; "-" is stdin. What is no line of ours, or broken, is
 * named on stderr. False: it cannot be read, which has been said. */
bool af_report_read_log(struct af_entries *entries, const char *path);

/* On stdout. */
void af_report_print(const struct af_report *report);
/* To stdout (path NULL), or to a file. False: it has been said why. */
bool af_report_write_json(const struct af_report *report, const char *path);
/* metrics.c: the text, from malloc, or NULL; and written likewise. */
char *af_report_metrics(const struct af_report *report);
bool af_report_write_prometheus(const struct af_report *report, const char *path);

#endif
