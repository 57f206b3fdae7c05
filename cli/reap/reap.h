/* What is asked of reap, and what one round of it came to. */
#ifndef AFTERFIN_CLI_REAP_REAP_H
#define AFTERFIN_CLI_REAP_REAP_H

#include "cli/kernel/diag.h"
#include "cli/ledgers/filter.h"

struct af_reap {
    struct af_filter filter;
    const char *directory; /* of ledgers, for filter.pid; NULL: the default one */
    uint32_t older_ms;     /* 0: of any age */
    bool all, dry_run, json;
    bool has_above;
    uint64_t above;
    uint32_t every_ms; /* 0: once */
    const char *json_path;
};

struct af_reaped {
    struct af_kernel_sockets kernel; /* TIME_WAITs and orphans; then only the matching ones, the chosen first */
    size_t standing;                 /* TIME_WAITs that there were, whether they match or not */
    size_t orphans;                  /* in FIN_WAIT2 */
    size_t matched, chosen;          /* chosen: all of those, or as many as --above asks for */
    uint8_t *fates;                  /* of the chosen: enum af_destroy; NULL in a dry run */
    struct af_destroyed done;
    size_t early;       /* of done.gone: their time had not come yet */
    bool dumped;        /* else the kernel's table could not be read, and nothing was done */
    bool told;          /* the error has been said */
    long before, after; /* sockstat's tw; -1: not known */
};

/* round.c: look, and end what is asked for. `tell`: say which ledgers cannot be read. 0, or -errno at which it
 * stopped. */
int af_reap_round(const struct af_reap *q, bool tell, struct af_reaped *r);
/* Unless it has been said. */
void af_reap_tell_error(const struct af_reaped *r, int error);
void af_reaped_free(struct af_reaped *r);

/* repeat.c: a round every q->every_ms until SIGTERM or SIGINT. Returns the status to exit with. */
int af_reap_repeat(const struct af_reap *q);

/* endpoints.c: the endpoints with the most sockets ended (in a dry run: that would be), in where->top. */
void af_reap_endpoints(const struct af_reaped *r, struct af_row *where);

/* print.c: what was ended (in a dry run: what would be): columns or JSON; and for --every one line. False: it
 * could not be written, which has been said. */
bool af_reap_print(const struct af_reap *q, const struct af_reaped *r);
bool af_reap_print_line(const struct af_reap *q, const struct af_reaped *r);

#endif
