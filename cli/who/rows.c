/* What a row of who shows, in columns and in JSON alike. */
#include "cli/who/who.h"

uint64_t af_who_pid_ns(const struct af_who *w, size_t row) {
    const uint64_t pid_ns = w->owners.found.images[w->owners.found.rows[row].image].pid_ns;
    return pid_ns == w->pid_ns ? 0 : pid_ns; /* 0 too where it is not known */
}

uint32_t af_who_uid(const struct af_who *w, size_t row) {
    return w->owners.found.images[w->owners.found.rows[row].image].uid;
}

const char *af_who_state(const struct af_owned *owned) {
    return owned->socket.state == AF_IN_TIME_WAIT ? "TIME_WAIT" : "FIN_WAIT2";
}
