/* Which descriptor is which connection, across dup and vfork.
 *
 * The table and the records are this process's own memory, so that a forked child inherits them together with the
 * descriptors that they describe, and nobody else can change what we do to a socket. */
#include "shim/shim.h"

#include <sys/mman.h>

/* Above AF_LOW: [fd >> 20][fd >> 10 & 1023][fd & 1023]. */
enum { LEAF_BITS = 10, LEAF = 1 << LEAF_BITS, TOP = 1 << (31 - 2 * LEAF_BITS) };
typedef struct af_socket *_Atomic slot;

slot af_low[AF_LOW];
static _Atomic(_Atomic(slot *) *) top[TOP];
static _Atomic int table_end; /* no entry at or above this descriptor */

static struct af_pool pool;

static void *more(size_t size) {
    long made = AF_SYS6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (af_sys_failed(made))
        return NULL;
    AF_SYS3(SYS_madvise, made, size, MADV_DONTDUMP);
    return (void *)made;
}

/* ---- the table ------------------------------------------------------------------------------------------ */

static slot *leaf_of(unsigned fd) {
    _Atomic(slot *) *middle = atomic_load_explicit(&top[fd >> 2 * LEAF_BITS], memory_order_acquire);
    return middle ? atomic_load_explicit(&middle[fd >> LEAF_BITS & (LEAF - 1)], memory_order_acquire) : NULL;
}

/* What is known at fd; NULL: nothing ever was. */
static slot *slot_of(int fd) {
    if (AF_LIKELY((unsigned)fd < AF_LOW))
        return &af_low[fd];
    slot *leaf = fd >= 0 ? leaf_of((unsigned)fd) : NULL;
    return leaf ? &leaf[fd & (LEAF - 1)] : NULL;
}

/* Two threads may both make one: one of them wins. */
#define MADE(at, size) \
    ({ \
        __auto_type have_ = atomic_load(at); \
        if (!have_) { \
            void *made_ = more(size); \
            if (made_ && atomic_compare_exchange_strong(at, &have_, made_)) \
                have_ = made_; \
            else if (made_) \
                AF_SYS2(SYS_munmap, made_, size); \
        } \
        have_; \
    })

/* The same with the memory under it. */
static slot *make_slot(int fd) {
    int end = atomic_load_explicit(&table_end, memory_order_relaxed);
    while (end <= fd && !atomic_compare_exchange_weak(&table_end, &end, fd + 1))
        ;
    if (AF_LIKELY(fd < AF_LOW))
        return &af_low[fd];
    _Atomic(slot *) *middle = MADE(&top[(unsigned)fd >> 2 * LEAF_BITS], LEAF * sizeof *middle);
    slot *leaf = middle ? MADE(&middle[(unsigned)fd >> LEAF_BITS & (LEAF - 1)], LEAF * sizeof *leaf) : NULL;
    return leaf ? &leaf[fd & (LEAF - 1)] : NULL;
}

struct af_socket *af_lookup_high(int fd) {
    const slot *at = slot_of(fd);
    return at ? atomic_load_explicit(at, memory_order_acquire) : NULL;
}

struct af_socket *af_lookup_after_fork(int fd) {
    af_adopt_fork_child();
    return af_lookup(fd);
}

void af_each(unsigned first, unsigned last, void (*visit)(int, struct af_socket *, void *), void *context) {
    unsigned end = (unsigned)atomic_load(&table_end);
    for (unsigned fd = first; fd < end && fd <= last; fd++) {
        if (fd >= AF_LOW && !leaf_of(fd)) {
            fd |= LEAF - 1;
            continue;
        }
        struct af_socket *conn = af_lookup((int)fd);
        if (conn)
            visit((int)fd, conn, context);
    }
}

static void clear(int fd, struct af_socket *conn, void *context) {
    (void)conn, (void)context;
    atomic_store(slot_of(fd), NULL);
}

void af_forget_all(void) {
    af_each(0, ~0u, clear, NULL);
}

/* ---- records -------------------------------------------------------------------------------------------- */

bool af_ready(void) {
    return af_ledger_get() != NULL;
}

/* The records of a block have places side by side in the ledger; whoever comes first finds them. */
static bool find_place(struct af_socket *conn) {
    struct af_socket *first = af_pool_block(conn);
    uint32_t place = atomic_load(&first->place);
    if (!place) {
        uint32_t taken = af_ledger_take_block(af.ledger);
        if (taken == AF_NO_SLOT)
            return false;
        if (atomic_compare_exchange_strong(&first->place, &place, taken + 1))
            place = taken + 1;
        else
            af_ledger_return_block(af.ledger, taken);
    }
    atomic_store(&conn->place, place + (uint32_t)(conn - first));
    return true;
}

/* One that was let go of while others had it: they may have done so too by now. */
static struct af_socket *reclaim(void) {
    enum { TRIES = 4 };
    for (int i = 0; i < TRIES; i++) {
        const uint32_t looks_in = atomic_load(&pool.looks_in);
        struct af_socket *conn = af_pool_pop(&pool, &pool.waiting[looks_in]);
        if (!conn && !(conn = af_pool_pop(&pool, &pool.waiting[!looks_in])))
            return NULL;
        if (af_is_hold_settled(conn))
            return conn;
        af_pool_push(&pool, &pool.waiting[!looks_in], conn);
        if (!(uint32_t)atomic_load(&pool.waiting[looks_in]))
            atomic_store(&pool.looks_in, !looks_in);
    }
    return NULL;
}

/* A record that has found no place keeps its number, for whoever comes when there is one. */
static struct af_socket *claim_record(void) {
    struct af_socket *conn = af_pool_pop(&pool, &pool.free);
    if (!conn)
        conn = reclaim();
    if (!conn)
        conn = af_pool_fresh(&pool, more);
    if (!conn || atomic_load_explicit(&conn->place, memory_order_relaxed) || find_place(conn))
        return conn;
    af_pool_push(&pool, &pool.free, conn);
    return NULL;
}

struct af_socket *af_record(int fd, bool v6, uint32_t flags) {
    if (!af_ready())
        return NULL;
    if (AF_UNLIKELY(!*af.fork_page))
        af_adopt_fork_child();
    struct af_socket *conn = make_slot(fd) && (af_self() || !af.counting) ? claim_record() : NULL;
    if (!conn) {
        af_count_lost();
        return NULL;
    }
    af_pool_claimed(conn);
    __builtin_memset(conn, 0, offsetof(struct af_socket, base));
    conn->owner = af.slot;
    conn->family_v6 = v6;
    conn->flags = flags;
    conn->refs = 1;
    conn->state = AF_CONN_NEW;
    af_begin_hold(conn);
    af_show_new(conn);
    return conn;
}

/* One descriptor of it has left the table. True: it was the last one here; *last: and anywhere. */
static bool dropped(struct af_socket *conn, struct af_moment before, bool *last) {
    if (af_unref(conn) > 0) {
        af_check_forks(conn, before.sum);
        return false;
    }
    *last = af_let_go(conn, before);
    return true;
}

/* Closed by a way that no hook sees: by now the number is another's, and nothing can be asked of it. */
static void forget(struct af_socket *stale, struct af_moment before) {
    bool last;
    if (!stale || !dropped(stale, before, &last))
        return;
    if (last)
        af_settle_unseen(stale);
    af_discard(stale, last);
}

static void enter(slot *at, struct af_socket *conn, uint64_t sum) {
    const struct af_moment before = af_now_of_forks();
    struct af_socket *stale = atomic_exchange(at, conn);
    if (AF_UNLIKELY(stale != NULL))
        forget(stale, before);
    af_check_forks(conn, sum);
}

void af_enter(int fd, struct af_socket *conn) {
    enter(slot_of(fd), conn, conn->base);
}

/* The pin comes before the look: whoever has taken fd out of the table before it sees the pin when it frees. */
uint32_t af_pin(int fd, struct af_socket *conn, uint32_t generation) {
    const uint32_t now = af_pool_pin(conn);
    const slot *at = slot_of(fd);
    if (at && atomic_load(at) == conn && (!generation || generation == now))
        return now;
    af_unpin(conn);
    return 0;
}

/* A parent's record, in our copy of its memory, is not used again. */
void af_unpin(struct af_socket *conn) {
    if (AF_LIKELY(conn->generation == af_forks.generation))
        af_pool_unpin(&pool, conn);
}

uint64_t af_ref(struct af_socket *conn) {
    const uint64_t sum = af_now_of_forks().sum;
    atomic_fetch_add(&conn->refs, 1);
    return sum;
}

/* A child that is born between af_ref and here has one descriptor more than it knows: hence the mark. */
void af_enter_or_unref(struct af_socket *conn, int fd, uint64_t sum) {
    slot *at = fd >= 0 ? make_slot(fd) : NULL;
    if (at) {
        enter(at, conn, sum);
    } else {
        atomic_fetch_sub(&conn->refs, 1);
        af_check_forks(conn, sum);
    }
}

struct af_socket *af_untrack(int fd, bool *last) {
    const struct af_moment before = af_now_of_forks();
    struct af_socket *conn = af_lookup(fd) ? atomic_exchange(slot_of(fd), NULL) : NULL;
    return conn && dropped(conn, before, last) ? conn : NULL;
}

void af_forget(int fd) {
    const struct af_moment before = af_now_of_forks();
    if (af_lookup(fd))
        forget(atomic_exchange(slot_of(fd), NULL), before);
}

void af_discard(struct af_socket *conn, bool last) {
    const bool joined = af_is_joined(conn);
    atomic_store_explicit(&conn->state, AF_CONN_FREE, memory_order_release);
    if (last)
        af_show_gone(conn);
    if (conn->generation != af_forks.generation)
        return;
    conn->waits = !last && !joined;
    af_pool_free(&pool, conn);
}

/* A child cannot use its parent's records: they have their places in the ledger already. */
void af_forget_parents_pool(void) {
    __builtin_memset(&pool, 0, sizeof pool);
}

static bool is_unused(const struct af_socket *conn) {
    return atomic_load(&conn->state) == AF_CONN_FREE && (!conn->waits || af_is_hold_settled(conn));
}

void af_return_blocks(void) {
    const uint64_t fresh = atomic_load(&pool.fresh);
    for (uint32_t chunk = 0; chunk <= fresh >> 32 && chunk < AF_CHUNKS; chunk++) {
        struct af_socket *all = atomic_load(&pool.chunk[chunk]);
        const uint32_t n = chunk < fresh >> 32 ? (uint32_t)AF_BLOCK << chunk : (uint32_t)fresh;
        for (uint32_t i = 0; all && i < n; i += AF_BLOCK) {
            const uint32_t place = atomic_load(&all[i].place);
            bool unused = place != 0;
            for (uint32_t k = 0; k < AF_BLOCK && unused; k++)
                unused = is_unused(&all[i + k]);
            if (unused)
                af_ledger_return_block(af.ledger, place - 1);
        }
    }
}
