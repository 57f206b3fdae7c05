/* The writing side of a ledger: memory only, no system call, no lock. Every function is thread-, fork- and
 * async-signal-safe, and may be cut off at any instruction by SIGKILL: at worst one record is lost.
 *
 * `backed` asks, before memory is written for the first time, whether it is there to be written (a file on a
 * full disk is not: touching it would be SIGBUS). */
#ifndef AFTERFIN_LEDGER_WRITER_H
#define AFTERFIN_LEDGER_WRITER_H

#include "ledger/layout.h"

typedef bool (*af_backed)(const void *start, size_t size);

/* Bytes of a whole ledger, and its header for that size. */
size_t af_ledger_size(void);
void af_ledger_layout(struct af_ledger *ledger);

struct af_process *af_ledger_process(struct af_ledger *ledger, uint32_t slot);
struct af_connection *af_ledger_connection(struct af_ledger *ledger, uint32_t index);

/* A fresh record, or AF_NO_SLOT where there is no room. A process record is published by setting `used` to
 * 2; a connection's fields are zero. */
uint32_t af_ledger_claim_process(struct af_ledger *ledger, af_backed backed);
uint32_t af_ledger_claim_connection(struct af_ledger *ledger, af_backed backed);
void af_ledger_free_connection(struct af_ledger *ledger, uint32_t index);

void af_ledger_count_error(struct af_process *process, enum af_call call, int error);

/* `change` (1, or -1 to take one back) TIME_WAITs of process `slot` towards addr. False: no room. */
bool af_ledger_count_endpoint(struct af_ledger *ledger, uint32_t slot, const struct af_addr *addr,
                              bool accepted, int change, af_backed backed);
/* The `room` endpoints of `slot` with the highest counts, highest first; how many there are. */
size_t af_ledger_top_endpoints(struct af_ledger *ledger, uint32_t slot, struct af_endpoint *out, size_t room);

/* Append to the ring; its serial. af_ledger_strike takes a record back: it then counts as nothing. */
uint64_t af_ledger_append(struct af_ledger *ledger, const struct af_closed *closed, af_backed backed);
void af_ledger_strike(struct af_ledger *ledger, uint64_t serial);

/* open = established - the endings, from a snapshot of counts. */
uint64_t af_ledger_open(const uint64_t count[AF_COUNTERS]);

#endif
