/* The kernel's own list of TCP sockets, of the network namespace that we are in. */
#ifndef AFTERFIN_CLI_DIAG_H
#define AFTERFIN_CLI_DIAG_H

#include "policy/policy.h"

/* States as in the kernel's net/tcp_states.h, as a set. */
enum {
    AF_IN_ESTABLISHED = 1 << 1,
    AF_IN_FIN_WAIT1 = 1 << 4,
    AF_IN_FIN_WAIT2 = 1 << 5,
    AF_IN_TIME_WAIT = 1 << 6,
    AF_IN_LAST_ACK = 1 << 9,
    AF_IN_CLOSING = 1 << 11,
    AF_IN_ANY = 0xffe & ~(1 << 10 /* listeners */),
};

struct af_kernel_socket {
    uint64_t cookie;
    uint32_t state;      /* one of AF_IN_... */
    uint32_t inode;      /* 0: no descriptor refers to it (any more) */
    uint32_t expires_ms; /* of its timer */
    struct af_addr local, peer;
};

struct af_kernel_sockets {
    struct af_kernel_socket *all;
    size_t n;
    uint32_t states; /* that were asked for */
};

/* Dump the TCP sockets in these states, IPv4 and IPv6; whoever calls frees list->all. 0, or -errno: EAGAIN
 * where the table changed under every attempt, else what the kernel said (ENOENT: it has no tcp_diag). */
int af_diag_dump(uint32_t states, struct af_kernel_sockets *list);

/* What the kernel books as TIME_WAIT: that, and orphans in FIN_WAIT2. */
bool af_is_time_wait(const struct af_kernel_socket *socket);

#endif
