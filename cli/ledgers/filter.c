/* See filter.h. */
#include "cli/ledgers/filter.h"

#include <stdlib.h>
#include <string.h>

bool af_filter_read_pid(struct af_filter *f, struct af_options *options) {
    char *end = NULL;
    long pid = strtol(options->value, &end, 10);
    bool ok = *options->value >= '0' && *options->value <= '9' && pid > 0 && pid <= INT32_MAX;
    f->pid = (int32_t)pid;
    f->pid_ns = 0;
    if (ok && *end == '@' && end[1] >= '0' && end[1] <= '9')
        f->pid_ns = strtoull(end + 1, &end, 10);
    if (!ok || *end)
        af_misuse(options, "--pid needs a process's number, or N@NAMESPACE, not '%s'", options->value);
    return ok && !*end;
}

bool af_filter_read_peer(struct af_filter *f, struct af_options *options) {
    const char *why;
    size_t at;
    f->by_peer = af_target_parse(options->value, strlen(options->value), &f->peer, &why, &at);
    if (!f->by_peer)
        af_misuse(options, "--peer %s: at '%s': %s", options->value, options->value + at, why);
    return f->by_peer;
}

bool af_filter_takes_peer(const struct af_filter *f, const struct af_addr *peer) {
    return !f->by_peer || af_target_matches(&f->peer, peer);
}

bool af_filter_takes_row(const struct af_filter *f, const struct af_collection *found, size_t row) {
    if (!f->pid)
        return true;
    return row != AF_NO_ROW && found->rows[row].seen.pid == f->pid &&
           (!f->pid_ns || found->images[found->rows[row].image].pid_ns == f->pid_ns);
}
