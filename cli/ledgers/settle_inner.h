/* Between settle.c, settle_live.c and sample.c. */
#ifndef AFTERFIN_CLI_LEDGERS_SETTLE_INNER_H
#define AFTERFIN_CLI_LEDGERS_SETTLE_INNER_H

#include "cli/ledgers/endpoints.h"
#include "cli/ledgers/settle.h"

/* enum af_ending -> enum af_counter. */
extern const enum af_counter af_counter_of[];

/* The closing that was this connection's end; NULL: none is recorded, or several users'. */
const struct af_closing *af_find_end(const struct af_collection *collection, uint64_t cookie);

/* Is it in a ledger as live, or as handed on to nobody known? */
bool af_has_no_end_yet(const struct af_collection *collection, uint64_t cookie);

/* Connections that are live in their ledgers, of holders that live no more. Counts, `confirmed` and `guessed`
 * of the rows change; returns how many are in TIME_WAIT. */
uint64_t af_settle_live(struct af_collection *collection, const struct af_kernel_sockets *kernel);

#endif
