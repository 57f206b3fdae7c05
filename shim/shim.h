/* What the files of the library share. Everything here runs inside somebody else's program: no malloc, no
 * lock, no stdio, no getenv after start, errno as the real call left it. All functions are thread-, fork- and
 * async-signal-safe unless they say otherwise.
 *
 *   start.c     the constructor: settings, first and last words      resolve.c  the next function in line
 *   calls.c     exported wrappers, generated from calls.def          variadic.c, vfork.S  the ones that are not
 *   track.c     descriptor -> connection, across dup and fork        memory.c   the ledger's memory
 *   inherit.c   descriptors that come from elsewhere                 apply.c    policies onto sockets
 *   search.c    port_search=cycle                                    settle.c   how a connection ended
 *   pointer.c   may the program's memory be read?                    output.c   writing without blocking
 *   open.c local.c options.c close.c dup.c message.c process.c       the hooks
 *   seal.c      vfork children behind a filter of their own
 *   log.c line.c text.c   the log line                               string.c   what compilers call unasked */
#ifndef AFTERFIN_SHIM_H
#define AFTERFIN_SHIM_H

#include "ledger/writer.h"
#include "policy/policy.h"
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

#define AF_LIKELY(x) __builtin_expect(!!(x), 1)
#define AF_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* What the library itself calls in libc. Imported by name, each would cost every program 600 to 800
 * instructions in ld.so; found by resolve.c it costs a tenth. */
#define AF_HELPERS(HELPER) \
    HELPER(int, __cxa_atexit, (void (*function)(void *), void *argument, void *object)) \
    HELPER(int, __cxa_at_quick_exit, (void (*function)(void *), void *object)) \
    HELPER(int, clock_gettime, (clockid_t clock, struct timespec * now)) \
    HELPER(const char *, strerrorname_np, (int error)) \
    HELPER(int, fileno, (FILE * file)) \
    HELPER(void *, dlvsym, (void *handle, const char *name, const char *version))

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

#define AF_WITH_RAW(...) (bool raw, __VA_ARGS__)
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
int af_on_fcntl(bool raw, int fd, int command, void *argument);

/* How a hook of a SYSTEM_CALL row goes on: in the next function in line, or, where the program came by syscall(), in that
 * very system call. */
#define AF_NEXT(raw, name, ...) \
    ((raw) ? (__typeof__(af_real.name(__VA_ARGS__)))af_real.syscall(SYS_##name, __VA_ARGS__) \
           : af_real.name(__VA_ARGS__))

/* Is this an address of our own, or of another library's that has some of these functions and is called by our hooks? What
 * comes by syscall() from there, our hook has seen. */
bool af_is_next_in_line(const void *caller);

/* The state of the library in this process. Written by the constructor, save where a comment says otherwise. */
struct af_state {
    bool on;                   /* hooks have something to do */
    bool counting;             /* a log or a ledger was asked for: look at sockets, not only treat them */
    bool acts;                 /* some policy is not its default */
    bool acks;                 /* linger=ack is one of them */
    bool no_memory;            /* the ledger could not be mapped */
    bool shares_memory;        /* a child made by clone(CLONE_VM) may run here too (process.c) */
    bool finished;             /* the last word is written */
    bool complained;           /* complaint was printed */
    struct af_error complaint; /* the bad setting, empty if none */
    struct af_policy policy;
    const char *program; /* basename of what was exec'd */
    const char *command; /* the arguments at start, in the kernel's row of them, each ended by a NUL */
    size_t command_size;
    uintptr_t stack_end;     /* of the first thread: what the kernel has put there lies above */
    uint32_t by_address;     /* 1 << role: what is to be done depends on the address */
    const char *runtime_dir; /* XDG_RUNTIME_DIR at start, or NULL */
    _Atomic pid_t pid;       /* of this process; after fork the child's */
    int log_fd;              /* 1 or 2 where the log goes there, else -1 */
    uint64_t started;        /* CLOCK_REALTIME, ns */
    _Atomic uint32_t slot;   /* this process in the ledger, or AF_NO_SLOT (track.c) */
    struct af_process
        *_Atomic own_counts; /* where it shares that slot with others, what is its own; else NULL (track.c) */
    _Atomic(struct af_ledger *) ledger;  /* NULL until the first TCP socket (memory.c) */
    _Atomic uint32_t *_Atomic fork_page; /* a word that a fork sets to 0 (MADV_WIPEONFORK, Linux 4.14) */
    _Atomic int64_t next_line;           /* CLOCK_MONOTONIC_COARSE, s: when an interval line is due */
};
extern struct af_state af;

/* Is this a child that runs on its parent's memory (law 5)? Its descriptors are not those of our table. */
bool af_in_vfork_child_slow(void);
static inline bool af_in_vfork_child(void) {
    return AF_UNLIKELY(af_vforked || af.shares_memory) && af_in_vfork_child_slow();
}

/* track.c: the table. ------------------------------------------------------------------------------------ */

struct af_table_leaf;
extern _Atomic(_Atomic uint32_t *) af_table[1 << 15]; /* [fd >> 16][fd & 0xffff] */
/* An entry: index + 1 of the connection, and above it the ticket of a fork that has taken a reference for it. */
enum { AF_INDEX_BITS = 21, AF_INDEX = (1 << AF_INDEX_BITS) - 1 };
extern _Atomic int af_table_end; /* no entry at or above this descriptor */

struct af_connection *af_connection_at(uint32_t index);
void af_adopt_fork_child(void); /* become the child that we are */
struct af_connection *af_lookup_after_fork(int fd);

/* The connection behind fd, or NULL: no TCP socket that we know. */
static inline struct af_connection *af_lookup(int fd) {
    if (AF_UNLIKELY((unsigned)fd >= 1u << 31))
        return NULL;
    _Atomic uint32_t *leaf = atomic_load_explicit(&af_table[(unsigned)fd >> 16], memory_order_acquire);
    if (!leaf)
        return NULL;
    uint32_t entry = atomic_load_explicit(&leaf[fd & 0xffff], memory_order_acquire);
    if (!entry)
        return NULL;
    if (AF_UNLIKELY(!*af.fork_page))
        return af_lookup_after_fork(fd);
    return af_connection_at((entry & AF_INDEX) - 1);
}

/* A hook's first question: the connection behind fd if this call is ours to treat. */
static inline struct af_connection *af_ours(int fd) {
    struct af_connection *conn = af_lookup(fd);
    return conn && !af_in_vfork_child() ? conn : NULL;
}

/* Memory, this process's slot and the table are there; made at need. False: no room anywhere. */
bool af_ready(void);
/* A new record for fd, one reference, state NEW; NULL: not tracked (counted as lost). Nobody else has it before it
 * is entered; from then on another thread may end it. */
struct af_connection *af_record(int fd, bool v6, uint32_t flags);
void af_enter(int fd, struct af_connection *conn);
/* For a while, in which nothing waits: is fd still this connection, and if it is not let go meanwhile its record
 * becomes nobody else's? `generation` is 0 or what an earlier call said of the same connection; returns it, or 0. */
uint32_t af_pin(int fd, struct af_connection *conn, uint32_t generation);
void af_unpin(struct af_connection *conn);
/* One more descriptor for conn: call af_ref before the real call, then af_enter_or_unref with its result, which
 * enters fd, or takes the reference back where fd < 0. */
void af_ref(struct af_connection *conn);
void af_enter_or_unref(struct af_connection *conn, int fd);
/* Take fd out of the table; the caller then owns its reference. NULL: was not in it. */
struct af_connection *af_untrack(int fd);
/* fd is new: what the table has there was closed by a way that no hook sees, and its end is not known. */
void af_forget(int fd);
/* Before a fork: a reference for the child to each entry, all of one ticket, which is returned. In the parent
 * afterwards af_fork_parent; in the child, which has what bears its ticket, af_fork_child. */
uint32_t af_fork_prepare(void);
void af_fork_parent(uint32_t ticket, bool failed);
void af_fork_child(uint32_t ticket);
/* Give up one reference; how many are left. */
int32_t af_unref(struct af_connection *conn);
/* Calls visit for each descriptor from first to last that is in the table. */
void af_each(unsigned first, unsigned last, void (*visit)(int fd, struct af_connection *conn, void *context),
             void *context);
/* This process's record, claimed at need; NULL where there is no room. */
struct af_process *af_self(void);
void af_add(enum af_counter counter);
void af_change(uint32_t slot, enum af_counter counter, int by); /* of any slot of this ledger */
void af_count_lost(void);                                       /* something found no room */
void af_add_error(enum af_call call, int error);

static inline bool af_has(const struct af_connection *conn, uint32_t flag) {
    return atomic_load_explicit(&conn->flags, memory_order_relaxed) & flag;
}
static inline void af_set(struct af_connection *conn, uint32_t flag) {
    atomic_fetch_or_explicit(&conn->flags, flag, memory_order_relaxed);
}
static inline void af_clear(struct af_connection *conn, uint32_t flag) {
    atomic_fetch_and_explicit(&conn->flags, ~flag, memory_order_relaxed);
}

/* pointer.c ------------------------------------------------------------------------------------------------ */

/* May the program's memory be read there? Asked of the kernel where it is not certain; false where nothing may be asked
 * (af_sealed). *known is the page that was found last, AF_NO_PAGE at first: what lies side by side is asked for once. */
#define AF_NO_PAGE UINTPTR_MAX
bool af_can_read_elsewhere(const void *start, size_t size, uintptr_t *known);

/* From our own frame up to the program's arguments the stack of the first thread has no holes; a stack that the
 * program has made for itself is not within 64 MB of them (mmap_base() of Linux keeps 128 free). */
static inline bool af_can_read_from(const void *start, size_t size, uintptr_t *known) {
    const uintptr_t at = (uintptr_t)start, frame = (uintptr_t)__builtin_frame_address(0);
    if (at >= frame && at <= af.stack_end && size <= af.stack_end - at && af.stack_end - frame < 64 << 20)
        return true;
    return af_can_read_elsewhere(start, size, known);
}
static inline bool af_can_read(const void *start, size_t size) {
    uintptr_t known = (uintptr_t)__builtin_frame_address(0) / 4096; /* we stand on it */
    return af_can_read_from(start, size, &known);
}
/* The kernel takes none that is longer than this. */
static inline bool af_can_read_address(const struct sockaddr *addr, socklen_t len) {
    return len <= sizeof(struct sockaddr_storage) && af_can_read(addr, len);
}

/* memory.c ------------------------------------------------------------------------------------------------ */

struct af_ledger *af_ledger_get(void);
/* Of a ledger that is there: only a file has a ring. */
static inline bool af_ledger_is_file(void) {
    return atomic_load_explicit(&af.ledger, memory_order_relaxed)->max_closed != 0;
}
bool af_ledger_backed(const void *start, size_t size); /* may this memory be written without SIGBUS? */

/* inherit.c ------------------------------------------------------------------------------------------------ */

void af_scan_inherited(void);     /* once, by the constructor: what was open at exec */
void af_adopt_descriptor(int fd); /* a descriptor that just came in by SCM_RIGHTS or pidfd_getfd */
int af_tcp_protocol(int fd);      /* IPPROTO_TCP or IPPROTO_MPTCP; 0: something else */
uint64_t af_cookie(int fd, struct af_connection *conn); /* SO_COOKIE, read once; 0 where unreadable */
/* Peer and local port of a connection that came from elsewhere, while the kernel still tells. */
void af_learn_addresses(int fd, struct af_connection *conn);
void af_learn_linger(int fd, struct af_connection *conn); /* the same for its SO_LINGER and TCP_LINGER2 */
bool af_parent_holds(int fd); /* does the parent have the same open file at the same number (kcmp)? */
bool af_vfork_child_holds(int32_t vfork_child, int fd); /* has the image that inherited it, by pid, still got it? */

/* apply.c -------------------------------------------------------------------------------------------------- */

/* Decide for this role and address and set the options; *values gets what is in force. */
void af_apply(int fd, struct af_connection *conn, enum af_role role, const struct af_addr *addr,
              struct af_values *values);
bool af_set_options(int fd, const struct af_option *options, unsigned n); /* was ack refused? */
/* The program has set an option of this key: undo ours, or with override put it back. */
void af_reapply(int fd, struct af_connection *conn, enum af_key key);
/* rst: is this the close that ends a connection of our own (DESIGN: AFTERFIN_LINGER)? Then make it abort. */
bool af_apply_rst(int fd, struct af_connection *conn);

/* search.c ------------------------------------------------------------------------------------------------- */

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
/* The range of net.ipv4.ip_local_port_range; false where it cannot be read. Read once. */
bool af_port_range(uint16_t *low, uint16_t *high);

/* settle.c ------------------------------------------------------------------------------------------------- */

/* What the kernel says of a connection: TCP_INFO, cut down, or what poll tells of it (then the counts are 0). */
struct af_tcp_info {
    uint8_t state;
    int8_t unread; /* is there data that nobody has read? -1: not known yet */
    uint64_t acked, received;
};
bool af_read_tcp_info(int fd, const struct af_connection *conn, struct af_tcp_info *tcp);
/* The last known reference goes with fd, which is still open: decide how the connection ended, and count it. */
void af_settle(int fd, struct af_connection *conn);
/* connect(AF_UNSPEC) has ended what `tcp` saw just before. */
void af_settle_reset(int fd, struct af_connection *conn, const struct af_tcp_info *tcp);
void af_unsettle(struct af_connection *conn); /* what af_settle or af_settle_passed counted, taken back */
/* The connection goes on elsewhere: exec, or a holder that we cannot see. */
void af_settle_passed(int fd, struct af_connection *conn);
/* connect said yes, or TCP_INFO did. */
void af_established(struct af_connection *conn);
void af_connect_failed(struct af_connection *conn, int error);

/* open.c, local.c ------------------------------------------------------------------------------------------ */

/* connect, or a send that opens the connection; at_once: success means established. */
long af_open(struct af_connection *conn, const struct af_attempt *attempt, bool at_once);
int af_accept(bool raw, int fd, struct sockaddr *addr, socklen_t *len, int flags);
int af_bind_now(int fd, struct af_connection *conn);
void af_listening(int fd, struct af_connection *conn);

/* close.c, process.c --------------------------------------------------------------------------------------- */

void af_before_close(int fd);                                              /* fd is about to be closed */
void af_before_close_range(unsigned first, unsigned last, bool may_reset); /* may linger=rst be applied? */
void af_note_clone_vm(void);            /* a child on our memory comes, and will not wait for it as vfork's does */
void af_finish(bool raw);               /* the process is about to end; raw: by a bare system call */
void af_before_log_stream_closes(void); /* the log's stream is about to go, as at the end of many programs */
void af_before_fork(void);
void af_after_fork(pid_t child);
void af_before_exec(const char *path);
void af_exec_failed(void);
void af_seal(void);
void af_unseal(void);
/* seal.c: in whatever process this is, before its filter is there. False: it has one already. */
bool af_seal_here(void);
void af_unseal_here(void); /* after true: it was refused */
static inline void af_leave_sealed(void) {
    if (AF_UNLIKELY(af_vforked == AF_VFORK_SEALED))
        af_vforked = AF_VFORK_LEAVING;
}
pid_t af_pid(void);
void *af_vfork_next(void); /* called by vfork.S */

/* log.c ---------------------------------------------------------------------------------------------------- */

enum af_event { AF_EVENT_EXIT, AF_EVENT_EXEC, AF_EVENT_INTERVAL };
void af_log(enum af_event event);
void af_log_if_due(void);
void af_log_start(void);                /* remember what stderr and stdout are */
void af_complain(void);                 /* print the bad setting, once */
void af_say(const char *const parts[]); /* one line on stderr, "afterfin: " in front; NULL-terminated */
const char *af_policy_text(void);       /* "linger=ack,keepalive=60" */
const char *af_setting(int key);        /* its value as text, "" where unset; start only */
const char *af_error_name(int error);   /* "ENOSPC" */
uint64_t af_now(void);                  /* CLOCK_REALTIME, ns */
uint64_t af_clock(void);                /* CLOCK_MONOTONIC, ns; 0 where it may not be asked (af_sealed) */

#endif
