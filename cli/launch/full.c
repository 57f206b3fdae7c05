/* See full.h. */
#include "cli/launch/full.h"
#include "cli/ledgers/names.h"
#include "cli/ledgers/settle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool lacked_ports(const struct af_collection *found) {
    for (size_t i = 0; i < found->n_rows; i++)
        for (uint32_t e = 0; e < found->rows[i].seen.n_errors; e++) {
            const struct af_seen_error *error = &found->rows[i].seen.errors[e];
            if (error->error == EADDRNOTAVAIL && strcmp(af_call_name(error->call), "connect") == 0)
                return true;
        }
    return false;
}

static unsigned count_others(const struct af_destination *to, const struct af_port_set *ports,
                             const struct af_collection *found, const struct af_kernel_sockets *kernel) {
    unsigned n = 0;
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        struct af_addr local = socket->local;
        local.port = 0;
        if (af_is_time_wait(socket) && af_port_has(ports, socket->local.port) &&
            memcmp(&socket->peer, &to->peer, sizeof to->peer) == 0 && memcmp(&local, &to->local, sizeof local) == 0)
            n += af_settle_owner(found, socket->cookie).row == AF_NO_ROW;
    }
    return n;
}

void af_full_find(struct af_full *full, const struct af_collection *found, const struct af_kernel_sockets *kernel) {
    struct af_ephemeral ephemeral;
    struct af_destination *all;
    *full = (struct af_full){ .range = 0 };
    if (!lacked_ports(found))
        return;
    af_ephemeral_read(&ephemeral);
    const size_t n = af_destinations(kernel, &ephemeral.usable, &all);
    if (n) {
        full->to = all[0];
        full->others = count_others(&all[0], &ephemeral.usable, found, kernel);
        full->range = full->others >= ephemeral.n / 2 ? ephemeral.n : 0;
    }
    free(all);
}
