/* See supervisor_inner.h: source=, the local address of a connection that is about to be made, as shim/source.c chooses it
 * for a program that has the library. The port is left to connect, and both options are as they were before that begins.
 * How the connect ends nobody tells us, so an address is looked at before: is it this machine's, and does a route lead
 * from it to the peer? */
#include "cli/launch/supervisor_inner.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62 /* Linux 5.0 */
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

enum { MOST_TRIES = 256 }; /* a pool of addresses that are all gone is not to hold a connect up */

/* All programs under one supervisor go through a pool together, so that none walks in another's steps; where the first one
 * begins is chance. */
struct af_sources {
    uint32_t start;
    _Atomic uint32_t turn;
    struct af_cookies *bound; /* sockets that have an address of ours, and no port yet as far as is known */
};

struct af_sources *af_sources_make(void) {
    struct af_sources *made = calloc(1, sizeof *made);
    if (made && getrandom(&made->start, sizeof made->start, 0) < 0)
        made->start = (uint32_t)getpid();
    if (made)
        made->bound = af_cookies_make();
    return made;
}

static int number(int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : 0;
}

static int set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* As a socket of IPv4, or of IPv6, has it. */
static socklen_t to_sockaddr(const struct af_addr *addr, bool v6_socket, struct sockaddr_storage *out) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (!v6_socket) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        memcpy(&v4->sin_addr, addr->ip, sizeof v4->sin_addr);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr->port);
    if (addr->v6) {
        memcpy(&v6->sin6_addr, addr->ip, sizeof v6->sin6_addr);
    } else {
        memset(v6->sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(v6->sin6_addr.s6_addr + 12, addr->ip, 4);
    }
    return sizeof *v6;
}

static bool bind_to(int fd, const struct af_addr *addr, bool v6_socket) {
    struct sockaddr_storage to;
    const socklen_t size = to_sockaddr(addr, v6_socket, &to);
    return bind(fd, (struct sockaddr *)&to, size) == 0;
}

static bool same_network(int a, int b) {
    uint64_t of_a = 0, of_b = 0;
    socklen_t size = sizeof of_a;
    return getsockopt(a, SOL_SOCKET, SO_NETNS_COOKIE, &of_a, &size) == 0 &&
           getsockopt(b, SOL_SOCKET, SO_NETNS_COOKIE, &of_b, &size) == 0 && of_a == of_b;
}

bool af_is_of_our_network(int fd) {
    const int ours = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool same = ours >= 0 && same_network(ours, fd);
    if (ours >= 0)
        close(ours);
    return same;
}

/* A datagram socket that is connected sends nothing: the kernel looks for the route. Of another network namespace than ours
 * it is not known, and taken to be there. */
static bool route_leads(int fd, const struct af_addr *from, const struct af_addr *to) {
    struct sockaddr_storage at;
    const socklen_t size = to_sockaddr(to, from->v6, &at);
    const int probe = socket(from->v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return true;
    const bool leads = !same_network(probe, fd) || !bind_to(probe, from, from->v6) ||
                       connect(probe, (struct sockaddr *)&at, size) == 0;
    close(probe);
    return leads;
}

/* The program has an address in mind: it is bound, to a device, or may start from what is none of this machine's. `ours`:
 * what it is bound to is from us. One that has a port, too, the kernel does not let be bound again; what getsockname says
 * of a port may be left from a connect that failed. */
static bool is_chosen(const struct af_supervision *s, int fd, bool ours) {
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    struct af_addr at;
    if (getsockname(fd, (struct sockaddr *)&local, &size) != 0 || !af_addr_from((struct sockaddr *)&local, size, &at) ||
        (!ours && !af_addr_is_any(&at)))
        return true;
    return !s->settings->policy.override &&
           (number(fd, SOL_SOCKET, SO_BINDTOIFINDEX) || number(fd, IPPROTO_IP, IP_FREEBIND) ||
            number(fd, IPPROTO_IP, IP_TRANSPARENT));
}

/* Binds it to the next address from which a route leads, or, where none does, to the one that the kernel chooses. */
static void bind_next(const struct af_supervision *s, int fd, bool v6_socket, const struct af_addr *peer,
                      const struct af_values *values, uint32_t n, uint64_t cookie) {
    const struct af_addr any = { .v6 = v6_socket };
    const uint32_t turn = n ? s->sources->start % n + atomic_fetch_add(&s->sources->turn, 1) % n : 0;
    for (uint32_t i = 0; i < n && i < MOST_TRIES; i++) {
        struct af_addr from;
        af_policy_source(&s->settings->policy, values, peer->v6, (turn + i) % n, &from);
        if (bind_to(fd, &from, v6_socket) && route_leads(fd, &from, peer)) {
            af_cookies_put(s->sources->bound, cookie);
            return;
        }
    }
    bind_to(fd, &any, v6_socket);
}

/* A connect that failed leaves the address, which is to be a connection's only. */
void af_take_back_source(const struct af_supervision *s, int fd, uint64_t cookie) {
    const bool v6_socket = number(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
    if (!s->sources || !af_cookies_take(s->sources->bound, cookie) || is_chosen(s, fd, true) ||
        set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) != 0)
        return;
    bind_to(fd, &(struct af_addr){ .v6 = v6_socket }, v6_socket);
    set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0);
}

void af_choose_source(const struct af_supervision *s, int fd, uint64_t cookie, const struct af_addr *peer,
                      const struct af_values *values) {
    const bool ours = s->sources && af_cookies_take(s->sources->bound, cookie);
    const bool v6_socket = number(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
    const bool possible = values->source && peer->port && !(peer->v6 && !v6_socket) && !af_addr_is_any(peer);
    const uint32_t n = possible ? af_policy_count_sources(&s->settings->policy, values, peer->v6) : 0;
    if (!s->sources || (!n && !ours) || is_chosen(s, fd, ours))
        return;
    const bool both = v6_socket && !number(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    const int no_port = number(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    if (!no_port && set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) != 0)
        return;
    bind_next(s, fd, v6_socket, peer, values, n, cookie);
    if (!no_port)
        set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0);
    if (both && number(fd, IPPROTO_IPV6, IPV6_V6ONLY)) /* by a bind to an address of IPv6 */
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}
