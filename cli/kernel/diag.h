/* The kernel's own list of TCP sockets, of the network namespace that we are in. */
#ifndef AFTERFIN_CLI_KERNEL_DIAG_H
#define AFTERFIN_CLI_KERNEL_DIAG_H

#include "policy/policy.h"

/* States as in the kernel's net/tcp_states.h, as a set. */
enum {
    AF_IN_ESTABLISHED = 1 << 1,
    AF_IN_FIN_WAIT1 = 1 << 4,
    AF_IN_FIN_WAIT2 = 1 << 5,
    AF_IN_TIME_WAIT = 1 << 6,
    AF_IN_CLOSE = 1 << 7,
    AF_IN_LAST_ACK = 1 << 9,
    AF_IN_LISTENING = 1 << 10,
    AF_IN_CLOSING = 1 << 11,
    AF_IN_ANY = 0xffe & ~AF_IN_LISTENING,
    /* To ask for only: what has a port by a bind and nothing more. It comes as AF_IN_CLOSE; before Linux 6.8 not
     * at all. */
    AF_IN_BOUND_ONLY = 1 << 13,
};

struct af_kernel_socket {
    uint64_t cookie;
    uint32_t state;      /* one of AF_IN_... */
    uint32_t inode;      /* 0: no descriptor refers to it (any more) */
    uint32_t uid;        /* who made it; of one without an inode the kernel does not know any more, and says 0 */
    uint32_t expires_ms; /* of its timer */
    uint32_t interface;  /* that it is bound to, by its address's scope too; 0: none */
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

/* A TIME_WAIT's whole life (TCP_TIMEWAIT_LEN). Every segment of the peer's that reaches it begins it anew. */
enum { AF_TIME_WAIT_MS = 60000 };

enum af_destroy { AF_DESTROY_NOT, AF_DESTROY_ENDED, AF_DESTROY_GONE };
struct af_destroyed {
    size_t ended;
    size_t gone; /* had ended before, by themselves or because a new connection took their place */
};

/* End sockets that a dump has shown in TIME_WAIT, at once; those of any other state (orphans in FIN_WAIT2 too) are
 * left alone. The kernel is asked by cookie, so that it does not take another one that has the same addresses now.
 * Nothing goes on the wire. `fates` (enum af_destroy, one a socket) may be NULL.
 * 0, or -errno at which it stopped, *out telling how far it came. EPERM: no CAP_NET_ADMIN in this network
 * namespace; EOPNOTSUPP: a kernel without CONFIG_INET_DIAG_DESTROY, or before Linux 6.0. */
int af_diag_destroy(const struct af_kernel_socket *sockets, size_t n, uint8_t *fates, struct af_destroyed *out);
/* 0, or -EPERM: af_diag_destroy would say so. */
int af_diag_may_destroy(void);

#endif
