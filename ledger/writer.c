/* Writes the ledger: hands out records, counts, appends. See writer.h for what may run at the same time. */
#include "ledger/writer.h"
#include "ledger/histogram.h"

static uint64_t page_up(uint64_t size) {
    return (size + 4095) & ~(uint64_t)4095;
}

static uint64_t section(uint64_t *end, uint64_t count, uint64_t size) {
    uint64_t at = *end;
    *end = page_up(at + count * size);
    return at;
}

static uint64_t place_sections(struct af_ledger *to, const struct af_ledger_room *room) {
    uint64_t end = page_up(sizeof *to);
    to->connect_times_at = section(&end, 1, sizeof(struct af_histogram));
    to->processes_at = section(&end, room->processes, sizeof(struct af_process));
    to->connections_at = section(&end, room->connections, sizeof(struct af_connection));
    to->endpoints_at = section(&end, room->endpoints, sizeof(struct af_endpoint));
    to->closed_at = section(&end, room->closed, sizeof(struct af_closed));
    return end;
}

uint32_t af_ledger_ring(uint64_t tw_buckets) {
    uint32_t ring = AF_MIN_CLOSED;
    while (ring < tw_buckets && ring < AF_MAX_CLOSED)
        ring *= 2;
    return ring;
}

size_t af_ledger_size(const struct af_ledger_room *room) {
    struct af_ledger places;
    return place_sections(&places, room);
}

void af_ledger_layout(struct af_ledger *ledger, const struct af_ledger_room *room) {
    ledger->version = AF_LEDGER_VERSION;
    ledger->header_size = sizeof *ledger;
    ledger->size = place_sections(ledger, room);
    ledger->process_size = sizeof(struct af_process);
    ledger->connection_size = sizeof(struct af_connection);
    ledger->endpoint_size = sizeof(struct af_endpoint);
    ledger->closed_size = sizeof(struct af_closed);
    ledger->histogram_size = sizeof(struct af_histogram);
    ledger->max_processes = room->processes;
    ledger->max_connections = room->connections;
    ledger->max_endpoints = room->endpoints;
    ledger->max_closed = room->closed;
}

/* Take the next number below limit. */
static uint32_t take_number(_Atomic uint32_t *next, uint32_t limit) {
    uint32_t n = atomic_load(next);
    do {
        if (n >= limit)
            return AF_NO_SLOT;
    } while (!atomic_compare_exchange_weak(next, &n, n + 1));
    return n;
}

/* The last slot is for all processes that come when the others are taken: a server that forks for ever. */
static uint32_t take_slot(struct af_ledger *ledger, af_backed backed) {
    const uint32_t last = ledger->max_processes - 1;
    uint32_t n = atomic_load(&ledger->n_processes);
    if (n < last && !backed(af_ledger_process(ledger, n), 2 * sizeof(struct af_process)))
        return AF_NO_SLOT;
    uint32_t slot = take_number(&ledger->n_processes, last);
    if (slot == AF_NO_SLOT)
        slot = last;
    return backed(af_ledger_process(ledger, slot), sizeof(struct af_process)) ? slot : AF_NO_SLOT;
}

uint32_t af_ledger_claim_process(struct af_ledger *ledger, bool *shared, af_backed backed) {
    uint32_t slot = take_slot(ledger, backed);
    *shared = slot == ledger->max_processes - 1;
    if (slot == AF_NO_SLOT)
        return slot;
    struct af_process *process = af_ledger_process(ledger, slot);
    uint32_t state = 0;
    af_ledger_prepare_process(process);
    if (!atomic_compare_exchange_strong(&process->used, &state, 1))
        atomic_fetch_add(&process->sharers, 1);
    if (*shared)
        atomic_store(&ledger->n_processes, ledger->max_processes);
    return slot;
}

void af_ledger_prepare_process(struct af_process *process) {
    for (uint32_t call = 0; call < AF_CALLS; call++)
        atomic_store_explicit(&process->errors[call].key, (call + 1) << 16, memory_order_relaxed);
}

/* The free list is a stack; its head carries a change count in the upper half, so that a pop which slept
 * while others popped and pushed the same record back fails its exchange. What such a one reads of a record that
 * is not free any more is of no use to it, but it does read it. */
static uint32_t pop_free(struct af_ledger *ledger) {
    uint64_t head = atomic_load(&ledger->free_head);
    uint32_t index;
    uint64_t rest;
    do {
        if (!(uint32_t)head)
            return AF_NO_SLOT;
        index = (uint32_t)head - 1;
        rest = ((head >> 32) + 1) << 32 |
               atomic_load_explicit(&af_ledger_connection(ledger, index)->next_free, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak(&ledger->free_head, &head, rest));
    return index;
}

uint32_t af_ledger_claim_connection(struct af_ledger *ledger, af_backed backed) {
    uint32_t index = pop_free(ledger);
    if (index == AF_NO_SLOT) {
        index = take_number(&ledger->n_connections, ledger->max_connections);
        if (index == AF_NO_SLOT)
            return AF_NO_SLOT;
        if (!backed(af_ledger_connection(ledger, index), sizeof(struct af_connection)))
            return AF_NO_SLOT;
    }
    struct af_connection *conn = af_ledger_connection(ledger, index);
    const size_t next = offsetof(struct af_connection, next_free), after = next + sizeof conn->next_free;
    (void)atomic_load_explicit(&conn->refs, memory_order_acquire); /* after whoever let go of it */
    __builtin_memset(conn, 0, next);
    __builtin_memset((char *)conn + after, 0, offsetof(struct af_connection, pins) - after);
    atomic_fetch_add(&conn->pins, 1ull << 32);
    return index;
}

static void push_free(struct af_ledger *ledger, uint32_t index) {
    struct af_connection *conn = af_ledger_connection(ledger, index);
    uint64_t head = atomic_load(&ledger->free_head);
    uint64_t next;
    do {
        atomic_store_explicit(&conn->next_free, (uint32_t)head, memory_order_relaxed);
        next = ((head >> 32) + 1) << 32 | (index + 1);
    } while (!atomic_compare_exchange_weak(&ledger->free_head, &head, next));
}

/* Beside the pins: it is free, and whoever takes the last of them away is to push it. */
static const uint32_t freed = 1u << 31;

/* Of all who find it free and without a pin, one pushes it. */
static bool takes_freed(struct af_connection *conn, uint64_t pins) {
    while ((uint32_t)pins == freed)
        if (atomic_compare_exchange_weak(&conn->pins, &pins, pins ^ freed))
            return true;
    return false;
}

/* It is out of every table by now: who pins it later will not find it there. */
void af_ledger_free_connection(struct af_ledger *ledger, uint32_t index) {
    struct af_connection *conn = af_ledger_connection(ledger, index);
    atomic_store_explicit(&conn->state, AF_CONN_FREE, memory_order_release);
    if ((uint32_t)atomic_load(&conn->pins) == 0 || takes_freed(conn, atomic_fetch_or(&conn->pins, freed) | freed))
        push_free(ledger, index);
}

uint32_t af_ledger_pin(struct af_connection *conn) {
    return (uint32_t)(atomic_fetch_add(&conn->pins, 1) >> 32);
}

void af_ledger_unpin(struct af_ledger *ledger, struct af_connection *conn) {
    if (takes_freed(conn, atomic_fetch_sub(&conn->pins, 1) - 1))
        push_free(ledger, (uint32_t)(conn - af_ledger_connection(ledger, 0)));
}

void af_ledger_count_error(struct af_process *process, enum af_call call, int error) {
    uint32_t key = ((uint32_t)call + 1) << 16 | (uint32_t)(error & 0xffff);
    struct af_error_row *row = &process->errors[call];
    for (int i = AF_CALLS; error && i < AF_ERROR_ROWS; i++) {
        uint32_t found = 0;
        if (atomic_compare_exchange_strong(&process->errors[i].key, &found, key) || found == key) {
            row = &process->errors[i];
            break;
        }
    }
    atomic_fetch_add_explicit(&row->count, 1, memory_order_relaxed);
}

/* An address as two numbers: this is asked at every close. */
static void halves(const struct af_addr *addr, uint64_t out[2]) {
    __builtin_memcpy(out, addr->ip, sizeof addr->ip);
}

static uint32_t endpoint_hash(uint32_t slot, const struct af_addr *addr, bool accepted) {
    uint64_t ip[2];
    halves(addr, ip);
    uint64_t hash = ip[0] * 0x9e3779b97f4a7c15u ^ ip[1] ^ (uint64_t)slot << 32 ^ (uint64_t)accepted << 16 ^ addr->port;
    hash = (hash ^ hash >> 32) * 0xbf58476d1ce4e5b9u;
    uint32_t key = (uint32_t)(hash >> 32);
    return key ? key : 1;
}

static bool same_endpoint(const struct af_endpoint *e, uint32_t slot, const struct af_addr *addr, bool accepted) {
    uint64_t a[2], b[2];
    halves(&e->addr, a);
    halves(addr, b);
    return e->slot == slot && e->accepted == accepted && e->addr.port == addr->port && e->addr.v6 == addr->v6 &&
           a[0] == b[0] && a[1] == b[1];
}

/* A record is filled in before it is chained, and chained before it is ready. */
static void fill_endpoint(struct af_ledger *ledger, struct af_endpoint *e, uint32_t slot, const struct af_addr *addr,
                          bool accepted) {
    const struct af_endpoint *all = (void *)((char *)ledger + ledger->endpoints_at);
    struct af_process *process = af_ledger_process(ledger, slot);
    e->slot = slot;
    e->addr = *addr;
    e->accepted = accepted;
    uint32_t first = atomic_load(&process->endpoints);
    do
        e->next = first;
    while (!atomic_compare_exchange_weak(&process->endpoints, &first, (uint32_t)(e - all) + 1));
    atomic_store_explicit(&e->ready, 1, memory_order_release);
}

bool af_ledger_count_endpoint(struct af_ledger *ledger, uint32_t slot, const struct af_addr *addr, bool accepted,
                              int change, af_backed backed) {
    struct af_endpoint *all = (struct af_endpoint *)((char *)ledger + ledger->endpoints_at);
    uint32_t hash = endpoint_hash(slot, addr, accepted);
    for (uint32_t step = 0; step < 256; step++) {
        struct af_endpoint *e = &all[(hash + step) & (ledger->max_endpoints - 1)];
        if (!backed(e, sizeof *e))
            return false;
        uint32_t key = atomic_load_explicit(&e->key, memory_order_relaxed);
        if (!key && atomic_compare_exchange_strong(&e->key, &key, hash))
            fill_endpoint(ledger, e, slot, addr, accepted);
        else if (key != hash || !atomic_load_explicit(&e->ready, memory_order_acquire) ||
                 !same_endpoint(e, slot, addr, accepted))
            continue;
        atomic_fetch_add_explicit(&e->count, (uint32_t)change, memory_order_relaxed);
        return true;
    }
    return false;
}

size_t af_ledger_top_endpoints(struct af_ledger *ledger, uint32_t slot, struct af_endpoint *out, size_t room) {
    const struct af_endpoint *all = (void *)((char *)ledger + ledger->endpoints_at);
    size_t n = 0;
    uint32_t next = atomic_load(&af_ledger_process(ledger, slot)->endpoints);
    for (; next; next = all[next - 1].next) {
        const struct af_endpoint *e = &all[next - 1];
        const struct af_endpoint now = {
            .slot = slot, .count = atomic_load(&e->count), .addr = e->addr, .accepted = e->accepted
        };
        size_t at = n < room ? n++ : room;
        for (; at > 0 && out[at - 1].count < now.count; at--)
            if (at < room)
                out[at] = out[at - 1];
        if (at < room)
            out[at] = now;
    }
    return n;
}

static struct af_closed *closed_at(struct af_ledger *ledger, uint64_t n) {
    return (struct af_closed *)((char *)ledger + ledger->closed_at) + (n & (ledger->max_closed - 1));
}

uint64_t af_ledger_append(struct af_ledger *ledger, const struct af_closed *closed, af_backed backed) {
    uint64_t n = atomic_fetch_add(&ledger->n_closed, 1);
    struct af_closed *to = closed_at(ledger, n);
    if (!backed(to, sizeof *to)) {
        atomic_fetch_add(&ledger->lost_closed, 1);
        return 0;
    }
    atomic_store_explicit(&to->serial, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    to->cookie = closed->cookie;
    to->at = closed->at;
    to->slot = closed->slot;
    to->owner = closed->owner;
    to->peer = closed->peer;
    to->local_port = closed->local_port;
    to->counted = closed->counted;
    to->accepted = closed->accepted;
    to->mptcp = closed->mptcp;
    atomic_store_explicit(&to->serial, n + 1, memory_order_release);
    return n + 1;
}

void af_ledger_strike(struct af_ledger *ledger, uint64_t serial) {
    if (serial && atomic_load(&closed_at(ledger, serial - 1)->serial) == serial)
        closed_at(ledger, serial - 1)->counted = AF_END_NONE;
}

void af_ledger_count_time(struct af_ledger *ledger, uint64_t ns) {
    struct af_histogram *times = (struct af_histogram *)((char *)ledger + ledger->connect_times_at);
    uint64_t max = atomic_load_explicit(&times->max, memory_order_relaxed);
    atomic_fetch_add_explicit(&times->count[af_bucket_of(ns)], 1, memory_order_relaxed);
    while (ns > max &&
           !atomic_compare_exchange_weak_explicit(&times->max, &max, ns, memory_order_relaxed, memory_order_relaxed))
        ;
}

uint64_t af_ledger_open(const uint64_t count[AF_COUNTERS]) {
    return count[AF_COUNT_established] - count[AF_COUNT_time_wait] - count[AF_COUNT_avoided] - count[AF_COUNT_passive] -
           count[AF_COUNT_aborted] - count[AF_COUNT_passed];
}
