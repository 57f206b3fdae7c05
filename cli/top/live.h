/* The live view of top. */
#ifndef AFTERFIN_CLI_TOP_LIVE_H
#define AFTERFIN_CLI_TOP_LIVE_H

#include "cli/top/view.h"

struct af_top_request {
    const char *directory; /* NULL: the default one */
    bool once, json;
    const char *json_path;
    double delay_s; /* 0: not said */
    const char *filter;
    enum af_top_by by;
    enum af_top_column sort;
    bool reversed;
};

/* Until the user has enough, from this first sample on, which is freed; the exit status. Ends itself by a signal
 * that came to end it. */
int af_top_live(const struct af_top_request *request, struct af_top_sample *first);

/* set.c: afterfin set --pid PID POLICY; what it says, and that it was done, goes to af_tell. */
void af_top_set(int pid, const char *policy);

enum { AF_DELAY_MIN_MS = 100, AF_DELAY_MAX_MS = 3600000 };

#endif
