/* Hooks: every way to let go of a descriptor. What is to be recorded is recorded before the real call: after
 * it another thread may hold the number, and a cancelled one never comes back. */
#include "shim/shim.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>

/* What is on it is then what is counted, whoever was at it: who closes comes last. */
static void let_go(int fd, struct af_socket *conn, bool last, bool may_reset) {
    if (last && AF_UNLIKELY(af_is_changing()))
        af_enforce(fd, conn);
    if (last && may_reset)
        af_apply_rst(fd, conn);
    if (last)
        af_settle(fd, conn);
    af_discard(conn, last);
}

static void before_close(int fd, bool may_reset) {
    bool last;
    af_read_mail();
    struct af_socket *conn = af_untrack(fd, &last);
    if (AF_UNLIKELY(af_is_changing()))
        af_wait_for_change(fd);
    if (conn)
        let_go(fd, conn, last, may_reset);
}

void af_before_close(int fd) {
    before_close(fd, true);
}

static void visit(int fd, struct af_socket *conn, void *may_reset) {
    (void)conn;
    before_close(fd, *(bool *)may_reset);
}

void af_before_close_range(unsigned first, unsigned last, bool may_reset) {
    af_each(first, last, visit, &may_reset);
}

static __attribute__((noinline)) int close_otherwise(int fd, bool raw) {
    if (AF_UNLIKELY(fd == af.log_fd && fd >= 0 && !af_in_vfork_child()))
        af_log(AF_EVENT_INTERVAL); /* the last that can be written there */
    if (af_ours(fd)) {
        af_log_if_due();
        af_before_close(fd);
    }
    return AF_NEXT(raw, close, fd);
}

static __attribute__((noinline)) int close_untracked(int fd, struct af_socket *conn) {
    bool last;
    if (AF_UNLIKELY(af_is_changing()))
        af_wait_for_change(fd);
    if (af_was_untracked(conn, &last))
        let_go(fd, conn, last, true);
    return af_real.close(fd);
}

/* The common case, as close_otherwise does it: a low number, and a connection that never was anybody else's. Its locked
 * instructions: the exchange in the table (threads may close it at once), the counts, the ring of a ledger that is kept, and
 * what puts the record back. That one descriptor is left is only looked at: a thread that still found it in the table has
 * put its own on top before. */
static __attribute__((noinline)) int close_plainly(int fd, struct af_socket *_Atomic *at) {
    if (!af_is_odd(AF_ODD_FILE)) /* else af_settle_alone asks for the time, once for both */
        af_log_if_due();
    struct af_socket *conn = atomic_exchange(at, NULL);
    if (AF_UNLIKELY(!conn))
        return af_real.close(fd);
    if (AF_UNLIKELY(atomic_load(&conn->refs) != 1 || af_is_odd(AF_ODD_SHARED | AF_ODD_MAIL | AF_ODD_CHANGING)))
        return close_untracked(fd, conn);
    if (af.counting || af.asks)
        af_settle_alone(fd, conn);
    af_discard_plainly(conn);
    return af_real.close(fd);
}

/* Most of what is closed is no TCP socket, with a high number too. */
static __attribute__((noinline)) int close_high(int fd) {
    const af_slot *leaf = fd >= 0 ? af_leaf_of((unsigned)fd) : NULL;
    if (AF_LIKELY(!leaf || !atomic_load_explicit(&leaf[fd & (AF_LEAF - 1)], memory_order_acquire)))
        return af_real.close(fd);
    return close_otherwise(fd, false);
}

int af_on_close(int fd, bool raw) {
    if (AF_UNLIKELY(fd == af.log_fd || raw))
        return close_otherwise(fd, raw);
    if (AF_UNLIKELY((unsigned)fd >= AF_LOW))
        return close_high(fd);
    if (!atomic_load_explicit(&af_low[fd], memory_order_acquire))
        return af_real.close(fd);
    if (AF_UNLIKELY(af_is_odd(AF_ODD_SHARED | AF_ODD_GUESTS | AF_ODD_SEALED | AF_ODD_RST | AF_ODD_MAIL) ||
                    !af_is_same_process()))
        return close_otherwise(fd, false);
    return close_plainly(fd, &af_low[fd]);
}

/* First a table of one's own, then the closing: what is closed there is not closed here. */
static void part_first(void) {
    int error = errno;
    if (AF_SYS1(SYS_unshare, CLONE_FILES) == 0)
        af_note_unshared();
    errno = error;
}

int af_on_close_range(unsigned first, unsigned last, int flags, bool raw) {
    const bool right = first <= last && !(flags & ~(int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC));
    const bool closes = right && !(flags & CLOSE_RANGE_CLOEXEC) && af.ledger && !af_in_vfork_child();
    const bool parts = right && flags & CLOSE_RANGE_UNSHARE && !af_in_vfork_child();
    if (closes && parts)
        part_first();
    if (closes && !af_in_vfork_child())
        af_before_close_range(first, last, true);
    int result = AF_NEXT(raw, close_range, first, last, flags);
    if (result == 0 && parts && !closes) { /* a kernel before 5.11 marks nothing, and leaves the table alone */
        int error = errno;
        af_note_unshared();
        errno = error;
    }
    return result;
}

void af_on_closefrom(int first) {
    if (af.ledger && !af_in_vfork_child())
        af_before_close_range(first < 0 ? 0 : (unsigned)first, ~0u, true);
    af_real.closefrom(first);
}

/* -1 where it has none (open_memstream, fopencookie), whatever lies where glibc keeps the number. */
static int descriptor_of(FILE *file) {
    int error = errno;
    int fd = af_real.fileno ? af_real.fileno(file) : -1;
    errno = error;
    return fd;
}

/* glibc closes the descriptor of a FILE without passing through close. Data that waits in the FILE is written
 * first; it does not change who closes first. */
static void before_fclose(int fd) {
    if (af_ours(fd))
        af_before_close(fd);
}

int af_on_fclose(FILE *file) {
    int fd = descriptor_of(file);
    if (AF_UNLIKELY(fd == af.log_fd && fd >= 0))
        af_before_log_stream_closes();
    before_fclose(fd);
    return af_real.fclose(file);
}

FILE *af_on_freopen(const char *path, const char *mode, FILE *file) {
    before_fclose(descriptor_of(file));
    return af_real.freopen(path, mode, file);
}

FILE *af_on_freopen64(const char *path, const char *mode, FILE *file) {
    before_fclose(descriptor_of(file));
    return af_real.freopen64(path, mode, file);
}
