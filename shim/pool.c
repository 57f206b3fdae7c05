/* See pool.h. */
#include "shim/pool.h"

/* Where the mask is, a record's number in its chunk; above it, the chunk's. */
enum { OFFSET_BITS = 24, OFFSET = (1 << OFFSET_BITS) - 1 };

uint32_t af_pool_records(uint32_t chunk) {
    enum { OTHERS = (AF_HUGE - AF_HUGE_REST) / AF_RECORD / AF_BLOCK * AF_BLOCK };
    _Static_assert(AF_FIRST_RECORDS + (AF_CHUNKS - 1) * OTHERS >= AF_MAX_CONNECTIONS, "each has a record");
    return chunk ? OTHERS : AF_FIRST_RECORDS;
}

/* NULL, or another record than was there: a handler has forked, and we are in the child, whose pool is another. */
static struct af_socket *at(struct af_pool *pool, uint32_t handle) {
    struct af_socket *chunk = atomic_load_explicit(&pool->chunk[handle >> OFFSET_BITS], memory_order_acquire);
    return chunk ? chunk + (handle & OFFSET) : NULL;
}

/* Two threads may both make one: the second's is never used. */
static bool make_chunk(struct af_pool *pool, uint32_t chunk, af_more *more) {
    struct af_socket *none = NULL;
    if (atomic_load(&pool->chunk[chunk]))
        return true;
    void *memory = more(chunk ? AF_HUGE - AF_HUGE_REST : AF_FIRST_RECORDS * AF_RECORD);
    if (memory)
        atomic_compare_exchange_strong(&pool->chunk[chunk], &none, (struct af_socket *)memory);
    return memory != NULL;
}

struct af_socket *af_pool_fresh(struct af_pool *pool, af_more *more) {
    uint64_t fresh = atomic_load(&pool->fresh);
    for (;;) {
        const uint32_t chunk = (uint32_t)(fresh >> 32), offset = (uint32_t)fresh;
        if (chunk >= AF_CHUNKS || !make_chunk(pool, chunk, more))
            return NULL;
        const bool last = offset + 1 == af_pool_records(chunk);
        struct af_socket *socket = at(pool, chunk << OFFSET_BITS | offset);
        if (!socket) {
            fresh = atomic_load(&pool->fresh);
            continue;
        }
        if (!atomic_compare_exchange_weak(&pool->fresh, &fresh, last ? (uint64_t)(chunk + 1) << 32 : fresh + 1))
            continue;
        socket->handle = chunk << OFFSET_BITS | offset;
        return socket;
    }
}

/* The head carries a change count in its upper half, so that a pop which slept while others popped and pushed the same
 * record back fails its exchange. */
struct af_socket *af_pool_pop(struct af_pool *pool, _Atomic uint64_t *list) {
    uint64_t head = atomic_load(list);
    while ((uint32_t)head) {
        struct af_socket *socket = at(pool, (uint32_t)head - 1);
        if (!socket)
            return NULL;
        const uint64_t rest = ((head >> 32) + 1) << 32 | atomic_load_explicit(&socket->next, memory_order_relaxed);
        if (atomic_compare_exchange_weak(list, &head, rest))
            return socket;
    }
    return NULL;
}

void af_pool_push(struct af_pool *pool, _Atomic uint64_t *list, struct af_socket *socket) {
    uint64_t head = atomic_load(list);
    do {
        if (at(pool, socket->handle) != socket)
            return;
        atomic_store_explicit(&socket->next, (uint32_t)head, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak(list, &head, ((head >> 32) + 1) << 32 | (socket->handle + 1)));
}

struct af_socket *af_pool_block(struct af_socket *socket) {
    return socket - (socket->handle & OFFSET) % AF_BLOCK;
}

/* They lie behind the records of its chunk: memory that is not touched is none. */
struct af_details *af_details(struct af_socket *socket) {
    const uint32_t offset = socket->handle & OFFSET;
    atomic_store_explicit(&socket->detailed, 1, memory_order_release);
    if (!socket->shown)
        socket->shown = true;
    return (struct af_details *)(void *)(socket - offset + af_pool_records(socket->handle >> OFFSET_BITS)) + offset;
}

/* ---- pins ----------------------------------------------------------------------------------------------- */

void af_pool_pin(struct af_socket *socket) {
    atomic_fetch_add(&socket->pins, 1);
}

static void push(struct af_pool *pool, struct af_socket *socket) {
    const uint32_t looks_in = atomic_load_explicit(&pool->looks_in, memory_order_relaxed);
    struct af_socket *none = NULL;
    if (!socket->waits && !atomic_load_explicit(&pool->spare, memory_order_relaxed) &&
        atomic_compare_exchange_strong(&pool->spare, &none, socket))
        return;
    af_pool_push(pool, socket->waits ? &pool->waiting[!looks_in] : &pool->free, socket);
}

/* Of all who find it free and without a pin, one pushes it. */
static bool takes_freed(struct af_socket *socket, uint32_t pins) {
    while (pins == AF_FREED)
        if (atomic_compare_exchange_weak(&socket->pins, &pins, 0))
            return true;
    return false;
}

void af_pool_free(struct af_pool *pool, struct af_socket *socket) {
    if (atomic_load(&socket->pins) == 0 || takes_freed(socket, atomic_fetch_or(&socket->pins, AF_FREED) | AF_FREED))
        push(pool, socket);
}

void af_pool_unpin_last(struct af_pool *pool, struct af_socket *socket, uint32_t pins) {
    if (takes_freed(socket, pins))
        push(pool, socket);
}

void af_pool_unpin(struct af_pool *pool, struct af_socket *socket) {
    af_pool_unpin_last(pool, socket, atomic_fetch_sub(&socket->pins, 1) - 1);
}
