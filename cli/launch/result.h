/* CMD under the library with ledgers of its own, and all that can be known of what it left: for run and compare. */
#ifndef AFTERFIN_CLI_LAUNCH_RESULT_H
#define AFTERFIN_CLI_LAUNCH_RESULT_H

#include "cli/launch/child.h"
#include "cli/launch/full.h"
#include "cli/launch/settings.h"
#include "cli/ledgers/ledger_dir.h"

struct af_result {
    char **command;
    const struct af_settings *settings;
    struct af_child child;
    struct af_run_dir dir;
    bool recorded; /* there was a directory for ledgers: without one nothing is known but `child` */
    struct af_collection found;
    size_t *order; /* rows of found, by start time */
    bool dumped;   /* the kernel's table could be read; else the next seven say nothing */
    bool settled;  /* no connection of ours was still closing */
    uint64_t before, after, attributed;
    int64_t resets;     /* that the kernel here has sent meanwhile; 0: none, or it is not known */
    int64_t taken_over; /* TIME_WAITs whose ports connects have taken meanwhile (tcp_tw_reuse); 0: as above */
    uint64_t contested; /* that ledgers of several users claim */
    uint64_t expired;   /* left by these processes too, seen while they ran, gone now */
    struct af_full full;
    const char *why; /* not dumped: what the kernel said */
};

/* Run CMD to its end, in the name of the subcommand `who`; settings->environment gets the directory. Where CMD
 * started and was `recorded`, its ledgers have been collected, verified with the kernel's table, and put in order. */
void af_run_recorded(struct af_result *result, const char *who, char **command, struct af_settings *settings);

/* Sums of all rows, of what is known of each; of no row all is. */
void af_result_totals(const struct af_result *result, struct af_counts *counts, uint64_t *confirmed);

/* The files go, or stay where the user asked for them (ledger_dir.h). */
void af_result_free(struct af_result *result);

#endif
