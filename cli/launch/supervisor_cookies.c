/* See supervisor_inner.h: sockets of which something is to be remembered until the next call on them. */
#include "cli/launch/supervisor_inner.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A table that forgets the oldest where too many share a place: then getsockname says port 0, or an address of ours is
 * taken for the program's own. */
enum { PLACES = 1 << 16, STEPS = 8 };
struct af_cookies {
    _Atomic uint64_t cookie[PLACES];
};

struct af_cookies *af_cookies_make(void) {
    void *made = calloc(1, sizeof(struct af_cookies));
    return made;
}

static _Atomic uint64_t *place_of(struct af_cookies *set, uint64_t cookie, unsigned step) {
    return &set->cookie[((cookie * 0x9e3779b97f4a7c15u >> 48) + step) & (PLACES - 1)];
}

void af_cookies_put(struct af_cookies *set, uint64_t cookie) {
    for (unsigned step = 0; set && cookie && step < STEPS; step++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(place_of(set, cookie, step), &none, cookie))
            return;
    }
    if (set && cookie)
        atomic_store(place_of(set, cookie, 0), cookie);
}

bool af_cookies_take(struct af_cookies *set, uint64_t cookie) {
    for (unsigned step = 0; set && cookie && step < STEPS; step++) {
        uint64_t found = cookie;
        if (atomic_compare_exchange_strong(place_of(set, cookie, step), &found, 0))
            return true;
    }
    return false;
}
