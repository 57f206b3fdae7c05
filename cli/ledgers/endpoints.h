/* Where the TIME_WAITs of each process lead: what its ledger counted, and what settling adds or takes away. */
#ifndef AFTERFIN_CLI_LEDGERS_ENDPOINTS_H
#define AFTERFIN_CLI_LEDGERS_ENDPOINTS_H

#include "cli/ledgers/collect.h"

/* `count` of the endpoint is a difference: negative takes away. One without a port is not known, and left out. */
void af_endpoint_add(struct af_collection *collection, size_t row, const struct af_endpoint *endpoint);
/* The endpoint of one connection: the peer, or of an accepted one the local port. */
void af_endpoint_of(struct af_collection *collection, size_t row, bool accepted, const struct af_addr *peer,
                    uint16_t local_port, int by);

/* `top`, n_top and n_endpoints of all rows, from what has been added. */
void af_endpoints_sum(struct af_collection *collection);

/* One that this row does not have yet, among the highest if it is one of them. */
void af_row_add_endpoint(struct af_row *row, const struct af_endpoint *endpoint);

#endif
