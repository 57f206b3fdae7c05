/* Where the ended sockets were. Nobody remembers who had connected: the end that more of them have in common is taken
 * for the server's, a peer's address and port, or a local port. */
#include "cli/ledgers/endpoints.h"
#include "cli/output/memory.h"
#include "cli/reap/reap.h"

#include <stdlib.h>
#include <string.h>

enum { PORTS = UINT16_MAX + 1 };

static int by_peer(const void *a, const void *b) {
    const struct af_kernel_socket *x = a, *y = b;
    return memcmp(&x->peer, &y->peer, sizeof x->peer);
}

/* Those that have been ended, or would be, by peer. */
static struct af_kernel_socket *select_ended(const struct af_reaped *r, size_t *n) {
    struct af_kernel_socket *ended = af_array(NULL, r->chosen, sizeof *ended);
    *n = 0;
    for (size_t i = 0; i < r->chosen; i++)
        if (!r->fates || r->fates[i] == AF_DESTROY_ENDED)
            ended[(*n)++] = r->kernel.all[i];
    if (*n)
        qsort(ended, *n, sizeof *ended, by_peer);
    return ended;
}

/* The n sockets of one peer. */
static void add_peer(const struct af_kernel_socket *ended, size_t n, const uint32_t *at_port, uint32_t *accepted,
                     struct af_row *where) {
    struct af_endpoint peer = { .addr = ended[0].peer };
    for (size_t i = 0; i < n; i++) {
        const uint16_t port = ended[i].local.port;
        if (at_port[port] > n)
            accepted[port]++;
        else
            peer.count++;
    }
    if (peer.count)
        af_row_add_endpoint(where, &peer);
}

void af_reap_endpoints(const struct af_reaped *r, struct af_row *where) {
    size_t n;
    struct af_kernel_socket *ended = select_ended(r, &n);
    uint32_t *at_port = af_array(NULL, PORTS, sizeof *at_port), *accepted = af_array(NULL, PORTS, sizeof *accepted);
    memset(at_port, 0, PORTS * sizeof *at_port);
    memset(accepted, 0, PORTS * sizeof *accepted);
    *where = (struct af_row){ .n_top = 0 };
    for (size_t i = 0; i < n; i++)
        at_port[ended[i].local.port]++;
    for (size_t first = 0, end = 0; first < n; first = end) {
        while (end < n && by_peer(&ended[first], &ended[end]) == 0)
            end++;
        add_peer(&ended[first], end - first, at_port, accepted, where);
    }
    for (unsigned port = 0; port < PORTS; port++)
        if (accepted[port])
            af_row_add_endpoint(where, &(struct af_endpoint){
                                           .addr.port = (uint16_t)port, .accepted = 1, .count = accepted[port] });
    free(accepted);
    free(at_port);
    free(ended);
}
