/* Which descriptor is which connection, across dup and vfork.
 *
 * The table and the records are this process's own memory, so that a forked child inherits them together with the
 * descriptors that they describe, and nobody else can change what we do to a socket. */
#include "shim/shim.h"

af_slot af_low[AF_LOW];
_Atomic(_Atomic(af_slot *) *) af_high[AF_TOP];
static _Atomic int table_end; /* no entry at or above this descriptor */

static AF_WITH_STATE struct af_pool pool;

/* The first of them lie beside the ledger's map, which is there. */
static void *more_records(size_t size) {
    static _Atomic bool taken;
    if (size > AF_FIRST_RECORDS * AF_RECORD)
        return af_private_huge();
    return atomic_exchange(&taken, true) ? af_private(size) : af_first_records();
}

/* ---- the table ------------------------------------------------------------------------------------------ */

/* What is known at fd; NULL: nothing ever was. */
static inline af_slot *slot_of(int fd) {
    if (AF_LIKELY((unsigned)fd < AF_LOW))
        return &af_low[fd];
    af_slot *leaf = fd >= 0 ? af_leaf_of((unsigned)fd) : NULL;
    return leaf ? &leaf[fd & (AF_LEAF - 1)] : NULL;
}

/* Two threads may both make one: the second's is never used. */
#define MADE(at, size) \
    ({ \
        __auto_type have_ = atomic_load(at); \
        if (!have_) { \
            void *made_ = af_private(size); \
            if (made_ && atomic_compare_exchange_strong(at, &have_, made_)) \
                have_ = made_; \
        } \
        have_; \
    })

/* The same with the memory under it. */
static inline af_slot *make_slot(int fd) {
    int end = atomic_load_explicit(&table_end, memory_order_relaxed);
    while (end <= fd && !atomic_compare_exchange_weak(&table_end, &end, fd + 1))
        ;
    if (AF_LIKELY(fd < AF_LOW))
        return &af_low[fd];
    _Atomic(af_slot *) *middle = MADE(&af_high[(unsigned)fd >> 2 * AF_LEAF_BITS], AF_LEAF * sizeof *middle);
    af_slot *leaf = middle ? MADE(&middle[(unsigned)fd >> AF_LEAF_BITS & (AF_LEAF - 1)], AF_LEAF * sizeof *leaf) : NULL;
    return leaf ? &leaf[fd & (AF_LEAF - 1)] : NULL;
}

struct af_socket *af_lookup_high(int fd) {
    const af_slot *at = slot_of(fd);
    return at ? atomic_load_explicit(at, memory_order_acquire) : NULL;
}

struct af_socket *af_lookup_after_fork(int fd) {
    af_adopt_fork_child();
    return af_lookup(fd);
}

void af_each(unsigned first, unsigned last, void (*visit)(int, struct af_socket *, void *), void *context) {
    unsigned end = (unsigned)atomic_load(&table_end);
    for (unsigned fd = first; fd < end && fd <= last; fd++) {
        if (fd >= AF_LOW && !af_leaf_of(fd)) {
            fd |= AF_LEAF - 1;
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

/* The records of a block have places side by side in the ledger; whoever comes first finds them. */
static void find_place(struct af_socket *conn) {
    struct af_socket *first = af_pool_block(conn);
    uint32_t place = atomic_load(&first->place);
    if (!place) {
        uint32_t taken = af_ledger_take_block(af.ledger);
        if (taken == AF_NO_SLOT)
            return;
        if (atomic_compare_exchange_strong(&first->place, &place, taken + 1))
            place = taken + 1;
        else
            af_ledger_return_block(af.ledger, taken);
    }
    conn->shown = true; /* by whoever had the place before */
    atomic_store(&conn->place, place + (uint32_t)(conn - first));
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

/* Without a place in the ledger it is treated and counted all the same; only readers and relatives do not see it. */
static struct af_socket *claim_another(struct af_socket *conn) {
    if (!conn)
        conn = af_pool_pop(&pool, &pool.free);
    if (!conn)
        conn = reclaim();
    if (!conn)
        conn = af_pool_fresh(&pool, more_records);
    if (conn && !atomic_load_explicit(&conn->place, memory_order_relaxed))
        find_place(conn);
    return conn;
}

/* What a use leaves behind that was like most. Nobody else has the record yet, so that it is filled in without ceremony. Of
 * a peer the port says whether there is one. */
static inline __attribute__((always_inline)) void fill(struct af_socket *conn, bool v6, uint32_t flags) {
    atomic_store_explicit(&conn->own, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->cookie, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->owner, atomic_load_explicit(&af.slot, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&conn->flags, flags, memory_order_relaxed);
    conn->local_port = 0;
    conn->family_v6 = v6;
    conn->peer.port = 0;
    conn->images = atomic_load_explicit(&af_forks.images, memory_order_relaxed);
    atomic_store_explicit(&conn->state, AF_CONN_NEW, memory_order_release);
}

/* All of it. */
static void fill_anew(struct af_socket *conn, bool v6, uint32_t flags) {
    if (conn->detailed) {
        *af_details(conn) = (struct af_details){ 0 };
        conn->detailed = 0;
    }
    conn->uncertain = 0;
    conn->revocable = conn->passes = conn->joined = 0;
    conn->ending = AF_END_NONE;
    atomic_store_explicit(&conn->waits, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->refs, 1, memory_order_relaxed);
    fill(conn, v6, flags);
    af_begin_hold(conn);
}

/* A handler may have forked, and come back in the child: what it finds in its hand is its parent's. */
static struct af_socket *own_record(struct af_socket *spare) {
    for (;;) {
        const uint32_t generation = af_generation();
        struct af_socket *conn = spare;
        spare = NULL;
        if (!conn || !atomic_load_explicit(&conn->place, memory_order_relaxed))
            conn = claim_another(conn);
        if (AF_LIKELY(generation == af_generation()))
            return conn;
    }
}

static struct af_socket *record_otherwise(int fd, struct af_socket *conn, bool v6, uint32_t flags) {
    if (!af_is_same_process())
        af_adopt_fork_child();
    if (af.counting && af.slot == AF_NO_SLOT)
        af_self(); /* it is to be its owner; where there is no room for counts, it is treated */
    if (!conn && make_slot(fd))
        conn = af_pool_spare(&pool);
    else if (!conn)
        return af_count_lost(), NULL;
    conn = own_record(conn);
    if (conn)
        fill_anew(conn, v6, flags);
    else
        af_count_lost();
    return conn;
}

struct af_socket *af_record(int fd, bool v6, uint32_t flags) {
    return af_ready() ? record_otherwise(fd, NULL, v6, flags) : NULL;
}

/* One descriptor of it has left the table. True: it was the last one here; *last: and anywhere. A parent's record of it, which
 * nobody else is to use here, is not written to: that would be a page to copy, and a child that ends has as many as its parent
 * had connections. */
static bool dropped(struct af_socket *conn, struct af_moment before, bool *last) {
    const bool is_parents = conn->generation != af_generation();
    if (!(is_parents && atomic_load(&conn->refs) == 1) && af_unref(conn) > 0) {
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

static inline void enter(af_slot *at, struct af_socket *conn, uint64_t sum) {
    struct af_socket *stale = atomic_exchange(at, conn);
    if (AF_UNLIKELY(stale != NULL))
        forget(stale, (struct af_moment){ sum, !atomic_load(&af_forks.on_the_way) });
    if (AF_UNLIKELY(atomic_load(&af_forks.on_the_way) || atomic_load(&af_forks.sum) != sum))
        af_check_forks(conn, sum);
}

void af_enter(int fd, struct af_socket *conn) {
    enter(slot_of(fd), conn, conn->base);
}

static __attribute__((noinline)) int track_otherwise(int fd, struct af_socket *spare, bool v6, uint32_t flags) {
    struct af_socket *conn = record_otherwise(fd, spare, v6, flags);
    if (conn)
        af_enter(fd, conn);
    return fd;
}

static __attribute__((noinline)) int count_and_track(int fd, bool v6, uint32_t flags) {
    af_add(AF_COUNT_sockets);
    return track_otherwise(fd, NULL, v6, flags);
}

static __attribute__((noinline)) int entered_otherwise(int fd, struct af_socket *conn, struct af_socket *stale,
                                                       uint64_t sum) {
    if (stale)
        forget(stale, (struct af_moment){ sum, !atomic_load(&af_forks.on_the_way) });
    af_check_forks(conn, sum);
    return fd;
}

/* The common case, without a call: a low number, a record at hand, and nothing left of its last use. Locked are two
 * instructions: threads may take the record at once, and who has closed the number unseen may have left something there. */
int af_track(int fd, bool v6, uint32_t flags) {
    struct af_process *self = af_self_now();
    if (AF_UNLIKELY(fd >= AF_LOW || fd >= atomic_load_explicit(&table_end, memory_order_relaxed)))
        return count_and_track(fd, v6, flags);
    if (AF_LIKELY(self != NULL))
        atomic_fetch_add_explicit(&self->count[AF_COUNT_sockets], 1, memory_order_relaxed);
    else if (AF_UNLIKELY(af.counting || !af_is_same_process()))
        return count_and_track(fd, v6, flags);
    struct af_socket *conn = af_pool_spare(&pool);
    if (AF_UNLIKELY(!conn || conn->shown || af_is_odd(AF_ODD_SHARED)))
        return track_otherwise(fd, conn, v6, flags);
    fill(conn, v6, flags);
    const uint64_t sum = conn->base; /* once it is entered it may be another's */
    struct af_socket *stale = atomic_exchange(&af_low[fd], conn);
    if (AF_UNLIKELY(stale || af_is_odd(AF_ODD_SHARED))) /* the first fork says so before it begins */
        return entered_otherwise(fd, conn, stale, sum);
    return fd;
}

/* A parent's record, in our copy of its memory, is not used again. */
void af_unpin_last(struct af_socket *conn, uint32_t pins) {
    if (conn->generation == af_generation())
        af_pool_unpin_last(&pool, conn, pins);
}

uint64_t af_ref(struct af_socket *conn) {
    const uint64_t sum = af_now_of_forks().sum;
    atomic_fetch_add(&conn->refs, 1);
    return sum;
}

/* A child that is born between af_ref and here has one descriptor more than it knows: hence the mark. */
void af_enter_or_unref(struct af_socket *conn, int fd, uint64_t sum) {
    af_slot *at = fd >= 0 ? make_slot(fd) : NULL;
    if (at) {
        enter(at, conn, sum);
    } else {
        atomic_fetch_sub(&conn->refs, 1);
        af_check_forks(conn, sum);
    }
}

struct af_socket *af_untrack_shared(int fd, bool *last) {
    const struct af_moment before = af_now_of_forks();
    struct af_socket *conn = atomic_exchange(slot_of(fd), NULL);
    return conn && dropped(conn, before, last) ? conn : NULL;
}

/* A fork has begun while it was taken out. */
bool af_was_last(struct af_socket *conn) {
    return af_let_go(conn, (struct af_moment){ 0, false });
}

void af_forget(int fd) {
    const struct af_moment before = af_now_of_forks();
    if (af_lookup(fd))
        forget(atomic_exchange(slot_of(fd), NULL), before);
}

void af_discard(struct af_socket *conn, bool last) {
    const bool joined = af_is_joined(conn), is_parents = conn->generation != af_generation();
    if (!is_parents || last)
        atomic_store_explicit(&conn->state, AF_CONN_FREE, memory_order_release);
    if (last && (conn->shown || af_ledger_is_file()))
        af_show_gone(conn);
    if (is_parents)
        return;
    atomic_store_explicit(&conn->waits, !last && !joined, memory_order_relaxed);
    conn->shown = true; /* so that it is filled in anew */
    af_pool_free(&pool, conn);
}

void af_discard_plainly(struct af_socket *conn) {
    struct af_socket *none = NULL;
    if (AF_UNLIKELY(conn->shown))
        return af_discard(conn, true);
    atomic_store_explicit(&conn->state, AF_CONN_FREE, memory_order_release);
    if (AF_UNLIKELY(atomic_load(&conn->pins) || atomic_load_explicit(&pool.spare, memory_order_relaxed) ||
                    !atomic_compare_exchange_strong(&pool.spare, &none, conn)))
        af_pool_free(&pool, conn);
}

/* A child cannot use its parent's records: they have their places in the ledger already. Its lists begin with change counts of
 * its own: what a handler has interrupted by its fork finds another list in the child, though both be empty. */
void af_forget_parents_pool(void) {
    const uint64_t changes = (uint64_t)af_generation() << 56;
    __builtin_memset(&pool, 0, sizeof pool);
    atomic_store(&pool.free, changes);
    atomic_store(&pool.waiting[0], changes);
    atomic_store(&pool.waiting[1], changes);
}

static bool is_unused(const struct af_socket *conn) {
    return atomic_load(&conn->state) == AF_CONN_FREE && (!conn->waits || af_is_hold_settled(conn));
}

void af_return_blocks(void) {
    const uint64_t fresh = atomic_load(&pool.fresh);
    for (uint32_t chunk = 0; chunk <= fresh >> 32 && chunk < AF_CHUNKS; chunk++) {
        struct af_socket *all = atomic_load(&pool.chunk[chunk]);
        const uint32_t n = chunk < fresh >> 32 ? af_pool_records(chunk) : (uint32_t)fresh;
        for (uint32_t i = 0; all && i < n; i += AF_BLOCK) {
            const uint32_t place = atomic_load(&all[i].place);
            bool unused = place != 0;
            for (uint32_t k = 0; k < AF_BLOCK && unused; k++)
                unused = is_unused(&all[i + k]);
            for (uint32_t k = 0; k < AF_BLOCK && unused; k++) { /* another thread may open one yet */
                all[i + k].shown = true;
                atomic_store(&all[i + k].place, 0);
            }
            if (unused)
                af_ledger_return_block(af.ledger, place - 1);
        }
    }
}
