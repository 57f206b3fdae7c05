/* Writes the ledger: hands out records, counts, appends. See writer.h for what may run at the same time. */
#include "ledger/writer.h"

static uint64_t section(uint64_t *end, const struct af_ledger_room *room, uint64_t count, uint64_t size) {
    const uint64_t unit = room->page > AF_WINDOW ? room->page : AF_WINDOW, at = *end;
    *end = (at + count * size + unit - 1) & ~(unit - 1);
    return at;
}

/* Offsets; the stack that this runs on may be small. */
struct places {
    uint64_t times, processes, connections, endpoints, closed, end;
};

static struct places place_sections(const struct af_ledger_room *room) {
    struct places to = { .end = AF_TIMES_AT };
    _Static_assert(AF_TIMES_AT + sizeof(struct af_histogram) <= AF_WINDOW, "both are always mapped");
    to.times = section(&to.end, room, 1, sizeof(struct af_histogram));
    to.processes = section(&to.end, room, room->processes, sizeof(struct af_process));
    to.connections = section(&to.end, room, room->connections, sizeof(struct af_connection));
    to.endpoints = section(&to.end, room, room->endpoints, sizeof(struct af_endpoint));
    to.closed = section(&to.end, room, room->closed, sizeof(struct af_closed));
    return to;
}

uint32_t af_ledger_ring(uint64_t tw_buckets) {
    uint32_t ring = AF_MIN_CLOSED;
    while (ring < tw_buckets && ring < AF_MAX_CLOSED)
        ring *= 2;
    return ring;
}

size_t af_ledger_size(const struct af_ledger_room *room) {
    return place_sections(room).end;
}

void af_ledger_layout(struct af_ledger *ledger, const struct af_ledger_room *room) {
    const struct places places = place_sections(room);
    ledger->version = AF_LEDGER_VERSION;
    ledger->header_size = sizeof *ledger;
    ledger->size = places.end;
    ledger->connect_times_at = places.times;
    ledger->processes_at = places.processes;
    ledger->connections_at = places.connections;
    ledger->endpoints_at = places.endpoints;
    ledger->closed_at = places.closed;
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

static void place(struct af_section *section, uint64_t at, uint32_t size, uint32_t max) {
    section->at = at;
    section->size = size;
    section->max = max;
    section->first = (uint32_t)(AF_WINDOW / size);
}

void af_ledger_place(struct af_ledger_map *map, const struct af_ledger_room *room) {
    const struct places places = place_sections(room);
    place(&map->section[AF_PROCESSES], places.processes, sizeof(struct af_process), room->processes);
    place(&map->section[AF_CONNECTIONS], places.connections, sizeof(struct af_connection), room->connections);
    place(&map->section[AF_ENDPOINTS], places.endpoints, sizeof(struct af_endpoint), room->endpoints);
    place(&map->section[AF_CLOSED], places.closed, sizeof(struct af_closed), room->closed);
}

void af_ledger_place_whole(struct af_ledger_map *map, struct af_ledger *ledger, const struct af_ledger_room *room) {
    af_ledger_place(map, room);
    map->header = ledger;
    map->times = (struct af_histogram *)((char *)ledger + AF_TIMES_AT);
    for (int i = 0; i < AF_SECTIONS; i++) {
        map->section[i].first = map->section[i].max;
        map->section[i].window = (uintptr_t)ledger + map->section[i].at;
    }
}

/* How often an exchange is tried that others can make fail: honest ones do so a few times. */
enum { TRIES = 1000 };

/* Take the next number below limit. */
static uint32_t take_number(_Atomic uint32_t *next, uint32_t limit) {
    uint32_t n = atomic_load(next);
    for (int i = 0; i < TRIES && n < limit; i++)
        if (atomic_compare_exchange_weak(next, &n, n + 1))
            return n;
    return AF_NO_SLOT;
}

/* The last slot is for all processes that come when the others are taken: a server that forks for ever. */
static uint32_t take_slot(struct af_ledger_map *map) {
    const uint32_t last = map->section[AF_PROCESSES].max - 1;
    uint32_t n = atomic_load(&map->header->n_processes);
    if (n < last && (!map->reach(map, AF_PROCESSES, n) || !map->reach(map, AF_PROCESSES, n + 1)))
        return AF_NO_SLOT;
    uint32_t slot = take_number(&map->header->n_processes, last);
    if (slot == AF_NO_SLOT)
        slot = last;
    return map->reach(map, AF_PROCESSES, slot) ? slot : AF_NO_SLOT;
}

uint32_t af_ledger_claim_process(struct af_ledger_map *map, bool *shared) {
    uint32_t slot = take_slot(map);
    *shared = slot == map->section[AF_PROCESSES].max - 1;
    if (slot == AF_NO_SLOT)
        return slot;
    struct af_process *process = af_ledger_process(map, slot);
    uint32_t state = 0;
    af_ledger_prepare_process(process);
    if (!atomic_compare_exchange_strong(&process->used, &state, 1))
        atomic_fetch_add(&process->sharers, 1);
    if (*shared)
        atomic_store(&map->header->n_processes, map->section[AF_PROCESSES].max);
    return slot;
}

void af_ledger_prepare_process(struct af_process *process) {
    for (uint32_t call = 0; call < AF_CALLS; call++)
        atomic_store_explicit(&process->errors[call].key, (call + 1) << 16, memory_order_relaxed);
}

/* The list of free blocks is a stack; its head carries a change count in the upper half, so that a pop which slept
 * while others popped and pushed the same block back fails its exchange. What such a one reads of a record that
 * is not free any more is of no use to it, but it does read it. */
static bool reach_block(struct af_ledger_map *map, uint32_t first) {
    return map->reach(map, AF_CONNECTIONS, first) && map->reach(map, AF_CONNECTIONS, first + AF_BLOCK - 1);
}

static uint32_t pop_free(struct af_ledger_map *map) {
    uint64_t head = atomic_load(&map->header->free_head);
    for (int i = 0; i < TRIES; i++) {
        const uint32_t first = (uint32_t)head - 1;
        if (first % AF_BLOCK != 0 || first >= map->section[AF_CONNECTIONS].max || !reach_block(map, first))
            return AF_NO_SLOT;
        const uint64_t rest = ((head >> 32) + 1) << 32 |
                              atomic_load_explicit(&af_ledger_connection(map, first)->next_free, memory_order_relaxed);
        if (atomic_compare_exchange_weak(&map->header->free_head, &head, rest))
            return first;
    }
    return AF_NO_SLOT;
}

/* Where there is no room no number is taken: it is tried again at each socket. */
static uint32_t take_fresh(struct af_ledger_map *map) {
    uint32_t n = atomic_load(&map->header->n_connections);
    for (int i = 0; i < TRIES && n % AF_BLOCK == 0 && n + AF_BLOCK <= map->section[AF_CONNECTIONS].max; i++)
        if (!reach_block(map, n))
            return AF_NO_SLOT;
        else if (atomic_compare_exchange_weak(&map->header->n_connections, &n, n + AF_BLOCK))
            return n;
    return AF_NO_SLOT;
}

uint32_t af_ledger_take_block(struct af_ledger_map *map) {
    const uint32_t first = pop_free(map);
    return first == AF_NO_SLOT ? take_fresh(map) : first;
}

/* Given up, it is a block lost. */
void af_ledger_return_block(struct af_ledger_map *map, uint32_t first) {
    struct af_connection *conn = af_ledger_connection(map, first);
    uint64_t head = atomic_load(&map->header->free_head);
    for (int i = 0; i < TRIES; i++) {
        atomic_store_explicit(&conn->next_free, (uint32_t)head, memory_order_relaxed);
        if (atomic_compare_exchange_weak(&map->header->free_head, &head, ((head >> 32) + 1) << 32 | (first + 1)))
            return;
    }
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
static void fill_endpoint(struct af_ledger_map *map, struct af_endpoint *e, uint32_t index, uint32_t slot,
                          const struct af_addr *addr, bool accepted) {
    struct af_process *process = af_ledger_process(map, slot);
    e->slot = slot;
    e->addr = *addr;
    e->accepted = accepted;
    uint32_t first = atomic_load(&process->endpoints);
    for (int i = 0; i < TRIES; i++) {
        e->next = first;
        if (atomic_compare_exchange_weak(&process->endpoints, &first, index + 1))
            break;
    }
    atomic_store_explicit(&e->ready, 1, memory_order_release);
}

/* The table grows with what is in it: the first FIRST records are one hash table; those up to twice as many the next,
 * for what has found no room in it; and so on. Nothing ever leaves a table, so what is not in one before a free record is
 * in none of those after it. */
enum { FIRST = 256, STEPS = 16 };

bool af_ledger_count_endpoint(struct af_ledger_map *map, uint32_t slot, const struct af_addr *addr, bool accepted,
                              int change) {
    struct af_endpoint *again = atomic_load_explicit(&map->last_endpoint, memory_order_acquire);
    if (again && same_endpoint(again, slot, addr, accepted)) {
        atomic_fetch_add_explicit(&again->count, (uint32_t)change, memory_order_relaxed);
        return true;
    }
    const uint32_t hash = endpoint_hash(slot, addr, accepted), max = map->section[AF_ENDPOINTS].max;
    uint32_t from = 0, size = max < FIRST ? max : FIRST;
    for (; size && from + size <= max; from += size, size = from)
        for (uint32_t step = 0; step < STEPS && step < size; step++) {
            const uint32_t index = from + ((hash + step) & (size - 1));
            if (!map->reach(map, AF_ENDPOINTS, index))
                return false;
            struct af_endpoint *e = af_section_record(map, AF_ENDPOINTS, index);
            uint32_t key = atomic_load_explicit(&e->key, memory_order_relaxed);
            if (!key && atomic_compare_exchange_strong(&e->key, &key, hash))
                fill_endpoint(map, e, index, slot, addr, accepted);
            else if (key != hash || !atomic_load_explicit(&e->ready, memory_order_acquire) ||
                     !same_endpoint(e, slot, addr, accepted))
                continue;
            atomic_fetch_add_explicit(&e->count, (uint32_t)change, memory_order_relaxed);
            atomic_store_explicit(&map->last_endpoint, e, memory_order_release);
            return true;
        }
    return false;
}

size_t af_ledger_top_endpoints(struct af_ledger_map *map, uint32_t slot, struct af_endpoint *out, size_t room) {
    size_t n = 0;
    uint32_t next = atomic_load(&af_ledger_process(map, slot)->endpoints);
    for (uint32_t steps = 0; next && steps < map->section[AF_ENDPOINTS].max; steps++) {
        if (next > map->section[AF_ENDPOINTS].max || !map->reach(map, AF_ENDPOINTS, next - 1))
            break;
        const struct af_endpoint *e = af_section_record(map, AF_ENDPOINTS, next - 1);
        const struct af_endpoint now = {
            .slot = slot, .count = atomic_load(&e->count), .addr = e->addr, .accepted = e->accepted
        };
        size_t at = n < room ? n++ : room;
        for (; at > 0 && out[at - 1].count < now.count; at--)
            if (at < room)
                out[at] = out[at - 1];
        if (at < room)
            out[at] = now;
        next = e->next;
    }
    return n;
}

struct af_closed *af_ledger_reach_closed(struct af_ledger_map *map, uint32_t index) {
    enum { IN_WINDOW = AF_WINDOW / sizeof(struct af_closed) };
    if (!map->reach(map, AF_CLOSED, index))
        return NULL;
    struct af_closed *at = af_section_record(map, AF_CLOSED, index);
    atomic_store_explicit(&map->last_closed, (uintptr_t)(at - index % IN_WINDOW), memory_order_relaxed);
    return at;
}

uint64_t af_ledger_append(struct af_ledger_map *map, const struct af_closed *closed) {
    uint64_t serial;
    struct af_closed *to = af_ledger_begin_closed(map, &serial);
    if (!to)
        return 0;
    to->cookie = closed->cookie;
    to->at = closed->at;
    to->slot = closed->slot;
    to->owner = closed->owner;
    to->peer = closed->peer;
    to->local_port = closed->local_port;
    to->counted = closed->counted;
    to->use = closed->use;
    to->flags = closed->flags;
    to->record = closed->record;
    af_ledger_end_closed(to, serial);
    return serial;
}

void af_ledger_strike(struct af_ledger_map *map, uint64_t serial) {
    struct af_closed *closed = serial ? af_ledger_closed_at(map, serial - 1) : NULL;
    if (closed && atomic_load(&closed->serial) == serial)
        closed->counted = AF_END_NONE;
}

void af_ledger_raise_max_time(struct af_histogram *times, uint64_t ns) {
    uint64_t max = atomic_load_explicit(&times->max, memory_order_relaxed);
    for (int i = 0; i < TRIES && ns > max; i++)
        if (atomic_compare_exchange_weak_explicit(&times->max, &max, ns, memory_order_relaxed, memory_order_relaxed))
            break;
}

uint64_t af_ledger_open(const uint64_t count[AF_COUNTERS]) {
    return count[AF_COUNT_established] - count[AF_COUNT_time_wait] - count[AF_COUNT_avoided] - count[AF_COUNT_passive] -
           count[AF_COUNT_aborted] - count[AF_COUNT_passed];
}
