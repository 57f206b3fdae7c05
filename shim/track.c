/* Which descriptor is which connection, across dup, fork and vfork.
 *
 * The table is this process's own memory, so that a forked child inherits it together with the descriptors
 * that it describes. What is known of a connection lives in the ledger, which parent and children share: its
 * count of references is the number of descriptors in all of them. */
#include "shim/shim.h"

#include <sys/mman.h>

enum { LEAF = 1 << 16 };

_Atomic(_Atomic uint32_t *) af_table[1 << 15];
_Atomic int af_table_end;

struct af_connection *af_connection_at(uint32_t index) {
    return af_ledger_connection(atomic_load_explicit(&af.ledger, memory_order_acquire), index);
}

struct af_connection *af_lookup_after_fork(int fd) {
    af_adopt_fork_child();
    return af_lookup(fd);
}

static uint32_t index_of(const struct af_connection *conn) {
    return (uint32_t)(conn - af_connection_at(0));
}

/* The table's entry for fd, with the memory under it. Two threads may both make a leaf: one of them wins. */
static _Atomic uint32_t *entry(int fd) {
    _Atomic(_Atomic uint32_t *) *top = &af_table[(unsigned)fd >> 16];
    _Atomic uint32_t *leaf = atomic_load(top);
    if (!leaf) {
        long made = AF_SYS6(SYS_mmap, 0, LEAF * sizeof *leaf, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (af_sys_failed(made))
            return NULL;
        if (atomic_compare_exchange_strong(top, &leaf, (_Atomic uint32_t *)made))
            leaf = (_Atomic uint32_t *)made;
        else
            AF_SYS2(SYS_munmap, made, LEAF * sizeof *leaf);
    }
    int end = atomic_load(&af_table_end);
    while (end <= fd && !atomic_compare_exchange_weak(&af_table_end, &end, fd + 1))
        ;
    return &leaf[fd & (LEAF - 1)];
}

/* What stood at this number before was closed by a way that no hook sees: its end is not known. */
static void enter(_Atomic uint32_t *at, const struct af_connection *conn) {
    uint32_t stale = atomic_exchange(at, index_of(conn) + 1) & AF_INDEX;
    if (stale && af_unref(af_connection_at(stale - 1)) <= 0)
        af_ledger_free_connection(af.ledger, stale - 1);
}

bool af_ready(void) {
    return af_ledger_get() != NULL;
}

void af_count_lost(void) {
    struct af_process *self = af_self();
    if (self)
        atomic_fetch_add(&self->lost, 1);
    if (af.own_counts)
        atomic_fetch_add(&af.own_counts->lost, 1);
}

struct af_connection *af_record(int fd, bool v6, uint32_t flags) {
    if (!af_ready())
        return NULL;
    if (!*af.fork_page)
        af_adopt_fork_child();
    struct af_process *self = af_self();
    _Atomic uint32_t *at = entry(fd);
    uint32_t index = at && self ? af_ledger_claim_connection(af.ledger, af_ledger_backed) : AF_NO_SLOT;
    if (index == AF_NO_SLOT) {
        af_count_lost();
        return NULL;
    }
    struct af_connection *conn = af_connection_at(index);
    atomic_store_explicit(&conn->owner, af.slot, memory_order_relaxed);
    conn->family_v6 = v6;
    atomic_store_explicit(&conn->flags, flags, memory_order_relaxed);
    atomic_store_explicit(&conn->holder, af.slot, memory_order_relaxed);
    atomic_store_explicit(&conn->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&conn->state, AF_CONN_NEW, memory_order_release);
    return conn;
}

void af_enter(int fd, struct af_connection *conn) {
    enter(entry(fd), conn);
}

/* The pin comes before the look: whoever has taken fd out of the table before it sees the pin when it frees. */
uint32_t af_pin(int fd, struct af_connection *conn, uint32_t generation) {
    const uint32_t now = af_ledger_pin(conn);
    _Atomic uint32_t *leaf = atomic_load_explicit(&af_table[(unsigned)fd >> 16], memory_order_acquire);
    if (leaf && (atomic_load(&leaf[fd & (LEAF - 1)]) & AF_INDEX) == index_of(conn) + 1 &&
        (!generation || generation == now))
        return now;
    af_unpin(conn);
    return 0;
}

void af_unpin(struct af_connection *conn) {
    af_ledger_unpin(atomic_load_explicit(&af.ledger, memory_order_relaxed), conn);
}

void af_ref(struct af_connection *conn) {
    atomic_fetch_add(&conn->refs, 1);
}

void af_enter_or_unref(struct af_connection *conn, int fd) {
    _Atomic uint32_t *at = fd >= 0 ? entry(fd) : NULL;
    if (at)
        enter(at, conn);
    else
        atomic_fetch_sub(&conn->refs, 1);
}

struct af_connection *af_untrack(int fd) {
    if (!af_lookup(fd))
        return NULL;
    uint32_t index = atomic_exchange(entry(fd), 0) & AF_INDEX;
    return index ? af_connection_at(index - 1) : NULL;
}

void af_forget(int fd) {
    struct af_connection *conn = af_untrack(fd);
    if (conn && af_unref(conn) <= 0)
        af_ledger_free_connection(af.ledger, index_of(conn));
}

int32_t af_unref(struct af_connection *conn) {
    return atomic_fetch_sub(&conn->refs, 1) - 1;
}

void af_each(unsigned first, unsigned last, void (*visit)(int, struct af_connection *, void *), void *context) {
    unsigned end = (unsigned)atomic_load(&af_table_end);
    for (unsigned fd = first; fd < end && fd <= last; fd++) {
        if (!atomic_load(&af_table[fd >> 16])) {
            fd |= LEAF - 1;
            continue;
        }
        struct af_connection *conn = af_lookup((int)fd);
        if (conn)
            visit((int)fd, conn, context);
    }
}

/* ---- fork -------------------------------------------------------------------------------------------------
 *
 * References are taken before there is a child: it may be the parent who closes next. Other threads open and
 * close meanwhile, and nothing can stop them; so each entry says for which fork it was taken. The kernel copies
 * the descriptors before the memory: an entry that bears the child's own ticket stands for a descriptor that the
 * child has. One that does not is not the child's to count, and leaves its table. */

static void each_entry(void (*visit)(int fd, _Atomic uint32_t *at, uint32_t ticket), uint32_t ticket) {
    int end = atomic_load(&af_table_end);
    for (int fd = 0; fd < end; fd++) {
        _Atomic uint32_t *leaf = atomic_load(&af_table[(unsigned)fd >> 16]);
        if (!leaf)
            fd |= LEAF - 1;
        else if (atomic_load_explicit(&leaf[fd & (LEAF - 1)], memory_order_relaxed))
            visit(fd, &leaf[fd & (LEAF - 1)], ticket);
    }
}

static bool share_if_held(struct af_connection *conn) {
    int32_t refs = atomic_load(&conn->refs);
    while (refs > 0 && !atomic_compare_exchange_weak(&conn->refs, &refs, refs + 1))
        ;
    return refs > 0;
}

/* Two forks at once: what bears the other's ticket already is left to that child alone. */
static void give_ticket(int fd, _Atomic uint32_t *at, uint32_t ticket) {
    uint32_t old = atomic_load(at);
    struct af_connection *conn = old && old <= AF_INDEX ? af_connection_at(old - 1) : NULL;
    if (!conn || !share_if_held(conn))
        return;
    af_set(conn, AF_FLAG_SHARED);
    if (atomic_compare_exchange_strong(at, &old, old | ticket) || af_unref(conn) > 0)
        return;
    af_settle(fd, conn); /* closed in between, and we had the last reference */
    af_ledger_free_connection(af.ledger, index_of(conn));
}

static void take_ticket(int fd, _Atomic uint32_t *at, uint32_t ticket) {
    (void)fd;
    uint32_t old = atomic_load(at);
    while ((old & ~(uint32_t)AF_INDEX) == ticket && !atomic_compare_exchange_weak(at, &old, old & AF_INDEX))
        ;
}

static void take_ticket_and_reference(int fd, _Atomic uint32_t *at, uint32_t ticket) {
    const uint32_t old = atomic_load(at);
    take_ticket(fd, at, ticket);
    if ((old & ~(uint32_t)AF_INDEX) == ticket)
        af_unref(af_connection_at((old & AF_INDEX) - 1));
}

static void keep_if_ticketed(int fd, _Atomic uint32_t *at, uint32_t ticket) {
    (void)fd;
    uint32_t old = atomic_load(at);
    bool ours = ticket && (old & ~(uint32_t)AF_INDEX) == ticket;
    atomic_store(at, ours ? old & AF_INDEX : 0);
}

uint32_t af_fork_prepare(void) {
    static _Atomic uint32_t serial;
    uint32_t ticket = atomic_fetch_add(&serial, 1) % ((1u << (32 - AF_INDEX_BITS)) - 1) + 1;
    each_entry(give_ticket, ticket << AF_INDEX_BITS);
    return ticket << AF_INDEX_BITS;
}

void af_fork_parent(uint32_t ticket, bool failed) {
    each_entry(failed ? take_ticket_and_reference : take_ticket, ticket);
}

void af_fork_child(uint32_t ticket) {
    each_entry(keep_if_ticketed, ticket);
}

pid_t af_pid(void) {
    return (pid_t)AF_SYS0(SYS_getpid);
}

/* Now, in the unit and on the clock of field 22 of /proc/PID/stat (clock ticks as the kernel shows them: 1/100 s
 * everywhere). We began before; whoever gets our pid later begins later. */
static uint64_t ticks(void) {
    struct timespec now;
    if (af_real.clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 100 + (uint64_t)now.tv_nsec / 10000000;
}

/* What this process alone has counted, while it shares its slot: for its log line. */
static struct af_process own_counts;

static void share_slot(const struct af_process *self) {
    __builtin_memset(&own_counts, 0, sizeof own_counts);
    af_ledger_prepare_process(&own_counts);
    own_counts.pid = self->pid;
    own_counts.ppid = self->ppid;
    own_counts.started = self->started;
    af.own_counts = &own_counts;
}

/* Of two threads that come here at once the second leaves its record unused. */
static void claim(struct af_ledger *ledger) {
    bool shared;
    if (af_sealed) /* a child that was forked behind a seccomp filter: it cannot ask for its own pid */
        return;
    uint32_t none = AF_NO_SLOT, slot = af_ledger_claim_process(ledger, &shared, af_ledger_backed);
    if (slot == AF_NO_SLOT)
        return;
    struct af_process *self = af_ledger_process(ledger, slot);
    self->pid = af.pid;
    self->ppid = (int32_t)AF_SYS0(SYS_getppid);
    self->started = af.started;
    self->start_ticks = ticks();
    atomic_store(&self->ended, AF_RUNNING);
    bool first = atomic_compare_exchange_strong(&af.slot, &none, slot);
    if (first || shared)
        atomic_store(&self->used, 2);
    else
        atomic_store(&self->used, 0);
    if (first && shared)
        share_slot(self);
}

struct af_process *af_self(void) {
    struct af_ledger *ledger = atomic_load(&af.ledger);
    if (!ledger)
        return NULL;
    if (AF_UNLIKELY(!*af.fork_page))
        af_adopt_fork_child();
    if (AF_UNLIKELY(af.slot == AF_NO_SLOT))
        claim(ledger);
    return af.slot == AF_NO_SLOT ? NULL : af_ledger_process(ledger, af.slot);
}

void af_change(uint32_t slot, enum af_counter counter, int by) {
    const uint64_t add = (uint64_t)(int64_t)by;
    atomic_fetch_add_explicit(&af_ledger_process(af.ledger, slot)->count[counter], add, memory_order_relaxed);
    if (AF_UNLIKELY(af.own_counts != NULL) && slot == af.slot)
        atomic_fetch_add_explicit(&af.own_counts->count[counter], add, memory_order_relaxed);
}

void af_add(enum af_counter counter) {
    if (af_self())
        af_change(af.slot, counter, 1);
}

void af_add_error(enum af_call call, int error) {
    struct af_process *self = af_self();
    if (self)
        af_ledger_count_error(self, call, error);
    if (self && af.own_counts)
        af_ledger_count_error(af.own_counts, call, error);
}
