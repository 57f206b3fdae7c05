/* See owners.h. */
#include "cli/ledgers/owners.h"
#include "cli/kernel/netns.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <stdlib.h>
#include <string.h>

enum { STATES = AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2 };

static void add(struct af_owners *o, const struct af_kernel_sockets *kernel, uint64_t net_ns) {
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        if (!af_is_time_wait(socket))
            continue;
        struct af_owner owner = af_settle_owner(&o->found, socket->cookie);
        if (net_ns && owner.row == AF_NO_ROW && !owner.n_claims)
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

void af_elsewhere_each(struct af_elsewhere *e, const struct af_collection *found,
                       void (*visit)(void *context, uint64_t net_ns), void *context) {
    const uint64_t own = af_own_namespace("net");
    uint64_t *wanted = af_array(NULL, found->n_images, sizeof *wanted);
    size_t n = 0;
    for (size_t i = 0; own && i < found->n_images; i++)
        if (found->images[i].net_ns && found->images[i].net_ns != own)
            wanted[n++] = found->images[i].net_ns;
    e->refused = af_netns_each(wanted, n, visit, context, &e->why);
    free(wanted);
}

void af_elsewhere_tell(const struct af_elsewhere *e, const char *command) {
    if (e->refused)
        af_tell("%s: %zu network namespace%s of recorded processes not looked into: %s", command, e->refused,
                e->refused == 1 ? "" : "s", strerror(-e->why));
}

/* The kernel first: whatever is in its table then was recorded before. */
int af_owners_read(struct af_owners *o, int directory) {
    struct af_kernel_sockets kernel;
    memset(o, 0, sizeof *o);
    int error = af_diag_dump(STATES, &kernel);
    if (error)
        return error;
    af_ledger_dir_collect(&o->found, directory);
    af_settle_records(&o->found);
    add(o, &kernel, 0);
    free(kernel.all);
    af_elsewhere_each(&o->elsewhere, &o->found, add_namespace, o);
    return 0;
}

void af_owners_free(struct af_owners *o) {
    af_collection_free(&o->found);
    free(o->all);
    memset(o, 0, sizeof *o);
}
