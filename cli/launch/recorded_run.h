/* CMD under the library with ledgers of its own, and all that can be known of what it left: for run, and for compare. */
#ifndef AFTERFIN_CLI_LAUNCH_RECORDED_RUN_H
#define AFTERFIN_CLI_LAUNCH_RECORDED_RUN_H

#include "cli/ledgers/ledger_dir.h"
#include "cli/launch/result.h"

struct af_watched {
    struct af_result result;
    struct af_place place;
    bool placed; /* there was a directory for ledgers: without one nothing is known but result.child */
};

/* Run it to its end, in the name of the subcommand `who`; settings->environment gets the directory. Where CMD
 * started and `placed`, the result has been collected, settled with the kernel's table, and put in order. */
void af_watched_run(struct af_watched *watched, const char *who, char **command, struct af_settings *settings);

/* The files go, or stay where the user asked for them (place.h). */
void af_watched_leave(struct af_watched *watched);

#endif
