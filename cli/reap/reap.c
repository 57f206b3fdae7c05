/* afterfin reap: ends TIME_WAIT sockets before their time. */
#include "cli/reap/reap.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output/busy.h"
#include "cli/output/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ALL = AF_NO_LETTER, OLDER_THAN, PEER, PID, ABOVE, EVERY, DRY_RUN, JSON };

static const struct af_option_row rows[] = {
    { OLDER_THAN, "older-than", AF_TAKES_VALUE, "S", "only those S seconds old or older, of the 60 that they live" },
    { PEER, "peer", AF_TAKES_ONE, "TARGET", "only towards TARGET, as in a rule: 10.0.0.0/8:443" },
    { PID, "pid", AF_TAKES_ONE, "N", "only what process N left, as ledgers tell; N@NS: in pid namespace NS" },
    { ALL, "all", AF_TAKES_NOTHING, NULL, "every one; else a filter is needed, and of several all must match" },
    { ABOVE, "above", AF_TAKES_VALUE, "N", "only while there are more than N, and down to N: the oldest first" },
    { EVERY, "every", AF_TAKES_VALUE, "S", "keep watch: again every S seconds, a line each time anything was done" },
    { DRY_RUN, "dry-run", AF_TAKES_NOTHING, NULL, "end nothing, say what would be ended" },
    { 'd', NULL, AF_TAKES_VALUE, "DIR", "for --pid, read the ledgers in DIR, not in the default directory" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE; with --every one object a line" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

/* ---- what is asked ------------------------------------------------------------------------------------------ */

static bool read_above(struct af_reap *q, struct af_options *options) {
    char *end = NULL;
    errno = 0;
    q->above = strtoull(options->value, &end, 10);
    q->has_above = *options->value >= '0' && *options->value <= '9' && !*end && errno == 0;
    if (!q->has_above)
        af_misuse(options, "--above needs a number of sockets, not '%s'", options->value);
    return q->has_above;
}

static bool read_option(struct af_reap *q, struct af_options *options, int id) {
    enum { DAY_MS = 86400000, SHORTEST_MS = 100 };
    switch (id) {
    case OLDER_THAN: return af_read_seconds(options, "older-than", 1, AF_TIME_WAIT_MS - 1, &q->older_ms);
    case EVERY: return af_read_seconds(options, "every", SHORTEST_MS, DAY_MS, &q->every_ms);
    case PEER: return af_option_accepted(options, af_filter_read_peer(&q->filter, options->value));
    case PID: return af_option_accepted(options, af_filter_read_pid(&q->filter, options->value));
    case ABOVE: return read_above(q, options);
    case 'd': q->directory = options->value; return true;
    case JSON: q->json_path = options->value;
    }
    q->json |= id == JSON;
    q->all |= id == ALL;
    q->dry_run |= id == DRY_RUN;
    return true;
}

/* -1: it has been said what is wrong with them together; else 0. */
static int check(const struct af_reap *q, struct af_options *options) {
    const bool filtered = q->older_ms || q->filter.by_peer || q->filter.pid;
    if (options->next < options->argc)
        return af_misuse(options, "takes no operand, but got '%s'", options->argv[options->next]);
    if (q->all && filtered)
        return af_misuse(options, "--all means every socket, a filter only some: give one or the other");
    if (!q->all && !filtered)
        return af_misuse(options, "needs --older-than, --peer or --pid, or --all for every TIME_WAIT");
    if (q->directory && !q->filter.pid)
        return af_misuse(options, "-d says where --pid finds ledgers, and there is no --pid");
    return 0;
}

/* False: the status to exit with is in *status. */
static bool read_options(struct af_reap *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "reap", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0)
        if (!read_option(q, &options, id))
            break;
    if (id == 0)
        id = check(q, &options);
    *status = options.status;
    return id == 0;
}

/* ---- reap --------------------------------------------------------------------------------------------------- */

static int reap_once(const struct af_reap *q) {
    struct af_reaped r;
    af_busy_begin("reap");
    const int error = af_reap_round(q, true, &r);
    af_busy_end();
    bool ok = !error;
    if (ok || r.done.ended)
        ok &= af_reap_print(q, &r);
    if (error)
        af_reap_tell_error(&r, error);
    af_reaped_free(&r);
    return ok ? 0 : AF_EXIT_FAILURE;
}

/* The right is asked for first, so that whoever lacks it learns so whether anything matches today or not. */
int af_command_reap(int argc, char **argv) {
    struct af_reap q = { .directory = NULL };
    int status;
    if (!read_options(&q, argc, argv, &status))
        return status;
    const int error = q.dry_run ? 0 : af_diag_may_destroy();
    if (error) {
        af_reap_tell_error(&(struct af_reaped){ .dumped = true }, error);
        return AF_EXIT_FAILURE;
    }
    return q.every_ms ? af_reap_repeat(&q) : reap_once(&q);
}
