/* Local ports of this network namespace: how many there are for outgoing connections, and what has taken them. */
#ifndef AFTERFIN_CLI_KERNEL_PORTS_H
#define AFTERFIN_CLI_KERNEL_PORTS_H

#include "cli/kernel/diag.h"
#include "cli/kernel/ephemeral.h"

enum { AF_BUSIEST = 8 };

/* The kernel needs a port of its own for each connection between these two. */
struct af_destination {
    struct af_addr local, peer; /* local.port is 0 */
    uint32_t ports;             /* in use, of the ephemeral ones */
    uint32_t time_wait;         /* of them in TIME_WAIT */
};

/* -1: the kernel did not tell. */
struct af_ports {
    int64_t ephemeral;       /* net.ipv4.ip_local_port_range, less ip_local_reserved_ports */
    int64_t used;            /* of these, by any TCP socket that is not listening */
    int64_t time_wait;       /* sockets, orphans in FIN_WAIT2 too */
    int64_t time_wait_limit; /* net.ipv4.tcp_max_tw_buckets */
    int64_t time_wait_overflow;
    struct af_destination busiest[AF_BUSIEST]; /* the most ports first */
    size_t n_busiest;
};

/* Which ports of the set are in use from where to where: the most first, from malloc. Returns how many. */
size_t af_destinations(const struct af_kernel_sockets *kernel, const struct af_port_set *ports,
                       struct af_destination **out);

/* `kernel` is a dump of AF_IN_ANY. */
void af_ports_read(struct af_ports *ports, const struct af_kernel_sockets *kernel);

#endif
