/* See filter.h. */
#include "cli/ledgers/filter.h"

#include <stdlib.h>
#include <string.h>

char *af_filter_read_pid(struct af_filter *f, const char *text) {
    char *end = NULL;
    long pid = strtol(text, &end, 10);
    bool ok = *text >= '0' && *text <= '9' && pid > 0 && pid <= INT32_MAX;
    f->pid = (int32_t)pid;
    f->pid_ns = 0;
    if (ok && *end == '@' && end[1] >= '0' && end[1] <= '9')
        f->pid_ns = strtoull(end + 1, &end, 10);
    if (!ok || *end)
        return af_format("--pid needs a process's number, or N@NAMESPACE, not '%s'", text);
    return NULL;
}

char *af_filter_read_peer(struct af_filter *f, const char *text) {
    const char *why;
    size_t at;
    f->by_peer = af_target_parse(text, strlen(text), &f->peer, &why, &at);
    return f->by_peer ? NULL : af_format("--peer %s: at '%s': %s", text, text + at, why);
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
