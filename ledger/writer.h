/* The writing side of a ledger: memory only, no system call, no lock. Every function is thread-, fork- and
 * async-signal-safe, and may be cut off at any instruction by SIGKILL: at worst one record is lost.
 *
 * The memory is shared with processes that may have less rights than this one, so nothing in it is believed: where
 * sections lie and how large they are stands in private memory (struct af_ledger_map), an index that is read is checked
 * against that, a chain is followed for a bounded number of steps, and an exchange that others keep spoiling is given up.
 * Who writes there at will spoils counts, and no more. */
#ifndef AFTERFIN_LEDGER_WRITER_H
#define AFTERFIN_LEDGER_WRITER_H

#include "ledger/histogram.h"

/* How many records of each kind a ledger has room for; endpoints and closed are powers of two, closed may be 0
 * where nobody will append. */
struct af_ledger_room {
    uint32_t processes, connections, endpoints, closed;
    uint32_t page; /* of who maps it by sections, where that is more than AF_WINDOW; else 0 */
};

/* All that the layout allows; a small one, of 6 MB, for where address space or file size is limited. Memory
 * follows use in both. */
/* clang-format off */
#define AF_LARGE_ROOM {AF_MAX_PROCESSES, AF_MAX_CONNECTIONS, AF_MAX_ENDPOINTS, AF_MAX_CLOSED, 0}
#define AF_SMALL_ROOM {1 << 10, 1 << 15, 1 << 13, 1 << 14, 0}
/* clang-format on */

/* The size of the ring for a kernel that keeps `tw_buckets` TIME_WAITs (net.ipv4.tcp_max_tw_buckets; 0 where
 * that is unknown): enough for all of them to have their owner in it. */
uint32_t af_ledger_ring(uint64_t tw_buckets);

/* Bytes of a whole ledger, and its header for that size. */
size_t af_ledger_size(const struct af_ledger_room *room);
void af_ledger_layout(struct af_ledger *ledger, const struct af_ledger_room *room);

/* The sections of records. Of each, this process has the first part mapped, its window; four times as much once that
 * is not enough. What was a window once stays where it is. */
enum af_section_of { AF_PROCESSES, AF_CONNECTIONS, AF_ENDPOINTS, AF_CLOSED, AF_SECTIONS };
struct af_section {
    uint64_t at;              /* offset in the ledger */
    uint32_t size, max;       /* of a record; records */
    uint32_t first;           /* records in the first window */
    _Atomic uintptr_t window; /* where it is, and how often it has grown */
};

/* Sections lie, and windows begin and grow, at multiples of this, or of a larger page. */
#define AF_WINDOW ((uintptr_t)1 << 14)

/* The header and the histogram share the first. */
#define AF_TIMES_AT ((sizeof(struct af_ledger) + 63) & ~(size_t)63)

/* Where this process has a ledger. It lies where nobody else can write. */
struct af_ledger_map {
    struct af_ledger *header;
    struct af_histogram *times;
    struct af_section section[AF_SECTIONS];
    struct af_endpoint *_Atomic last_endpoint; /* the one that this process has counted last; NULL: none */
    _Atomic uintptr_t last_closed;             /* where the AF_WINDOW of the ring is that was reached last; 0: none */
    /* Asked before a record is touched: is it there? More of the section may have to be mapped, and a file on a full
     * disk has no memory for it: touching that would be SIGBUS. */
    bool (*reach)(struct af_ledger_map *map, enum af_section_of section, uint32_t index);
};

/* The places of the sections, and nothing mapped yet. */
void af_ledger_place(struct af_ledger_map *map, const struct af_ledger_room *room);
/* The same for one that is mapped as a whole. */
void af_ledger_place_whole(struct af_ledger_map *map, struct af_ledger *ledger, const struct af_ledger_room *room);

static inline uint32_t af_window_records(const struct af_section *section, uintptr_t window) {
    const uint64_t records = window ? (uint64_t)section->first << 2 * (window & 31) : 0;
    return records < section->max ? (uint32_t)records : section->max;
}

/* Only of what has been reached, by this process or, before its fork, by a parent. */
static inline void *af_section_record(const struct af_ledger_map *map, enum af_section_of section, uint32_t index) {
    const struct af_section *s = &map->section[section];
    const uintptr_t window = atomic_load_explicit(&s->window, memory_order_acquire);
    return (char *)(window & ~(uintptr_t)31) + (size_t)index * s->size;
}
static inline bool af_section_reached(const struct af_ledger_map *map, enum af_section_of section, uint32_t index) {
    const struct af_section *s = &map->section[section];
    return index < af_window_records(s, atomic_load_explicit(&s->window, memory_order_acquire));
}
static inline struct af_process *af_ledger_process(const struct af_ledger_map *map, uint32_t slot) {
    return af_section_record(map, AF_PROCESSES, slot);
}
static inline struct af_connection *af_ledger_connection(const struct af_ledger_map *map, uint32_t index) {
    const uintptr_t window = atomic_load_explicit(&map->section[AF_CONNECTIONS].window, memory_order_acquire);
    return (struct af_connection *)(window & ~(uintptr_t)31) + index;
}

/* A fresh record, or AF_NO_SLOT where there is no room. A process record is published by setting `used` to
 * 2; where all are taken, the last one is *shared by all who come. */
uint32_t af_ledger_claim_process(struct af_ledger_map *map, bool *shared);

/* The first of AF_BLOCK connection records for this process's own use, or AF_NO_SLOT; and given back, when none of
 * them is in use. */
uint32_t af_ledger_take_block(struct af_ledger_map *map);
void af_ledger_return_block(struct af_ledger_map *map, uint32_t first);

/* A process record of zeros, made ready to count errors in. */
void af_ledger_prepare_process(struct af_process *process);
void af_ledger_count_error(struct af_process *process, enum af_call call, int error);

/* `change` (1, or -1 to take one back) TIME_WAITs of process `slot` towards addr. False: no room. */
bool af_ledger_count_endpoint(struct af_ledger_map *map, uint32_t slot, const struct af_addr *addr, bool accepted,
                              int change);
static inline bool af_is_same_addr(const struct af_addr *a, const struct af_addr *b) {
    uint64_t x, y;
    uint32_t p, q;
    _Static_assert(sizeof *a == 2 * sizeof x + sizeof p, "compared as three numbers");
    for (int i = 0; i < 2; i++) {
        __builtin_memcpy(&x, (const char *)a + 8 * i, sizeof x);
        __builtin_memcpy(&y, (const char *)b + 8 * i, sizeof y);
        if (x != y)
            return false;
    }
    __builtin_memcpy(&p, (const char *)a + 16, sizeof p);
    __builtin_memcpy(&q, (const char *)b + 16, sizeof q);
    return p == q;
}
/* The same for a connection that was not accepted, and one more; false where it was another the last time. */
static inline bool af_ledger_count_again(struct af_ledger_map *map, const struct af_addr *addr) {
    struct af_endpoint *last = atomic_load_explicit(&map->last_endpoint, memory_order_acquire);
    if (!last || last->accepted || !af_is_same_addr(&last->addr, addr))
        return false;
    atomic_fetch_add_explicit(&last->count, 1, memory_order_relaxed);
    return true;
}
/* The `room` endpoints of `slot` with the highest counts, highest first; how many there are. */
size_t af_ledger_top_endpoints(struct af_ledger_map *map, uint32_t slot, struct af_endpoint *out, size_t room);

/* The n-th record of the ring since the start, or NULL: no room. */
struct af_closed *af_ledger_reach_closed(struct af_ledger_map *map, uint32_t index);
static inline struct af_closed *af_ledger_closed_at(struct af_ledger_map *map, uint64_t n) {
    const struct af_section *ring = &map->section[AF_CLOSED];
    const uint32_t index = (uint32_t)n & (ring->max - 1);
    const uintptr_t window = atomic_load_explicit(&ring->window, memory_order_acquire);
    struct af_closed *at = (struct af_closed *)(window & ~(uintptr_t)31) + index;
    const uintptr_t last = atomic_load_explicit(&map->last_closed, memory_order_relaxed);
    return __builtin_expect((uintptr_t)at - last < AF_WINDOW, 1) ? at : af_ledger_reach_closed(map, index);
}

/* Append to the ring: a record to be filled in, and its serial, with which it is then complete; NULL and 0: no room.
 * af_ledger_strike takes a record back: it then counts as nothing. */
static inline struct af_closed *af_ledger_begin_closed(struct af_ledger_map *map, uint64_t *serial) {
    const uint64_t n = atomic_fetch_add(&map->header->n_closed, 1);
    struct af_closed *to = af_ledger_closed_at(map, n);
    *serial = n + 1;
    if (__builtin_expect(!to, 0)) {
        atomic_fetch_add(&map->header->lost_closed, 1);
        *serial = 0;
        return NULL;
    }
    atomic_store_explicit(&to->serial, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    return to;
}
static inline void af_ledger_end_closed(struct af_closed *closed, uint64_t serial) {
    atomic_store_explicit(&closed->serial, serial, memory_order_release);
}
/* The same at once; its serial. */
uint64_t af_ledger_append(struct af_ledger_map *map, const struct af_closed *closed);
void af_ledger_strike(struct af_ledger_map *map, uint64_t serial);

/* A connect took so long. Its place is next to the header, so it needs no backing of its own. */
void af_ledger_raise_max_time(struct af_histogram *times, uint64_t ns);
static inline void af_ledger_count_time(struct af_ledger_map *map, uint64_t ns) {
    struct af_histogram *times = map->times;
    atomic_fetch_add_explicit(&times->count[af_bucket_of(ns)], 1, memory_order_relaxed);
    if (__builtin_expect(ns > atomic_load_explicit(&times->max, memory_order_relaxed), 0))
        af_ledger_raise_max_time(times, ns);
}

/* open = established - the endings, from a snapshot of counts. */
uint64_t af_ledger_open(const uint64_t count[AF_COUNTERS]);

#endif
