/* See endpoints.h. */
#include "cli/ledgers/endpoints.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>

void af_endpoint_add(struct af_collection *c, size_t row, const struct af_endpoint *endpoint) {
    if (row == AF_NO_ROW || !endpoint->addr.port)
        return;
    c->targets = af_room_for_one(c->targets, c->n_targets, sizeof *c->targets);
    c->targets[c->n_targets++] = (struct af_target){ row, *endpoint };
}

void af_endpoint_of(struct af_collection *c, size_t row, bool accepted, const struct af_addr *peer, uint16_t local_port,
                    int by) {
    struct af_endpoint endpoint = { .count = (uint32_t)by, .accepted = accepted };
    if (accepted)
        endpoint.addr.port = local_port;
    else
        endpoint.addr = *peer;
    af_endpoint_add(c, row, &endpoint);
}

static int by_endpoint(const void *a, const void *b) {
    const struct af_target *x = a, *y = b;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    if (x->endpoint.accepted != y->endpoint.accepted)
        return x->endpoint.accepted - y->endpoint.accepted;
    return memcmp(&x->endpoint.addr, &y->endpoint.addr, sizeof x->endpoint.addr);
}

/* Keep the highest counts, highest first. */
void af_row_add_endpoint(struct af_row *row, const struct af_endpoint *endpoint) {
    size_t at = row->n_top < AF_TOP ? row->n_top++ : AF_TOP;
    row->n_endpoints++;
    for (; at > 0 && row->top[at - 1].count < endpoint->count; at--)
        if (at < AF_TOP)
            row->top[at] = row->top[at - 1];
    if (at < AF_TOP)
        row->top[at] = *endpoint;
}

/* Nothing to do where nothing has been added since the last time. */
void af_endpoints_sum(struct af_collection *c) {
    size_t kept = 0;
    if (c->n_targets == c->n_summed)
        return;
    qsort(c->targets, c->n_targets, sizeof *c->targets, by_endpoint);
    for (size_t i = 0; i < c->n_rows; i++)
        c->rows[i].n_top = c->rows[i].n_endpoints = 0;
    for (size_t i = 0, next; i < c->n_targets; i = next) {
        struct af_target sum = c->targets[i];
        for (next = i + 1; next < c->n_targets && by_endpoint(&sum, &c->targets[next]) == 0; next++)
            sum.endpoint.count += c->targets[next].endpoint.count;
        if ((int32_t)sum.endpoint.count <= 0)
            continue;
        af_row_add_endpoint(&c->rows[sum.row], &sum.endpoint);
        c->targets[kept++] = sum;
    }
    c->n_targets = c->n_summed = kept;
}
