/* Hooks: every way to let go of a descriptor. What is to be recorded is recorded before the real call: after
 * it another thread may hold the number, and a cancelled one never comes back. */
#include "shim/shim.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>

static void before_close(int fd, bool may_reset) {
    bool last;
    struct af_socket *conn = af_untrack(fd, &last);
    if (!conn)
        return;
    if (last && may_reset)
        af_apply_rst(fd, conn);
    if (last)
        af_settle(fd, conn);
    af_discard(conn, last);
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

int af_on_close(bool raw, int fd) {
    if (AF_UNLIKELY(fd == af.log_fd && fd >= 0 && !af_in_vfork_child()))
        af_log(AF_EVENT_INTERVAL); /* the last that can be written there */
    if (af_ours(fd)) {
        af_log_if_due();
        af_before_close(fd);
    }
    return AF_NEXT(raw, close, fd);
}

int af_on_close_range(bool raw, unsigned first, unsigned last, int flags) {
    bool closes = first <= last && !(flags & ~(int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) &&
                  !(flags & CLOSE_RANGE_CLOEXEC);
    if (closes && flags & CLOSE_RANGE_UNSHARE && af.ledger && !af_in_vfork_child()) {
        int error =
            errno; /* first the one, then the other: what is closed in a table of one's own is not closed here */
        if (AF_SYS1(SYS_unshare, CLONE_FILES) == 0)
            af_note_unshared();
        errno = error;
    }
    if (closes && af.ledger && !af_in_vfork_child())
        af_before_close_range(first, last, true);
    return AF_NEXT(raw, close_range, first, last, flags);
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
