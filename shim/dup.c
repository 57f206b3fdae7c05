/* Hooks: descriptors that multiply. */
#include "shim/shim.h"

#include <fcntl.h>

#ifndef SYS_dup2
#define SYS_dup2 (-1L) /* aarch64 has none: `raw` is never set */
#endif

static int copied(struct af_socket *conn, int fd, uint64_t sum) {
    int error = errno;
    if (conn)
        af_enter_or_unref(conn, fd, sum);
    errno = error;
    return fd;
}

int af_on_dup(int fd, bool raw) {
    struct af_socket *conn = af_ours(fd);
    const uint64_t sum = conn ? af_ref(conn) : 0;
    return copied(conn, AF_NEXT(raw, dup, fd), sum);
}

/* dup2 and dup3 close their target, unless the source is not open. */
static void replace(int fd, int to) {
    if (af_ours(to) && AF_SYS2(SYS_fcntl, fd, F_GETFD) >= 0)
        af_before_close(to);
}

int af_on_dup2(int fd, int to, bool raw) {
    if (fd == to)
        return AF_NEXT(raw, dup2, fd, to);
    struct af_socket *conn = af_ours(fd);
    const uint64_t sum = conn ? af_ref(conn) : 0;
    replace(fd, to);
    return copied(conn, AF_NEXT(raw, dup2, fd, to), sum);
}

int af_on_dup3(int fd, int to, int flags, bool raw) {
    if (fd == to || flags & ~O_CLOEXEC)
        return AF_NEXT(raw, dup3, fd, to, flags);
    struct af_socket *conn = af_ours(fd);
    const uint64_t sum = conn ? af_ref(conn) : 0;
    replace(fd, to);
    return copied(conn, AF_NEXT(raw, dup3, fd, to, flags), sum);
}

int af_on_fcntl(int fd, int command, void *argument, bool raw) {
    struct af_socket *conn = command == F_DUPFD || command == F_DUPFD_CLOEXEC ? af_ours(fd) : NULL;
    const uint64_t sum = conn ? af_ref(conn) : 0;
    return copied(conn, AF_NEXT(raw, fcntl, fd, command, argument), sum);
}

static void know_cookie(int fd, struct af_socket *conn, void *context) {
    (void)context;
    af_cookie(fd, conn);
}

/* It may be one of our own that comes back: by its cookie it is known again. */
int af_on_pidfd_getfd(int pidfd, int fd, unsigned flags, bool raw) {
    int got = AF_NEXT(raw, pidfd_getfd, pidfd, fd, flags);
    int error = errno;
    if (got >= 0 && !af_in_vfork_child()) {
        af_each(0, ~0u, know_cookie, NULL);
        af_adopt_descriptor(got);
    }
    errno = error;
    return got;
}
