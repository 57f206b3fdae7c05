/* What the files of the library share. Everything here runs inside somebody else's program: no malloc, no
 * lock, no stdio, no getenv after start, errno as the real call left it. All functions are thread-, fork- and
 * async-signal-safe unless they say otherwise.
 *
 *   start.c     the constructor: settings, first and last words      resolve.c  the next function in line
 *   libc.c      what a libc does not have
 *   deepbind.c  libraries that bind to libc first                    object.h   a loaded object's tables
 *   namespace.c  libraries with a libc of their own (dlmopen)        bind.h     their tables of relocations
 *   calls.c     exported wrappers, generated from calls.def          variadic.c, vfork.S  the ones that are not
 *   track.c     descriptor -> connection; pool.c  the records        memory.c   the ledger's memory
 *   private.c   memory of this process alone, for track.c
 *   share.c     who of several processes is the last to let go       count.c    this process's counts
 *   inherit.c   descriptors that come from elsewhere                 apply.c    policies onto sockets
 *   search.c    port_search=cycle                                    settle.c   how a connection ended
 *   source.c    source=                                              rules_file.c  the file of AFTERFIN_RULES
 *   pointer.c   may the program's memory be read?                    output.c   writing without blocking
 *   open.c local.c options.c shutdown.c close.c dup.c message.c process.c   the hooks
 *   log.c line.c text.c   the log line                               string.c   what compilers call unasked */
#ifndef AFTERFIN_SHIM_H
#define AFTERFIN_SHIM_H

#include "ledger/errno_name.h"
#include "ledger/writer.h"
#include "policy/mailbox.h"
#include "policy/policy.h"
#include "shim/pool.h"
#include "shim/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <pty.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* Also what is only declared here: else the compiler fetches each address before it uses it. */
#pragma GCC visibility push(hidden)

#define AF_LIKELY(x) __builtin_expect(!!(x), 1)
#define AF_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* What the library itself calls in libc. Imported by name, each would cost every program 600 to 800
 * instructions in ld.so; found by resolve.c it costs a tenth. */
#define AF_HELPERS(HELPER) \
    HELPER(int, __cxa_atexit, (void (*function)(void *), void *argument, void *object)) \
    HELPER(int, __cxa_at_quick_exit, (void (*function)(void *), void *object)) \
    HELPER(int, clock_gettime, (clockid_t clock, struct timespec * now)) \
    HELPER(int, fileno, (FILE * file)) \
    HELPER(char *, getenv, (const char *name)) \
    AF_HELPERS_32(HELPER)
#ifdef __i386__ /* since 2.28, with locks of open file descriptions in 64 bits; fcntl itself does that before */
#define AF_HELPERS_32(HELPER) HELPER(int, fcntl64, (int fd, int command, ...))
#else
#define AF_HELPERS_32(HELPER)
#endif

/* The next function in line for everything in calls.def, and the helpers; NULL where this libc has none. */
struct af_real {
#define CALL(result, name, parameters, arguments) result(*name) parameters;
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters) result(*name) parameters;
#define ALSO(name, target)
#define HELPER(result, name, parameters) result(*name) parameters;
#include "shim/calls.def"
    AF_HELPERS(HELPER)
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
#undef HELPER
};
extern struct af_real af_real;

/* Fills af_real; idempotent. */
void af_resolve(void);
/* Where this is missing it is musl, as far as this library knows. */
static inline bool af_is_glibc(void) {
    return af_real.__cxa_at_quick_exit != NULL;
}
/* libc.c: what does the work of the functions that are missing; the constructor's arguments, where it is given none
 * (musl; false: they cannot be found), and a place among what quick_exit calls. */
void af_stand_in(void);
bool af_find_arguments(int *argc, char ***argv, char ***envp);
bool af_ask_auxv(void);
void af_at_quick_exit(void);
/* The version of a function that is not libc's default, which programs have that were linked long ago; NULL: none. */
void *af_find_old(const char *name);
/* In any library that is loaded by now; in what this handle stands for. */
void *af_find_late(const char *name);
void *af_find_in(void *handle, const char *name);
/* A function that is wanted once, at start, and not of every libc; NULL where there is none. */
void *af_ask_libc(const char *name);

/* `raw` comes last, so that the others lie in the registers where the next in line wants them. */
#define AF_WITH_RAW(...) (__VA_ARGS__, bool raw)
#define CALL(result, name, parameters, arguments) result af_on_##name parameters;
#define SYSTEM_CALL(result, name, parameters, arguments) result af_on_##name AF_WITH_RAW parameters;
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters)
#define ALSO(name, target)
#include "shim/calls.def"
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
int af_on_fcntl(int fd, int command, void *argument, bool raw);
#ifdef __i386__ /* as programs call them whose time and offsets have 64 bits */
struct af_time64 {
    int64_t s;
    int32_t ns, unused;
};
int af_fcntl_of_64(int fd, int command, void *argument);
int af_recvmmsg_of_64(int fd, struct mmsghdr *messages, unsigned n, int flags, struct af_time64 *timeout);
#endif
long af_on_syscall(long number, const long arguments[6]);

/* How a hook of a SYSTEM_CALL row goes on: in the next function in line, or, where the program came by syscall(), in that
 * very system call. */
#define AF_NEXT(raw, name, ...) \
    ((raw) ? (__typeof__(af_real.name(__VA_ARGS__)))af_real.syscall(SYS_##name, __VA_ARGS__) \
           : af_real.name(__VA_ARGS__))

/* Is this an address of our own, or of another library's that has some of these functions and is called by our hooks? What
 * comes by syscall() from there, our hook has seen. */
bool af_is_next_in_line(const void *caller);

/* A page that a fork sets to 0 (MADV_WIPEONFORK, Linux 4.14). */
struct af_fork_page {
    _Atomic uint32_t alive;
    _Atomic uint32_t noticed; /* by a child, that it was set to 0 */
    struct af_process
        *_Atomic self; /* this process in the ledger; NULL: not claimed, or shared with others (count.c) */
};

/* Why a hook may have more to do than in the common case, for which it asks once. */
enum {
    AF_ODD_SHARED = 1,   /* something may be shared: a fork has begun, or a socket was sent, or came from a relative */
    AF_ODD_GUESTS = 2,   /* another process may run on our memory, or a thread may have another table (process.c) */
    AF_ODD_SEALED = 4,   /* no system call of ours may be made */
    AF_ODD_CONNECTS = 8, /* what is done at a connect depends on address or port */
    AF_ODD_FILE = 16,    /* the ledger is a file, for readers: a case as common as that it is none */
    AF_ODD_FIRST = 32,   /* there is no ledger yet */
    AF_ODD_RST = 64,     /* linger=rst is one of the policies: some close may have to abort */
    AF_ODD_CHANGING = 128,                      /* another policy is being brought onto what is open (mailbox.c) */
    AF_ODD_SHOWS = AF_ODD_SHARED | AF_ODD_FILE, /* somebody may look at records in the ledger */
    AF_ODD_MAIL = 255u << 24, /* a letter is in the mailbox: this byte of the word is set from outside (mailbox.c) */
};

/* The state of the library in this process. Written by the constructor, save where a comment says otherwise. */
struct af_state {
    _Atomic uint32_t odd; /* AF_ODD_...: what keeps the common case of a hook from being all there is to do */
    bool on;              /* hooks have something to do */
    bool counting;        /* a log or a ledger was asked for: look at sockets, not only treat them */
    /* What follows can become true while it runs (mailbox.c), and then stays so. */
    _Atomic bool acts;              /* some policy is not its default */
    _Atomic bool acks, asks;        /* linger=ack or ack-always is one of them; linger=ack is */
    _Atomic bool searches;          /* some connect may look for its port, or its address */
    _Atomic bool changes;           /* a policy has come while it runs */
    bool writes_lines;              /* a log was asked for, and lines while running */
    bool no_memory;                 /* the ledger could not be mapped */
    bool not_wiped;                 /* fork_page outlives a fork (before Linux 4.14) */
    _Atomic bool shares_memory;     /* a child made by clone(CLONE_VM) may run here too (process.c) */
    _Atomic bool shares_all;        /* ... that has our descriptors too */
    bool finished;                  /* the last word is written */
    bool complained;                /* complaint was printed */
    struct af_error complaint;      /* the bad setting, empty if none */
    struct af_policy policy;        /* of the start: log and ledger are always its */
    struct af_force *_Atomic force; /* which policy is in force */
    const char *program;            /* basename of what was exec'd */
    const char *command;            /* the arguments at start, in the kernel's row of them, each ended by a NUL */
    size_t command_size;
    uintptr_t page;              /* bytes of one, as the kernel says */
    uintptr_t stack_end;         /* of the first thread: what the kernel has put there lies above */
    _Atomic uint32_t by_address; /* 1 << role: what is to be done depends on the address */
    const char *runtime_dir;     /* XDG_RUNTIME_DIR at start, or NULL */
    _Atomic pid_t pid;           /* of this process; after fork the child's */
    int log_fd;                  /* 1 or 2 where the log goes there, else -1 */
    _Atomic uint64_t started;    /* CLOCK_REALTIME, ns */
    _Atomic uint32_t slot;       /* this process in the ledger, or AF_NO_SLOT (count.c) */
    struct af_process
        *_Atomic own_counts; /* where it shares that slot with others, what is its own; else NULL (count.c) */
    _Atomic(struct af_ledger_map *) ledger; /* NULL until the first TCP socket (memory.c) */
    struct af_fork_page *_Atomic fork_page; /* all zeros as long as there is no ledger */
    _Atomic int64_t next_line;              /* CLOCK_MONOTONIC_COARSE, s: when an interval line is due */
    _Atomic int64_t
        next_line_by_day; /* CLOCK_REALTIME, s: when next_line is to be looked at, where this clock is read anyway */
};
extern struct af_state af;

/* A policy in force, and what was made of it. It is replaced as a whole, and never freed: a hook may be reading it. */
struct af_force {
    const struct af_policy *policy;
    uint32_t ever; /* AF_BIT(...) of the keys that it, or one before it, asks for */
    uint32_t serial;
    /* Where no rule looks at the address, and nothing at the port range, a role's decision is always the same. */
    struct af_plain {
        struct af_values values;
        struct af_option options[AF_OPTIONS_MAX];
        uint32_t n, flag;
        bool known;
    } plain[AF_ROLE_LISTEN + 1];
    char text[AF_POLICY_SIZE]; /* "linger=ack,bind_no_port=on": linger always, other policies where they were set */
};
static inline const struct af_force *af_force(void) {
    return atomic_load_explicit(&af.force, memory_order_acquire);
}

static inline bool af_is_odd(uint32_t why) {
    return AF_UNLIKELY(atomic_load(&af.odd) & why);
}
static inline void af_be_odd(uint32_t why) {
    if (!af_is_odd(why))
        atomic_fetch_or(&af.odd, why);
}
extern struct af_fork_page af_no_fork_page;

/* Set in the thread that called vfork, as long as the child runs on our memory: its pid as the kernel has written it
 * (vfork.S), or 1. */
extern _Thread_local volatile uint32_t af_vforked;
extern _Thread_local volatile uint32_t
    af_vfork_image; /* ... and of one that becomes another image, until it is noted */
/* Has this thread a descriptor table of its own (unshare)? What it does with its numbers is no business of ours. */
enum { AF_TABLE_NOT_ASKED, AF_TABLE_OWN, AF_TABLE_OURS };
extern _Thread_local volatile uint8_t af_own_table;
bool af_has_own_table(void);

/* Is this a child that runs on its parent's memory (law 5)? Its descriptors are not those of our table. */
bool af_in_vfork_child_slow(void);
static inline bool af_in_vfork_child(void) {
    return af_is_odd(AF_ODD_GUESTS) && af_in_vfork_child_slow();
}

/* mailbox.c ----------------------------------------------------------------------------------------------- */

extern struct af_mailbox af_mailbox;
void af_read_mail_now(void);
/* Has another policy come? First thing in the calls at which connections come and go. */
static inline void af_read_mail(void) {
    if (af_is_odd(AF_ODD_MAIL))
        af_read_mail_now();
}
void af_mailbox_open(const char *text, size_t size); /* at start: the settings in force, as in a letter */
void af_mailbox_become_child(void);
/* exec begins, and has failed: nobody changes anything from outside in between. */
void af_mailbox_in_exec(bool begins);
/* Bring a socket to the policy in force, whatever was in force before. */
void af_enforce(int fd, struct af_socket *conn);
/* Does a policy come just now? Asked after a descriptor was taken out of the table: who brings it onto all sockets says so
 * before. */
static inline bool af_is_changing(void) {
    return af_is_odd(AF_ODD_MAIL | AF_ODD_CHANGING);
}
/* Until nobody is at work at fd, which is out of the table: another thread, or `afterfin set`. */
void af_wait_for_change(int fd);

/* memory.c ------------------------------------------------------------------------------------------------ */

/* Room for AF_FIRST_RECORDS, of the process that has made the ledger. */
void *af_first_records(void);
struct af_ledger_map *af_ledger_make(void);
void af_ledger_note_policy(void); /* the one in force, and since when, for readers */
/* A hint for what grows: address space that is likely to be free for long. First the ledger's connections, then the ring. */
enum { AF_FAR = 1 << 30, AF_FAR_CLOSED = 128 << 20, AF_FAR_END = 256 << 20 };
_Static_assert(AF_MAX_CONNECTIONS * sizeof(struct af_connection) <= AF_FAR_CLOSED, "each as large as it can get");
_Static_assert(AF_MAX_CLOSED * sizeof(struct af_closed) <= AF_FAR_END - AF_FAR_CLOSED, "each as large as it can get");
static inline uintptr_t af_far_place(void) {
    const uintptr_t page = (uintptr_t)atomic_load_explicit(&af.fork_page, memory_order_relaxed);
    return page > 2ul * AF_FAR ? page - AF_FAR : 0;
}
static inline struct af_ledger_map *af_ledger_get(void) {
    struct af_ledger_map *ledger = atomic_load_explicit(&af.ledger, memory_order_acquire);
    return AF_LIKELY(ledger != NULL) ? ledger : af_ledger_make();
}
/* Of a ledger that is there: only a file has a ring. */
static inline bool af_ledger_is_file(void) {
    return atomic_load_explicit(&af.ledger, memory_order_relaxed)->section[AF_CLOSED].max != 0;
}

/* Not a child that has not noticed yet: fork sets the word to 0. Only once a ledger is there. */
static inline bool af_is_same_process(void) {
    return AF_LIKELY(atomic_load_explicit(&atomic_load_explicit(&af.fork_page, memory_order_relaxed)->alive,
                                          memory_order_relaxed));
}

/* private.c ------------------------------------------------------------------------------------------------ */

/* Memory of zeros, or NULL. */
void *af_private(size_t size);
/* As much as is asked for and no more, to be given back: for a moment; or it may stay, and is in no core dump. */
void *af_room(size_t size);
void *af_lasting_room(size_t size);
void af_give_back(void *room, size_t size); /* NULL: nothing to do */
/* AF_HUGE bytes of it, of which the last AF_HUGE_REST are not the caller's; in one page, where the kernel has such. */
void *af_private_huge(void);

/* track.c: the table. ------------------------------------------------------------------------------------ */

typedef struct af_socket *_Atomic af_slot;
enum { AF_LOW = 1024, AF_LEAF_BITS = 10, AF_LEAF = 1 << AF_LEAF_BITS, AF_TOP = 1 << (31 - 2 * AF_LEAF_BITS) };
extern af_slot af_low[AF_LOW];                        /* the first descriptors; the others' are made at need: */
extern _Atomic(_Atomic(af_slot *) *) af_high[AF_TOP]; /* [fd >> 20][fd >> 10 & 1023][fd & 1023] */
static inline af_slot *af_leaf_of(unsigned fd) {
    _Atomic(af_slot *) *middle = atomic_load_explicit(&af_high[fd >> 2 * AF_LEAF_BITS], memory_order_acquire);
    return middle ? atomic_load_explicit(&middle[fd >> AF_LEAF_BITS & (AF_LEAF - 1)], memory_order_acquire) : NULL;
}
struct af_socket *af_lookup_high(int fd);
struct af_socket *af_lookup_after_fork(int fd);

/* The connection behind fd, or NULL: no TCP socket that we know. */
static inline struct af_socket *af_lookup(int fd) {
    struct af_socket *conn = AF_LIKELY((unsigned)fd < AF_LOW) ? atomic_load_explicit(&af_low[fd], memory_order_acquire)
                                                              : af_lookup_high(fd);
    if (!conn)
        return NULL;
    return AF_LIKELY(af_is_same_process()) ? conn : af_lookup_after_fork(fd);
}

/* A hook's first question: the connection behind fd if this call is ours to treat. */
static inline struct af_socket *af_ours(int fd) {
    struct af_socket *conn = af_lookup(fd);
    return conn && !af_in_vfork_child() ? conn : NULL;
}

/* Memory, this process's slot and the table are there; made at need. False: no room anywhere. */
static inline bool af_ready(void) {
    return af_ledger_get() != NULL;
}
/* A new record for fd, one descriptor, state NEW; NULL: not tracked (counted as lost). Nobody else has it before it
 * is entered; from then on another thread may end it. */
struct af_socket *af_record(int fd, bool v6, uint32_t flags);
void af_enter(int fd, struct af_socket *conn);
int af_track(int fd, bool v6, uint32_t flags); /* both at once, and counted as made here; there is memory. Returns fd */
/* Is fd still this connection? Then its record becomes nobody else's before af_unpin, though it be let go of meanwhile. */
static inline bool af_is_at(int fd, const struct af_socket *conn) {
    return (AF_LIKELY((unsigned)fd < AF_LOW) ? atomic_load_explicit(&af_low[fd], memory_order_acquire)
                                             : af_lookup_high(fd)) == conn;
}
void af_unpin_last(struct af_socket *conn, uint32_t pins);
static inline void af_unpin(struct af_socket *conn) {
    const uint32_t pins = atomic_fetch_sub_explicit(&conn->pins, 1, memory_order_acq_rel) - 1;
    if (AF_UNLIKELY(pins == AF_FREED))
        af_unpin_last(conn, pins);
}
/* The pin comes before the look: whoever has taken fd out of the table before it sees the pin when it frees. */
static inline bool af_pin(int fd, struct af_socket *conn) {
    atomic_fetch_add(&conn->pins, 1);
    if (AF_LIKELY(af_is_at(fd, conn)))
        return true;
    af_unpin(conn);
    return false;
}
/* One more descriptor for conn: call af_ref before the real call, then af_enter_or_unref with its result and what
 * af_ref has returned; it enters fd, or takes the reference back where fd < 0. */
uint64_t af_ref(struct af_socket *conn);
void af_enter_or_unref(struct af_socket *conn, int fd, uint64_t sum);
/* Take fd out of the table. The connection, if this was its last descriptor here; *last: and nobody else has it. The
 * caller then counts its end, and discards it. */
/* fd is known to be in the table, or to have been a moment ago. */
static inline struct af_socket *af_untrack(int fd, bool *last);
/* fd is new: what the table has there was closed by a way that no hook sees. */
void af_forget(int fd);
void af_forget_all(void); /* without a word: they are not ours */
void af_forget_parents_pool(void);
/* Give up one descriptor of this process; how many are left. */
static inline int32_t af_unref(struct af_socket *conn) {
    return atomic_fetch_sub(&conn->refs, 1) - 1;
}
/* This process has it no more; last: and nobody else. The record may be used again. */
void af_discard(struct af_socket *conn, bool last);
void af_discard_plainly(struct af_socket *conn); /* it never was anybody else's, and nothing of it is shown */
/* Calls visit for each descriptor from first to last that is in the table. */
void af_each(unsigned first, unsigned last, void (*visit)(int fd, struct af_socket *conn, void *context),
             void *context);
/* The process ends: what is not in use of its share of the ledger is for others. */
void af_return_blocks(void);

/* In one page with af: what each fork writes in parent or child lies in as few pages as can be, for the kernel copies each. */
#define AF_WITH_STATE __attribute__((section(".data")))

/* share.c -------------------------------------------------------------------------------------------------- */

struct af_forks {
    _Atomic bool any;     /* something may be shared: a fork has begun, or a socket was sent, or came from a relative */
    _Atomic uint64_t sum; /* of the names of all children of this process */
    _Atomic uint32_t on_the_way;  /* forks that have begun and not ended */
    _Atomic uint32_t images;      /* how many were started otherwise (af_note_image) */
    _Atomic uint32_t generation;  /* how many forks lie between the first process and this one */
    _Atomic uint64_t name, birth; /* of this process, 0: nobody's child; the sum when it began */
};
extern struct af_forks af_forks;
static inline uint32_t af_generation(void) {
    return atomic_load_explicit(&af_forks.generation, memory_order_relaxed);
}

/* What is known just before a descriptor is taken out of the table. The order counts: a fork is on its way before it
 * is in the sum. */
struct af_moment {
    uint64_t sum;
    bool quiet;
};
static inline struct af_moment af_now_of_forks(void) {
    const uint64_t sum = atomic_load(&af_forks.sum);
    return (struct af_moment){ sum, !atomic_load(&af_forks.on_the_way) };
}

/* From now on something may be shared. */
static inline void af_note_sharing(void) {
    atomic_store(&af_forks.any, true);
    af_be_odd(AF_ODD_SHARED);
}
void af_before_fork(void);
void af_after_fork(pid_t child);
bool af_is_fork_under_way(void); /* in this thread, or in the one that we are a copy of */
void af_adopt_fork_child(void);  /* become the child that we are */
/* A connection has come, and is not in the table yet: nobody else has it. */
void af_begin_hold(struct af_socket *conn);
void af_check_forks(struct af_socket *conn, uint64_t sum);
/* Its last descriptor here has gone: is this the end of it, for all that is known? `before`: of before it was untracked. */
bool af_let_go(struct af_socket *conn, struct af_moment before);
struct af_socket *af_untrack_shared(int fd, bool *last);
bool af_was_last(struct af_socket *conn);
/* It has just been taken out of the table, where nothing was shared before. False: another descriptor here has it. */
static inline bool af_was_untracked(struct af_socket *conn, bool *last) {
    const bool ours = af_unref(conn) <= 0;
    *last = true;
    if (AF_UNLIKELY(atomic_load_explicit(&af_forks.any, memory_order_acquire))) {
        if (ours)
            *last = af_was_last(conn);
        else
            af_check_forks(conn, ~(uint64_t)0);
    }
    return ours;
}
/* As long as nothing was ever shared, and is not by now, it is this process's alone. */
static inline struct af_socket *af_untrack(int fd, bool *last) {
    if (AF_UNLIKELY(atomic_load_explicit(&af_forks.any, memory_order_acquire) || (unsigned)fd >= AF_LOW))
        return af_untrack_shared(fd, last);
    struct af_socket *conn = atomic_exchange(&af_low[fd], NULL);
    return conn && af_was_untracked(conn, last) ? conn : NULL;
}
void af_close_hold(struct af_socket *conn); /* exec: who had it here has it no more */
void af_take_hold_again(struct af_socket *conn);
static inline bool af_is_joined(const struct af_socket *conn) {
    return conn->joined;
}
/* Index + 1 of what is its record in the ledger; 0: none. */
static inline uint32_t af_place_of(const struct af_socket *conn) {
    return AF_UNLIKELY(af_is_joined(conn)) ? af_details_of(conn).shared + 1
                                           : atomic_load_explicit(&conn->place, memory_order_acquire);
}
bool af_join_hold(struct af_socket *conn, uint32_t index, uint64_t hold);
bool af_is_hold_settled(const struct af_socket *conn);
/* May a forked child, or a parent, have it too? */
static inline bool af_was_forked(const struct af_socket *conn) {
    return AF_UNLIKELY(atomic_load_explicit(&af_forks.any, memory_order_acquire)) &&
           (conn->generation != af_generation() || conn->uncertain || atomic_load(&af_forks.on_the_way) ||
            conn->base != atomic_load(&af_forks.sum));
}
/* Its record in the ledger, NULL: none, or another connection's by now; what stands there is for readers and relatives, and
 * counts only. */
struct af_connection *af_shared(const struct af_socket *conn);
void af_show_it(struct af_socket *conn);
static inline void af_show(struct af_socket *conn) {
    if (af_is_odd(AF_ODD_SHOWS))
        af_show_it(conn);
}
void af_show_gone(const struct af_socket *conn);
/* What readers see of a connection that never was anybody else's; NULL: there are none. The common case of a hook writes
 * there without more ado, and leaves conn->shown false: what it has written it writes anew the next time. */
static inline struct af_connection *af_kept(const struct af_socket *conn) {
    const uint32_t place = atomic_load_explicit(&conn->place, memory_order_relaxed);
    if (!af_is_odd(AF_ODD_FILE) || AF_UNLIKELY(!place)) /* the process ends, and has given its places back */
        return NULL;
    return af_ledger_connection(atomic_load_explicit(&af.ledger, memory_order_relaxed), place - 1);
}
void af_learn_from_relatives(struct af_socket *conn);
/* vfork, posix_spawn: it runs another image; 0: pid unknown. Or -thread, which has a table of its own now; or whoever
 * shared ours with the main thread until now. */
#define AF_IMAGE_SOMEBODY INT32_MIN
void af_note_image(pid_t pid);
static inline bool af_was_spawned(const struct af_socket *conn) { /* ... since this connection came */
    return conn->images != atomic_load_explicit(&af_forks.images, memory_order_acquire);
}
bool af_image_holds(int fd, const struct af_socket *conn); /* ... and one of them has it still */
bool af_may_be_in_image(int fd,
                        const struct af_socket *conn); /* ... or one of them had it once, as a child may have by exec */

/* count.c -------------------------------------------------------------------------------------------------- */

struct af_process *af_claim_self(void);
static inline struct af_process *af_self_now(void) {
    return atomic_load_explicit(&atomic_load_explicit(&af.fork_page, memory_order_relaxed)->self, memory_order_acquire);
}
/* This process's record, claimed at need; NULL where there is no room, or nobody asks for counts. */
static inline struct af_process *af_self(void) {
    struct af_process *self = af_self_now();
    return AF_LIKELY(self != NULL) ? self : af.counting ? af_claim_self() : NULL;
}
void af_count_first(enum af_counter counter, int by);
static inline void af_count(enum af_counter counter, int by) {
    struct af_process *self = af_self_now();
    if (AF_LIKELY(self != NULL))
        atomic_fetch_add_explicit(&self->count[counter], (uint64_t)(int64_t)by, memory_order_relaxed);
    else if (af.counting)
        af_count_first(counter, by);
}
static inline void af_add(enum af_counter counter) {
    af_count(counter, 1);
}
void af_change(uint32_t slot, enum af_counter counter, int by); /* of any slot of this ledger */
void af_count_lost(void);                                       /* something found no room */
void af_add_error(enum af_call call, int error);

/* All zeros as long as it is not known. */
static inline struct af_addr af_peer(const struct af_socket *conn) {
    return __atomic_load_n(&conn->peer.port, __ATOMIC_ACQUIRE) ? conn->peer : (struct af_addr){ 0 };
}

static inline bool af_has(const struct af_socket *conn, uint32_t flag) {
    return atomic_load_explicit(&conn->flags, memory_order_relaxed) & flag;
}
static inline void af_set(struct af_socket *conn, uint32_t flag) {
    if ((atomic_load_explicit(&conn->flags, memory_order_relaxed) & flag) != flag)
        atomic_fetch_or_explicit(&conn->flags, flag, memory_order_relaxed);
}
static inline void af_clear(struct af_socket *conn, uint32_t flag) {
    if (atomic_load_explicit(&conn->flags, memory_order_relaxed) & flag)
        atomic_fetch_and_explicit(&conn->flags, ~flag, memory_order_relaxed);
}

/* pointer.c ------------------------------------------------------------------------------------------------ */

/* May the program's memory be read there? Asked of the kernel where it is not certain; false where nothing may be asked
 * (af_sealed). *known is the page that was found last, AF_NO_PAGE at first: what lies side by side is asked for once. */
#define AF_NO_PAGE UINTPTR_MAX
bool af_can_read_elsewhere(const void *start, size_t size, uintptr_t *known);

/* From our own frame up to the program's arguments the stack of the first thread has no holes; a stack that the
 * program has made for itself is not within 64 MB of them (mmap_base() of Linux keeps 128 free). */
static inline bool af_is_on_stack(const void *start, size_t size) {
    const char here = 0; /* its address leaves the frame's own register to others */
    const uintptr_t at = (uintptr_t)start, frame = (uintptr_t)&here;
    return at >= frame && at <= af.stack_end && size <= af.stack_end - at && af.stack_end - frame < 64 << 20;
}
static inline bool af_can_read_from(const void *start, size_t size, uintptr_t *known) {
    return af_is_on_stack(start, size) || af_can_read_elsewhere(start, size, known);
}
static inline bool af_can_read(const void *start, size_t size) {
    uintptr_t known = (uintptr_t)__builtin_frame_address(0) / 4096; /* we stand on it */
    return af_can_read_from(start, size, &known);
}
/* The kernel takes none that is longer than this. */
static inline bool af_can_read_address(const struct sockaddr *addr, socklen_t len) {
    return len <= sizeof(struct sockaddr_storage) && af_can_read(addr, len);
}

/* rules_file.c --------------------------------------------------------------------------------------------- */

/* The file's size, or -errno: EISDIR where it is no regular file, EFBIG where it is larger. Start only. */
long af_read_rules(const char *path, char room[AF_RULES_FILE_MAX + 1]);

/* inherit.c ------------------------------------------------------------------------------------------------ */

void af_scan_inherited(void);                       /* once, by the constructor: what was open at exec */
void af_adopt_descriptor(int fd);                   /* a descriptor that just came in by SCM_RIGHTS or pidfd_getfd */
int af_tcp_protocol(int fd);                        /* IPPROTO_TCP or IPPROTO_MPTCP; 0: something else */
uint64_t af_cookie(int fd, struct af_socket *conn); /* SO_COOKIE, read once; 0 where unreadable */
bool af_learn_address(int fd, long call, struct af_addr *out); /* SYS_getpeername, SYS_getsockname */
/* Peer and local port of a connection that came from elsewhere, while the kernel still tells. */
void af_learn_addresses(int fd, struct af_socket *conn);
void af_learn_linger(int fd, struct af_socket *conn); /* the same for its SO_LINGER and TCP_LINGER2 */
bool af_parent_holds(int fd); /* does the parent have the same open file at the same number (kcmp)? */
bool af_vfork_child_holds(int32_t vfork_child, int fd); /* has the image that inherited it, by pid, still got it? */

/* apply.c -------------------------------------------------------------------------------------------------- */

/* Decide for this role and address and set the options; *values gets what is in force. */
void af_apply(int fd, struct af_socket *conn, enum af_role role, const struct af_addr *addr, struct af_values *values);
bool af_set_options(int fd, const struct af_option *options, unsigned n); /* was one refused that is relied on? */
/* What is the same for every address is decided once; and the flags of af that follow from it. */
void af_prepare_policy(struct af_force *force, bool acts);
/* Some policy acts, and nothing is odd: the same for an outgoing connection. */
void af_apply_connect(int fd, struct af_socket *conn);
/* The program has set an option of this key: undo ours, or with override put it back. */
void af_reapply(int fd, struct af_socket *conn, enum af_key key);
void af_keep_seconds(int fd, struct af_socket *conn); /* ... and has set an SO_LINGER that settles nothing */
/* linger=ack: nothing came from the peer, so it keeps its TIME_WAIT; and all back, where that was not its end. */
struct af_tcp_info;
void af_take_ack_back(int fd, struct af_socket *conn, const struct af_tcp_info *tcp);
void af_restore_ack(int fd, struct af_socket *conn);
/* rst: is this the close that ends a connection of our own (DESIGN: AFTERFIN_LINGER)? Then make it abort. */
bool af_apply_rst_now(int fd, struct af_socket *conn);
static inline bool af_apply_rst(int fd, struct af_socket *conn) {
    return AF_UNLIKELY(af_has(conn, AF_FLAG_RST)) && af_apply_rst_now(fd, conn);
}

/* search.c ------------------------------------------------------------------------------------------------- */

/* The places in the orders that this process walks in, in the page that a fork wipes: parent and child then walk different
 * ones. */
enum { AF_TURNS = 1000 };
struct af_order {
    struct af_fork_page fork_page;
    _Atomic uint32_t next;
    _Atomic uint64_t key;
    _Atomic uint32_t start;          /* the width that did it last time, less one step; 0: the range is not crowded */
    _Atomic uint32_t last;           /* the port, or the window's first, that was free last time */
    _Atomic uint32_t crowded;        /* searches that began nearby */
    _Atomic uint32_t turn[AF_TURNS]; /* source.c */
};
_Static_assert(sizeof(struct af_order) <= 4096, "one page");
struct af_order *af_order(void);
/* A permutation of 0..n-1, n up to 1 << 30. */
uint32_t af_permute(uint64_t key, uint32_t i, uint32_t n);

/* One attempt at the call that picks an ephemeral port: 0 or more, or -1 and errno. */
struct af_attempt {
    long (*run)(const struct af_attempt *attempt);
    int fd, flags;
    const void *addr, *data;
    size_t size;
    socklen_t len;
    bool raw; /* it came by syscall() */
};
/* Runs it in windows of the port range until one has a free port, at last in the whole range. */
long af_search(const struct af_attempt *attempt, const struct af_values *values);
/* That range is for outgoing connections: a port that bind or listen is to choose may be any. */
void af_take_back_window_now(int fd, struct af_socket *conn);
static inline void af_take_back_window(int fd, struct af_socket *conn) {
    if (AF_UNLIKELY(af_has(conn, AF_FLAG_WINDOW)))
        af_take_back_window_now(fd, conn);
}
/* The range of net.ipv4.ip_local_port_range; false where it cannot be read. Read once. */
bool af_port_range(uint16_t *low, uint16_t *high);
/* A connect with a port_range of ours has begun: is it one that counts? Says so once where it is not. */
void af_look_at_port(int fd);
#define AF_NO_PART_INSIDE "port_range has no part inside net.ipv4.ip_local_port_range: not applied"

/* source.c ------------------------------------------------------------------------------------------------- */

/* Runs it from one local address after the other until one is free towards the peer, at last as the program left it. */
long af_open_from_source(struct af_socket *conn, const struct af_attempt *attempt, const struct af_values *values);
/* No connection has come of it, or none is there any more: the socket becomes what the program knows, bound to nothing. */
void af_take_back_source_now(int fd, struct af_socket *conn);
static inline void af_take_back_source(int fd, struct af_socket *conn) {
    if (AF_UNLIKELY(af_has(conn, AF_FLAG_SOURCE)))
        af_take_back_source_now(fd, conn);
}

/* settle.c ------------------------------------------------------------------------------------------------- */

/* What the kernel says of a connection: TCP_INFO, cut down, or what poll tells of it (then the counts are 0). */
struct af_tcp_info {
    uint8_t state;
    int8_t unread; /* is there data that nobody has read? -1: not known yet */
    uint64_t acked, received;
    uint32_t without_data; /* segments sent that had none */
};
bool af_read_tcp_info(int fd, const struct af_socket *conn, struct af_tcp_info *tcp);
/* The last known reference goes with fd, which is still open: decide how the connection ended, and count it. */
void af_settle_counted(int fd, struct af_socket *conn);
/* Must it be asked before the end whether the peer was heard? Of one that others have or had it is not known. */
static inline bool af_asks(const struct af_socket *conn) {
    return AF_UNLIKELY(af.asks) && (af_has(conn, AF_FLAG_ASKS) ||
                                    atomic_load_explicit(&conn->state, memory_order_relaxed) == AF_CONN_INHERITED ||
                                    af_is_joined(conn) || af_was_forked(conn));
}
static inline void af_settle(int fd, struct af_socket *conn) {
    if (af.counting || af_asks(conn))
        af_settle_counted(fd, conn);
}
/* The same where nothing was ever shared, and nobody looks into the ledger. */
void af_settle_alone(int fd, struct af_socket *conn);
void af_settle_unseen(struct af_socket *conn); /* it was closed by a way that no hook has seen */
/* connect(AF_UNSPEC) has ended what `tcp` saw just before. */
void af_settle_reset(int fd, struct af_socket *conn, const struct af_tcp_info *tcp);
void af_unsettle(struct af_socket *conn); /* what af_settle or af_settle_passed counted, taken back */
/* The connection goes on elsewhere: exec, or a holder that we cannot see. */
void af_settle_passed(int fd, struct af_socket *conn);
/* connect said yes, or TCP_INFO did. */
void af_established(struct af_socket *conn);
void af_connect_failed(struct af_socket *conn, int error);

/* open.c, local.c ------------------------------------------------------------------------------------------ */

/* connect, or a send that opens the connection; at_once: success means established. */
long af_open(struct af_socket *conn, const struct af_attempt *attempt, bool at_once);
int af_accept(bool raw, int fd, struct sockaddr *addr, socklen_t *len, int flags);
int af_bind_now(int fd, struct af_socket *conn);
/* bind to this address, in the socket's own family, port 0: 0 or -errno. */
long af_bind_address(int fd, const struct af_socket *conn, const struct af_addr *to, uint32_t scope);
void af_listening(int fd, struct af_socket *conn);

/* close.c, process.c --------------------------------------------------------------------------------------- */

void af_before_close(int fd);                                              /* fd is about to be closed */
void af_before_close_range(unsigned first, unsigned last, bool may_reset); /* may linger=rst be applied? */
/* A child on our memory comes, and will not wait for it as vfork's does. */
void af_note_clone_vm(bool shares_descriptors);
void af_note_unshared(void);            /* this thread may have parted from our descriptors */
void af_finish(bool raw);               /* the process is about to end; raw: by a bare system call */
void af_before_log_stream_closes(void); /* the log's stream is about to go, as at the end of many programs */
struct af_birth {
    pid_t pid;
    uint64_t at;
};
struct af_birth af_birth(void); /* of the child that we are, as far as it may be asked for */
void af_become_child(struct af_birth birth);
/* A seccomp filter comes. False: nothing changes for this process, it has one, or this is a child on its memory, which
 * makes no system call of ours in any case. */
bool af_seal(void);
void af_unseal(void); /* after true: it was refused */
pid_t af_pid(void);
volatile uint32_t *af_vfork_begins(void); /* called by vfork.S */
long af_vfork_ended(long result);

/* log.c ---------------------------------------------------------------------------------------------------- */

enum af_event { AF_EVENT_EXIT, AF_EVENT_EXEC, AF_EVENT_INTERVAL };
void af_log(enum af_event event);
static inline void af_log_begin(void) {
    af.writes_lines = af.policy.log != AF_SINK_OFF && af.policy.log_interval_s;
}
void af_log_if_due_now(void);
void af_log_interval(int64_t now);
/* The same where the time is known: CLOCK_MONOTONIC, s. */
static inline void af_log_if_due_at(int64_t now) {
    if (af.writes_lines && AF_UNLIKELY(now >= atomic_load_explicit(&af.next_line, memory_order_relaxed)))
        af_log_interval(now);
}
void af_log_by_day(int64_t day);
static inline void af_log_if_due_by_day(int64_t day) { /* CLOCK_REALTIME, s */
    if (af.writes_lines && AF_UNLIKELY(day >= atomic_load_explicit(&af.next_line_by_day, memory_order_relaxed)))
        af_log_by_day(day);
}
static inline void af_log_if_due(void) {
    if (AF_LIKELY(af.writes_lines))
        af_log_if_due_now();
}
void af_log_start(void); /* remember what stderr and stdout are */
void af_complain_now(void);
static inline void af_complain(void) { /* print the bad setting, once */
    if (AF_UNLIKELY(af.complaint.text[0]))
        af_complain_now();
}
void af_say(const char *const parts[]); /* one line on stderr, "afterfin: " in front; NULL-terminated */
const char *af_setting(const char *const *settings, int key); /* its value as text, "" where unset */
/* 0 where it may not be asked (af_sealed): where the vDSO has no clock it is a system call. */
static inline struct timespec af_read_clock(clockid_t clock) {
    struct timespec now;
    if (AF_UNLIKELY(af_sealed))
        return (struct timespec){ 0 };
    af_real.clock_gettime(clock, &now);
    return now;
}
static inline uint64_t af_ns_of(struct timespec now) {
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
static inline uint64_t af_now(void) {
    return af_ns_of(af_read_clock(CLOCK_REALTIME));
}
static inline uint64_t af_clock(void) {
    return af_ns_of(af_read_clock(CLOCK_MONOTONIC));
}

#pragma GCC visibility pop

#endif
