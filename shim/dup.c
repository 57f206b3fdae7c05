/* Hooks: descriptors that multiply. */
#include "shim/shim.h"

#include <fcntl.h>

#ifndef SYS_dup2
#define SYS_dup2 (-1L) /* aarch64 has none: `raw` is never set */
#endif

static int copied(struct af_connection *conn, int fd) {
    int error = errno;
    if (conn)
        af_enter_or_unref(conn, fd);
    errno = error;
    return fd;
}

int af_on_dup(bool raw, int fd) {
    struct af_connection *conn = af_ours(fd);
    if (conn)
        af_ref(conn);
    return copied(conn, AF_NEXT(raw, dup, fd));
}

/* dup2 and dup3 close their target, unless the source is not open. */
static void replace(int fd, int to) {
    if (af_ours(to) && AF_SYS2(SYS_fcntl, fd, F_GETFD) >= 0)
        af_before_close(to);
}

int af_on_dup2(bool raw, int fd, int to) {
    if (fd == to)
        return AF_NEXT(raw, dup2, fd, to);
    struct af_connection *conn = af_ours(fd);
    if (conn)
        af_ref(conn);
    replace(fd, to);
    return copied(conn, AF_NEXT(raw, dup2, fd, to));
}

int af_on_dup3(bool raw, int fd, int to, int flags) {
    if (fd == to || flags & ~O_CLOEXEC)
        return AF_NEXT(raw, dup3, fd, to, flags);
    struct af_connection *conn = af_ours(fd);
    if (conn)
        af_ref(conn);
    replace(fd, to);
    return copied(conn, AF_NEXT(raw, dup3, fd, to, flags));
}

int af_on_fcntl(bool raw, int fd, int command, void *argument) {
    struct af_connection *conn = command == F_DUPFD || command == F_DUPFD_CLOEXEC ? af_ours(fd) : NULL;
    if (conn)
        af_ref(conn);
    return copied(conn, AF_NEXT(raw, fcntl, fd, command, argument));
}

static void know_cookie(int fd, struct af_connection *conn, void *context) {
    (void)context;
    af_cookie(fd, conn);
}

/* It may be one of our own that comes back: by its cookie it is known again. */
int af_on_pidfd_getfd(bool raw, int pidfd, int fd, unsigned flags) {
    int got = AF_NEXT(raw, pidfd_getfd, pidfd, fd, flags);
    int error = errno;
    if (got >= 0 && !af_in_vfork_child()) {
        af_each(0, ~0u, know_cookie, NULL);
        af_adopt_descriptor(got);
    }
    errno = error;
    return got;
}
