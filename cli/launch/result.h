/* What a run came to, on its way to the table and to JSON. */
#ifndef AFTERFIN_CLI_LAUNCH_RESULT_H
#define AFTERFIN_CLI_LAUNCH_RESULT_H

#include "cli/launch/child.h"
#include "cli/ledgers/collect.h"
#include "cli/launch/settings.h"

struct af_result {
    char **command;
    const struct af_settings *settings;
    struct af_child child;
    struct af_collection found;
    size_t *order;      /* rows of found, by start time */
    bool dumped;        /* the kernel's table could be read; else the next five say nothing */
    bool settled;       /* no connection of ours was still closing */
    uint64_t before, after, attributed;
    uint64_t expired;   /* left by these processes too, seen while they ran, gone now */
    const char *why;    /* not dumped: what the kernel said */
};

/* Sums of all rows. */
void af_result_totals(const struct af_result *result, uint64_t count[AF_COUNTERS], uint64_t *confirmed);

/* "connect", of enum af_call; "EADDRNOTAVAIL", or "unknown" for 0. */
const char *af_call_name(uint32_t call);
const char *af_errno_name(uint32_t error);

/* "exit", "signal", "exec" or "running". */
const char *af_fate_name(enum af_fate fate);

/* "10.0.0.5:443", or ":443" for an accepted one. */
void af_endpoint_text(const struct af_endpoint *endpoint, char out[AF_ADDR_TEXT]);

/* The table, on stderr. */
void af_result_print(const struct af_result *result);

/* JSON to stdout (path NULL) or to a file. False: it has been said why. */
bool af_result_write_json(const struct af_result *result, const char *path);

#endif
