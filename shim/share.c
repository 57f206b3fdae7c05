/* Who lets go of a connection last, when processes share it.
 *
 * Descriptors are counted by each process for itself, in private memory. Which process is the last is agreed on through
 * one word of shared memory a connection, its hold; who has no relatives never looks at it. Nothing is walked at a fork, and
 * no record written. It works by sums:
 *
 *   - Each fork has a random number, which is its child's name. A process keeps the sum of its forks' numbers, and a
 *     record keeps the sum as it was when the connection came (its base). So sum - base is the sum of the names of the
 *     children that have inherited it.
 *   - A hold begins as the name of whoever opened the connection. Who lets go adds that difference to it, less its own
 *     name. When all who have it have let go, each name has been added once, by the parent, and subtracted once, by the
 *     child: the hold is 0. Before that it is not, but by a chance of one to 2^46: a name is missing on one side. A
 *     child that forks hands on in the same way, under the sum of its own; a relative who receives the connection over
 *     a Unix socket adds a name for himself.
 *   - Who brings the hold to 0 sets its lowest bit, and counts the connection's end. Nobody does that twice.
 *
 * A child must be counted by its parent if, and only if, it finds the connection in its table. A fork copies private
 * memory at one moment (mmap_lock and the TLB flush in dup_mmap() of Linux see to it): what a thread did before another
 * thing is not missing where that is there. But when that moment is only fork knows. So whoever opens or lets go while a
 * fork is on its way does not take part in sums: a connection that came then is marked (uncertain), and whoever lets go
 * of a marked one, or while one of its own forks is on the way, settles it on the spot. The end may then be counted by
 * a process that was not quite the last; it is counted once, and nothing waits for a name that never comes: that is why
 * this cannot leak. Those who come later find the bit set. (A child whose copy shows the mark had better leave it alone.)
 *
 * A process that ends unseen (SIGKILL, a system call past libc) subtracts nothing, and the connection stays open until
 * a reader asks the kernel; so it is with all that it had.
 *
 * What is in shared memory decides who counts, and nothing else (law 9). */
#include "shim/shim.h"

#include <fcntl.h>

AF_WITH_STATE struct af_forks af_forks;

enum { SETTLED = 1, TAG_SHIFT = AF_TAG_SHIFT, TRIES = 1000, FORKS = 32 };
#define SUM (((uint64_t)1 << TAG_SHIFT) - 2)

/* ---- fork ----------------------------------------------------------------------------------------------- */

/* The forks that are under way, with the thread that makes each: a thread may have several, for a handler may fork while fork
 * is on its way. It is no thread's own memory, which would be one page more that each fork makes the kernel copy. */
static AF_WITH_STATE struct under_way {
    _Atomic uintptr_t thread; /* 0: free */
    uint64_t name;
    uint32_t generation, depth;
} under_way[FORKS];
/* Those of this thread that have found no place there, and all that began while they were under way. */
static _Thread_local unsigned nameless;

static uintptr_t this_thread(void) {
    return (uintptr_t)&nameless;
}

/* The one that this thread has begun last; NULL: none. */
static struct under_way *last_begun(void) {
    struct under_way *last = NULL;
    for (struct under_way *u = under_way; u < under_way + FORKS; u++)
        if (atomic_load_explicit(&u->thread, memory_order_relaxed) == this_thread() &&
            (!last || u->depth > last->depth))
            last = u;
    return last;
}

static void begin(uint64_t name) {
    const struct under_way *outer = last_begun();
    const uint32_t depth = outer ? outer->depth + 1 : 0;
    for (struct under_way *u = under_way; u < under_way + FORKS && !nameless; u++) {
        uintptr_t nobody = 0;
        if (atomic_load_explicit(&u->thread, memory_order_relaxed) ||
            !atomic_compare_exchange_strong(&u->thread, &nobody, this_thread()))
            continue;
        u->name = name;
        u->generation = af_generation();
        u->depth = depth;
        return;
    }
    nameless++;
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Even, so that a sum of them leaves the lowest bit alone. */
static uint64_t new_name(void) {
    static AF_WITH_STATE _Atomic uint64_t last;
    uint64_t n = atomic_fetch_add(&last, 0x9e3779b97f4a7c15u);
    uint64_t name = mix(n ^ af.started ^ (uint64_t)(uint32_t)af.pid << 32 ^ af_generation()) & SUM;
    return name > AF_OPENED ? name : AF_OPENED + 2;
}

/* A child of one whose descriptors are not those of our table (af_own_table) has another table too: no name. */
void af_before_fork(void) {
    if (AF_UNLIKELY(af.ledger && !af_is_same_process())) /* a child that has not returned from its own fork yet */
        af_adopt_fork_child();
    uint64_t name = af.ledger && !nameless && !af_has_own_table() ? new_name() : 0;
    begin(name);
    if (nameless)
        name = 0;
    af_note_sharing();
    atomic_fetch_add(&af_forks.on_the_way, 1);
    atomic_fetch_add(&af_forks.sum, name);
}

static void never_was(int fd, struct af_socket *conn, void *name) {
    (void)fd;
    struct af_details *details = af_details(conn);
    if (conn->uncertain || details->failed == *(uint64_t *)name) /* or it has been seen already */
        return;
    details->failed = *(uint64_t *)name;
    struct af_connection *shared = af_shared(conn);
    uint64_t hold = shared ? atomic_load(&shared->hold) : 0;
    for (int i = 0; shared && i < TRIES && hold >> TAG_SHIFT == conn->tag; i++)
        if (atomic_compare_exchange_weak(&shared->hold, &hold, (hold & ~SUM) | ((hold - details->failed) & SUM)))
            break;
}

/* A handler may come in the middle of it, and its hooks begin with the same: all of it until then is told again, or left to
 * them. From `alive` on (af_become_child) nobody begins anew. What the parent has under way is needed until then. */
static void adopt(uint64_t name) {
    const uint64_t sum = atomic_load(&af_forks.sum);
    const uint32_t generation = af_generation() + 1;
    const struct af_birth birth = af_birth();
    if (atomic_load(&atomic_load(&af.fork_page)->noticed))
        return;
    af_forks.name = name;
    af_forks.birth = sum;
    atomic_store(&af_forks.on_the_way, 0);
    atomic_store(&af_forks.generation, generation);
    af_forget_parents_pool();
    af_become_child(birth);
    __builtin_memset(under_way, 0, sizeof under_way);
    if (nameless)
        nameless = 0;
    if (!name) /* by a way that no hook has seen, so that nobody has counted us */
        af_forget_all();
}

bool af_is_fork_under_way(void) {
    return nameless || last_begun();
}

/* In the child, by the hook of fork, or by the first hook that it comes to. */
void af_adopt_fork_child(void) {
    const struct under_way *ours = nameless ? NULL : last_begun();
    adopt(ours ? ours->name : 0);
}

static void has_failed(uint64_t name) {
    int error = errno;
    af_each(0, ~0u, never_was, &name);
    errno = error;
}

/* errno is not written where it does not change: that, too, would be a page. */
static void after_fork_in_parent(bool failed) {
    struct under_way *ours = nameless ? NULL : last_begun();
    const bool is_older = ours && ours->generation != af_generation();
    if (nameless)
        nameless--;
    else if (!ours)
        return;
    if (failed && ours && ours->name && !is_older) /* a child that has let go of all that it was to have */
        has_failed(ours->name);
    if (ours)
        atomic_store(&ours->thread, 0);
    if (!is_older)
        atomic_fetch_sub(&af_forks.on_the_way, 1);
}

void af_after_fork(pid_t child) {
    if (child != 0) {
        after_fork_in_parent(child < 0);
    } else if (af_is_fork_under_way()) { /* no hook has come before this one */
        int error = errno;
        af_adopt_fork_child();
        errno = error;
    }
}

/* ---- holds ---------------------------------------------------------------------------------------------- */

static inline struct af_connection *record_of(const struct af_socket *conn) {
    const struct af_ledger_map *ledger = atomic_load_explicit(&af.ledger, memory_order_acquire);
    const uint32_t index = af_place_of(conn) - 1;
    return ledger && af_section_reached(ledger, AF_CONNECTIONS, index) ? af_ledger_connection(ledger, index) : NULL;
}

/* Whoever settled it may have been wrong about a relative, and its record is another connection's by now: that one's tag is
 * another. */
struct af_connection *af_shared(const struct af_socket *conn) {
    struct af_connection *shared = record_of(conn);
    return shared && AF_LIKELY(atomic_load(&shared->hold) >> TAG_SHIFT == conn->tag) ? shared : NULL;
}

/* What the record's last use has left in the ledger goes, and its tag says that this is another use of it, whosever the last
 * one was: records are given back, too. What was never
 * shared needs no other: as long as this process knows of no fork, its records are used again without coming here. */
void af_begin_hold(struct af_socket *conn) {
    struct af_connection *shared = record_of(conn);
    const uint64_t last = shared ? atomic_load_explicit(&shared->hold, memory_order_relaxed) >> TAG_SHIFT : conn->tag;
    const uint64_t tag = conn->tag = (uint16_t)(last + 1);
    atomic_store_explicit(&conn->generation, af_generation(), memory_order_relaxed);
    conn->base = atomic_load(&af_forks.sum);
    if (!shared) /* the process ends, and has given its places back */
        return;
    conn->shown = false;
    atomic_store_explicit(&shared->state, AF_CONN_FREE, memory_order_release);
    atomic_store_explicit(&shared->hold, tag << AF_TAG_SHIFT | AF_OPENED, memory_order_relaxed);
    atomic_store_explicit(&shared->cookie, 0, memory_order_relaxed);
    shared->ending = AF_END_NONE;
    atomic_store_explicit(&shared->flags, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->sent, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->foreign, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->owner, atomic_load_explicit(&conn->owner, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&shared->holder, atomic_load_explicit(&af.slot, memory_order_relaxed), memory_order_relaxed);
}

/* What we have just done to the table, or to the number of its descriptors: a fork may have copied half of it. */
void af_check_forks(struct af_socket *conn, uint64_t sum) {
    if ((atomic_load(&af_forks.on_the_way) || atomic_load(&af_forks.sum) != sum))
        conn->uncertain = af_generation() + 1;
}

/* It came from a relative, in whose record of it we take part from now on. `hold` is of before that was seen to be the
 * record of this connection: by now it may be another's, under another tag. */
bool af_join_hold(struct af_socket *conn, uint32_t index, uint64_t hold) {
    struct af_connection *shared = af_ledger_connection(af.ledger, index);
    const uint64_t name = new_name(), tag = hold >> TAG_SHIFT;
    for (int i = 0; i < TRIES && !(hold & SETTLED) && hold >> TAG_SHIFT == tag; i++) {
        const uint64_t joined = (hold & ~SUM) | ((hold + name) & SUM);
        if (!atomic_compare_exchange_weak(&shared->hold, &hold, joined))
            continue;
        af_note_sharing();
        af_show_gone(conn);
        conn->tag = (uint16_t)(hold >> TAG_SHIFT);
        af_details(conn)->shared = index;
        af_details(conn)->name = name;
        conn->joined = true;
        return true;
    }
    return false;
}

/* This process lets go of it. Does nobody else have it, as far as can be known? */
bool af_let_go(struct af_socket *conn, struct af_moment before) {
    const bool came_here = conn->generation == af_generation();
    const bool certain = before.quiet && before.sum == atomic_load(&af_forks.sum) && !conn->uncertain;
    if (AF_UNLIKELY(conn->detailed))
        af_details(conn)->released = af_details(conn)->settled = 0;
    const uint64_t name = af_is_joined(conn) ? af_details(conn)->name : AF_OPENED;
    struct af_connection *shared = record_of(conn);
    if (came_here)
        conn->shown = true; /* by a relative, perhaps */
    if (conn->uncertain && conn->uncertain != af_generation() + 1)
        return false; /* marked by a parent, who settles it */
    if (!shared)
        return came_here;
    const uint64_t added = !certain    ? 0
                           : came_here ? before.sum - conn->base - name
                                       : before.sum - af_forks.birth - af_forks.name;
    uint64_t hold = atomic_load(&shared->hold), after = 0;
    for (int i = 0; i < TRIES; i++) {
        if (hold & SETTLED || hold >> TAG_SHIFT != conn->tag)
            return false;
        after = (hold & ~SUM) | ((hold + added) & SUM);
        after |= !certain || !(after & SUM) ? SETTLED : 0;
        if (atomic_compare_exchange_weak(&shared->hold, &hold, after)) {
            if (conn->revocable) {
                af_details(conn)->released = added;
                af_details(conn)->settled = (after & SETTLED) != 0;
            }
            if (after & SETTLED)
                conn->shown = true;
            return (after & SETTLED) != 0;
        }
    }
    return came_here;
}

/* It goes to another image, whose relatives are others: a relative of ours who receives it from there begins anew. */
void af_close_hold(struct af_socket *conn) {
    struct af_connection *shared = af_shared(conn);
    if (!shared || atomic_load(&shared->hold) >> TAG_SHIFT != conn->tag)
        return;
    atomic_fetch_or(&shared->hold, SETTLED);
    af_details(conn)->settled = true;
}

/* exec has failed, and we have it still. */
void af_take_hold_again(struct af_socket *conn) {
    struct af_connection *shared = af_shared(conn);
    const struct af_details details = af_details_of(conn);
    uint64_t hold = shared ? atomic_load(&shared->hold) : 0;
    for (int i = 0; shared && i < TRIES && hold >> TAG_SHIFT == conn->tag; i++)
        if (atomic_compare_exchange_weak(&shared->hold, &hold,
                                         ((hold & ~SUM) | ((hold - details.released) & SUM)) &
                                             ~(uint64_t)details.settled))
            break;
    if (conn->detailed)
        af_details(conn)->released = af_details(conn)->settled = 0;
}

/* Who settled it may have been killed before the end was recorded: then its record is left to readers. */
bool af_is_hold_settled(const struct af_socket *conn) {
    const struct af_connection *shared = af_shared(conn);
    const uint64_t hold = shared ? atomic_load(&shared->hold) : 0;
    if (!shared || hold >> TAG_SHIFT != conn->tag)
        return true;
    return hold & SETTLED && (atomic_load(&shared->state) == AF_CONN_FREE || shared->ending != AF_END_NONE);
}

/* ---- what the record in the ledger says ----------------------------------------------------------------- */

/* What one relative tells the others, who do not take it back. */
static const uint32_t told = AF_FLAG_FIN_FIRST | AF_FLAG_FIN_SECOND | AF_FLAG_READS_ODD;

/* Does anybody look at it? A reader, or a relative. */
static bool is_looked_at(const struct af_socket *conn) {
    return af_ledger_is_file() || af_is_joined(conn) || af_has(conn, AF_FLAG_SENT) || af_was_forked(conn);
}

void af_show_it(struct af_socket *conn) {
    struct af_connection *shared = is_looked_at(conn) ? af_shared(conn) : NULL;
    if (!shared)
        return;
    conn->shown = true;
    const uint32_t state = atomic_load(&conn->state);
    const uint32_t flags = atomic_load(&conn->flags);
    uint32_t shown = atomic_load(&shared->flags);
    for (int i = 0; i < TRIES && !atomic_compare_exchange_weak(&shared->flags, &shown, flags | (shown & told)); i++)
        ;
    atomic_store_explicit(&shared->cookie, atomic_load(&conn->cookie), memory_order_relaxed);
    atomic_store_explicit(&shared->owner, atomic_load(&conn->owner), memory_order_relaxed);
    shared->peer = af_peer(conn);
    shared->local_port = conn->local_port;
    shared->ending = conn->ending;
    atomic_store_explicit(&shared->state, state, memory_order_release);
}

void af_show_gone(const struct af_socket *conn) {
    struct af_connection *shared = af_shared(conn);
    if (shared && atomic_load_explicit(&shared->state, memory_order_relaxed) != AF_CONN_FREE)
        atomic_store_explicit(&shared->state, AF_CONN_FREE, memory_order_release);
}

/* What relatives have seen of it since we parted, which only counting needs: a child may have connected it. */
void af_learn_from_relatives(struct af_socket *conn) {
    const struct af_connection *shared = af_is_joined(conn) || af_was_forked(conn) ? af_shared(conn) : NULL;
    const uint32_t state = shared ? atomic_load(&shared->state) : AF_CONN_FREE;
    if (state == AF_CONN_FREE || state > AF_CONN_INHERITED)
        return;
    const uint32_t owner = atomic_load(&shared->owner);
    if (state != atomic_load(&conn->state)) {
        conn->peer = shared->peer;
        conn->local_port = shared->local_port;
        af_set(conn, atomic_load(&shared->flags) & (AF_FLAG_ACCEPTED | AF_FLAG_TFO));
        atomic_store(&conn->state, state);
        atomic_store(&conn->owner, owner < af.ledger->section[AF_PROCESSES].max ? owner : AF_NO_SLOT);
    }
    if (!atomic_load(&conn->cookie))
        atomic_store(&conn->cookie, atomic_load(&shared->cookie));
    af_set(conn, atomic_load(&shared->flags) & told);
}

/* ---- images that were started otherwise ----------------------------------------------------------------- */

/* By vfork, posix_spawn, system or popen; the last few of them, by pid (0: libc keeps it to itself). They have what
 * is not close-on-exec, for which nobody asks before the connection is let go of. Threads that have parted have all. */
enum { IMAGES = 8 };
static _Atomic int32_t images[IMAGES];

void af_note_image(pid_t pid) {
    const uint32_t n = atomic_fetch_add(&af_forks.images, 1);
    atomic_store(&images[n % IMAGES], (int32_t)pid);
}

/* Calls has for each that may have got fd, until it says yes. */
static bool any_image(int fd, const struct af_socket *conn, bool (*has)(int32_t pid, int fd)) {
    const uint32_t now = atomic_load(&af_forks.images), n = now - conn->images;
    const bool inherited = n && AF_SYS2(SYS_fcntl, fd, F_GETFD) == 0;
    for (uint32_t i = 0; i < n && i < IMAGES; i++) {
        const int32_t pid = atomic_load(&images[(now - 1 - i) % IMAGES]);
        if ((pid < 0 || (pid && inherited)) && has(pid, fd))
            return true;
    }
    return false;
}

/* Of whom nothing is known it is not believed. */
static bool has_it_now(int32_t pid, int fd) {
    return pid != AF_IMAGE_SOMEBODY && af_vfork_child_holds(pid < 0 ? -pid : pid, fd);
}

bool af_image_holds(int fd, const struct af_socket *conn) {
    return any_image(fd, conn, has_it_now);
}

/* A thread hands nothing on but to children of ours. */
static bool had_it(int32_t pid, int fd) {
    return pid > 0 || pid == AF_IMAGE_SOMEBODY || has_it_now(pid, fd);
}

/* Not what the kernel says now, but that it may have been so; a relative can only make it more. */
bool af_may_be_in_image(int fd, const struct af_socket *conn) {
    const struct af_connection *shared = conn->shown ? af_shared(conn) : NULL;
    return (shared && atomic_load(&shared->foreign)) || any_image(fd, conn, had_it);
}
