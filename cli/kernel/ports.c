/* See ports.h. */
#include "cli/kernel/ports.h"
#include "cli/kernel/ephemeral.h"
#include "cli/kernel/sockstat.h"
#include "cli/kernel/sysctl.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- who has taken them ---------------------------------------------------------------------------------------- */

static int by_destination(const void *a, const void *b) {
    const struct af_destination *x = a, *y = b;
    int order = memcmp(&x->peer, &y->peer, sizeof x->peer);
    return order ? order : memcmp(&x->local, &y->local, sizeof x->local);
}

static int by_ports(const void *a, const void *b) {
    const struct af_destination *x = a, *y = b;
    return x->ports != y->ports ? (x->ports < y->ports ? 1 : -1) : by_destination(a, b);
}

/* In order of destination, each once. */
static size_t merge(struct af_destination *all, size_t n) {
    size_t kept = 0;
    if (n)
        qsort(all, n, sizeof *all, by_destination);
    for (size_t i = 0; i < n; i++)
        if (kept && by_destination(&all[kept - 1], &all[i]) == 0) {
            all[kept - 1].ports++;
            all[kept - 1].time_wait += all[i].time_wait;
        } else {
            all[kept++] = all[i];
        }
    return kept;
}

size_t af_destinations(const struct af_kernel_sockets *kernel, const struct af_port_set *ports,
                       struct af_destination **out) {
    struct af_destination *all = af_array(NULL, kernel->n, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        if (!af_port_has(ports, socket->local.port))
            continue;
        all[n] = (struct af_destination){
            .local = socket->local, .peer = socket->peer, .ports = 1, .time_wait = socket->state == AF_IN_TIME_WAIT
        };
        all[n++].local.port = 0;
    }
    n = merge(all, n);
    if (n)
        qsort(all, n, sizeof *all, by_ports);
    *out = all;
    return n;
}

static void look_at(struct af_ports *p, const struct af_kernel_sockets *kernel, const struct af_port_set *ephemeral) {
    struct af_port_set used = { { 0 } };
    struct af_destination *all;
    const size_t n = af_destinations(kernel, ephemeral, &all);
    for (size_t i = 0; i < kernel->n; i++) {
        p->time_wait += af_is_time_wait(&kernel->all[i]);
        if (af_port_has(ephemeral, kernel->all[i].local.port))
            af_port_add(&used, kernel->all[i].local.port);
    }
    p->used = af_ports_common(&used, &used, 0, AF_PORTS - 1);
    p->n_busiest = n < AF_BUSIEST ? n : AF_BUSIEST;
    memcpy(p->busiest, all, p->n_busiest * sizeof *all);
    free(all);
}

void af_ports_read(struct af_ports *p, const struct af_kernel_sockets *kernel) {
    struct af_ephemeral ephemeral;
    af_ephemeral_read(&ephemeral);
    *p = (struct af_ports){ .ephemeral = ephemeral.low ? (int64_t)ephemeral.n : -1,
                            .time_wait_limit = af_sysctl_value("net.ipv4.tcp_max_tw_buckets"),
                            .time_wait_overflow = af_netstat("TcpExt:", "TCPTimeWaitOverflow") };
    look_at(p, kernel, &ephemeral.usable);
}
