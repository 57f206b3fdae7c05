/* See supervisor_inner.h: sockets whose port bind_no_port has left to connect. */
#include "cli/launch/supervisor_inner.h"

#include <stdatomic.h>
#include <stdlib.h>

/* By cookie, in a table that forgets the oldest where too many share a place: then getsockname says 0. */
enum { PLACES = 1 << 16, STEPS = 8 };
struct af_late_ports {
    _Atomic uint64_t cookie[PLACES];
};

struct af_late_ports *af_late_ports_make(void) {
    void *made = calloc(1, sizeof(struct af_late_ports));
    return made;
}

static _Atomic uint64_t *place_of(struct af_late_ports *late, uint64_t cookie, unsigned step) {
    return &late->cookie[((cookie * 0x9e3779b97f4a7c15u >> 48) + step) & (PLACES - 1)];
}

void af_late_ports_put(struct af_late_ports *late, uint64_t cookie) {
    for (unsigned step = 0; late && cookie && step < STEPS; step++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(place_of(late, cookie, step), &none, cookie))
            return;
    }
    if (late && cookie)
        atomic_store(place_of(late, cookie, 0), cookie);
}

bool af_late_ports_take(struct af_late_ports *late, uint64_t cookie) {
    for (unsigned step = 0; late && cookie && step < STEPS; step++) {
        uint64_t found = cookie;
        if (atomic_compare_exchange_strong(place_of(late, cookie, step), &found, 0))
            return true;
    }
    return false;
}
