/* See owners.h. */
#include "cli/owners.h"
#include "cli/alive.h"
#include "cli/memory.h"
#include "cli/netns.h"

#include <stdlib.h>
#include <string.h>

enum { STATES = AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2 };

static void add(struct af_owners *o, const struct af_kernel_sockets *kernel, uint64_t net_ns) {
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        if (!af_is_time_wait(socket))
            continue;
        struct af_owner owner = af_settle_owner(&o->found, socket->cookie);
        if (net_ns && owner.row == AF_NO_ROW)
            continue;
        o->all = af_room_for_one(o->all, o->n, sizeof *o->all);
        o->all[o->n++] = (struct af_owned){ .socket = *socket, .net_ns = net_ns, .owner = owner };
    }
}

static void add_namespace(void *context, uint64_t net_ns) {
    struct af_kernel_sockets kernel;
    if (af_diag_dump(STATES, &kernel) == 0)
        add(context, &kernel, net_ns);
    free(kernel.all);
}

static void add_other_namespaces(struct af_owners *o) {
    const uint64_t own = af_own_namespace("net");
    uint64_t *wanted = af_array(NULL, o->found.n_images, sizeof *wanted);
    size_t n = 0;
    for (size_t i = 0; own && i < o->found.n_images; i++)
        if (o->found.images[i].net_ns && o->found.images[i].net_ns != own)
            wanted[n++] = o->found.images[i].net_ns;
    o->refused = af_netns_each(wanted, n, add_namespace, o, &o->why);
    free(wanted);
}

/* The kernel first: whatever is in its table then was recorded before. */
int af_owners_read(struct af_owners *o, int directory) {
    struct af_kernel_sockets kernel;
    memset(o, 0, sizeof *o);
    int error = af_diag_dump(STATES, &kernel);
    if (error)
        return error;
    af_collect(&o->found, directory);
    af_settle_records(&o->found);
    add(o, &kernel, 0);
    free(kernel.all);
    add_other_namespaces(o);
    return 0;
}

void af_owners_free(struct af_owners *o) {
    af_collection_free(&o->found);
    free(o->all);
    memset(o, 0, sizeof *o);
}
