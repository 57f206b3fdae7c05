/* This process's record in the ledger, and what is counted there. */
#include "shim/shim.h"

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
static void claim(struct af_ledger_map *ledger) {
    bool shared;
    if (af_sealed) /* a child that was forked behind a seccomp filter: it cannot ask for its own pid */
        return;
    uint32_t none = AF_NO_SLOT, slot = af_ledger_claim_process(ledger, &shared);
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

struct af_process *af_claim_self(void) {
    struct af_ledger_map *ledger = atomic_load(&af.ledger);
    if (!ledger || !af.counting)
        return NULL;
    if (AF_UNLIKELY(!af_is_same_process()))
        af_adopt_fork_child();
    if (af.slot == AF_NO_SLOT)
        claim(ledger);
    const uint32_t slot = af.slot;
    if (slot != AF_NO_SLOT && slot != ledger->section[AF_PROCESSES].max - 1) /* nor shared, see claim */
        atomic_store(&af.fork_page->self, af_ledger_process(ledger, slot));
    return slot == AF_NO_SLOT ? NULL : af_ledger_process(ledger, slot);
}

void af_change(uint32_t slot, enum af_counter counter, int by) {
    struct af_ledger_map *ledger = atomic_load_explicit(&af.ledger, memory_order_relaxed);
    const uint64_t add = (uint64_t)(int64_t)by;
    if (AF_UNLIKELY(slot >= ledger->section[AF_PROCESSES].max || !ledger->reach(ledger, AF_PROCESSES, slot)))
        return; /* a relative's, as shared memory has it */
    atomic_fetch_add_explicit(&af_ledger_process(ledger, slot)->count[counter], add, memory_order_relaxed);
    if (AF_UNLIKELY(af.own_counts != NULL) && slot == af.slot)
        atomic_fetch_add_explicit(&af.own_counts->count[counter], add, memory_order_relaxed);
}

/* Where this process has no record yet, or one that it shares. */
void af_count_first(enum af_counter counter, int by) {
    if (af_claim_self())
        af_change(af.slot, counter, by);
}

void af_count_lost(void) {
    struct af_process *self = af_self();
    if (self)
        atomic_fetch_add(&self->lost, 1);
    if (af.own_counts)
        atomic_fetch_add(&af.own_counts->lost, 1);
}

void af_add_error(enum af_call call, int error) {
    struct af_process *self = af_self();
    if (self)
        af_ledger_count_error(self, call, error);
    if (self && af.own_counts)
        af_ledger_count_error(af.own_counts, call, error);
}
