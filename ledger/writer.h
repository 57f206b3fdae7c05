/* The writing side of a ledger: memory only, no system call, no lock. Every function is thread-, fork- and
 * async-signal-safe, and may be cut off at any instruction by SIGKILL: at worst one record is lost.
 *
 * `backed` asks, before memory is written for the first time, whether it is there to be written (a file on a
 * full disk is not: touching it would be SIGBUS). */
#ifndef AFTERFIN_LEDGER_WRITER_H
#define AFTERFIN_LEDGER_WRITER_H

#include "ledger/layout.h"

typedef bool (*af_backed)(const void *start, size_t size);

/* How many records of each kind a ledger has room for; endpoints and closed are powers of two, closed may be 0
 * where nobody will append. */
struct af_ledger_room {
    uint32_t processes, connections, endpoints, closed;
};

/* All that the layout allows; a small one, of 6 MB, for where address space or file size is limited. Memory
 * follows use in both. */
/* clang-format off */
#define AF_LARGE_ROOM {AF_MAX_PROCESSES, AF_MAX_CONNECTIONS, AF_MAX_ENDPOINTS, AF_MAX_CLOSED}
#define AF_SMALL_ROOM {1 << 10, 1 << 15, 1 << 13, 1 << 14}
/* clang-format on */

/* The size of the ring for a kernel that keeps `tw_buckets` TIME_WAITs (net.ipv4.tcp_max_tw_buckets; 0 where
 * that is unknown): enough for all of them to have their owner in it. */
uint32_t af_ledger_ring(uint64_t tw_buckets);

/* Bytes of a whole ledger, and its header for that size. */
size_t af_ledger_size(const struct af_ledger_room *room);
void af_ledger_layout(struct af_ledger *ledger, const struct af_ledger_room *room);

static inline struct af_process *af_ledger_process(struct af_ledger *ledger, uint32_t slot) {
    return (struct af_process *)(void *)((char *)ledger + ledger->processes_at) + slot;
}
static inline struct af_connection *af_ledger_connection(struct af_ledger *ledger, uint32_t index) {
    return (struct af_connection *)(void *)((char *)ledger + ledger->connections_at) + index;
}

/* A fresh record, or AF_NO_SLOT where there is no room. A process record is published by setting `used` to
 * 2; where all are taken, the last one is *shared by all who come. A connection's fields are zero, but for
 * next_free and pins. */
uint32_t af_ledger_claim_process(struct af_ledger *ledger, bool *shared, af_backed backed);
uint32_t af_ledger_claim_connection(struct af_ledger *ledger, af_backed backed);
void af_ledger_free_connection(struct af_ledger *ledger, uint32_t index);

/* As long as it is pinned a record stays whose it is, though it be freed: nobody else gets it. Pin, see that it is
 * still the one that was meant, work on it, unpin; not for long, since who is killed meanwhile keeps it for good.
 * af_ledger_pin returns how often it has been claimed, never 0 for one in use. */
uint32_t af_ledger_pin(struct af_connection *conn);
void af_ledger_unpin(struct af_ledger *ledger, struct af_connection *conn);

/* A process record of zeros, made ready to count errors in. */
void af_ledger_prepare_process(struct af_process *process);
void af_ledger_count_error(struct af_process *process, enum af_call call, int error);

/* `change` (1, or -1 to take one back) TIME_WAITs of process `slot` towards addr. False: no room. */
bool af_ledger_count_endpoint(struct af_ledger *ledger, uint32_t slot, const struct af_addr *addr, bool accepted,
                              int change, af_backed backed);
/* The `room` endpoints of `slot` with the highest counts, highest first; how many there are. */
size_t af_ledger_top_endpoints(struct af_ledger *ledger, uint32_t slot, struct af_endpoint *out, size_t room);

/* Append to the ring; its serial. af_ledger_strike takes a record back: it then counts as nothing. */
uint64_t af_ledger_append(struct af_ledger *ledger, const struct af_closed *closed, af_backed backed);
void af_ledger_strike(struct af_ledger *ledger, uint64_t serial);

/* A connect took so long. Its place is next to the header, so it needs no backing of its own. */
void af_ledger_count_time(struct af_ledger *ledger, uint64_t ns);

/* open = established - the endings, from a snapshot of counts. */
uint64_t af_ledger_open(const uint64_t count[AF_COUNTERS]);

#endif
