/* Writing where others read: a log, or the program's own stderr or stdout. Never so that the program blocks for longer than
 * a second in all its life, never with its signals held while it waits, never raising one of ours. */
#include "shim/output.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

enum { SIG_BLOCKED = 0, SIG_RESTORED = 2, MS = 1000000 };
#define SIGNAL_BIT(number) (1ull << ((number)-1))

/* How long the program may still be made to wait, ns. */
static _Atomic int64_t patience = 1000 * MS;

enum way {
    PLAIN,  /* write: a file on a disk, or a descriptor of ours that is O_NONBLOCK */
    SOCKET, /* send */
    NOWAIT, /* pwritev2, where the kernel has it for such a file: newer ones for pipes, none for terminals */
    POLLED  /* write, once poll says that there is room: in a race with another writer it can still block */
};

static long write_once(enum way way, int fd, const char *data, size_t size) {
    struct iovec one = { (void *)(uintptr_t)data, size };
    switch (way) {
    case SOCKET: return AF_SYS6(SYS_sendto, fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    case NOWAIT: return AF_SYS6(SYS_pwritev2, fd, &one, 1, -1, -1, RWF_NOWAIT);
    case POLLED: {
        struct pollfd asked = { .fd = fd, .events = POLLOUT };
        if (af_poll(&asked, 1, 0) <= 0)
            return -EAGAIN;
    } /* fall through */
    default: return AF_SYS3(SYS_write, fd, data, size);
    }
}

/* Whatever is at the other end: a closed pipe, a file size limit and a terminal of another job would raise a signal, so
 * for this moment all wait, and one that we have caused is taken back. */
static long write_unheard(enum way way, int fd, const char *data, size_t size) {
    uint64_t all = ~0ull, before = 0, pending = 0;
    uint64_t ours = SIGNAL_BIT(13 /* PIPE */) | SIGNAL_BIT(22 /* TTOU */) | SIGNAL_BIT(25 /* XFSZ */);
    struct timespec none = { 0 };
    AF_SYS4(SYS_rt_sigprocmask, SIG_BLOCKED, &all, &before, sizeof all);
    AF_SYS2(SYS_rt_sigpending, &pending, sizeof pending);
    long result = write_once(way, fd, data, size);
    ours &= ~pending;
    if (result < 0 && ours)
        AF_SYS4(SYS_rt_sigtimedwait, &ours, NULL, &none, sizeof ours);
    AF_SYS4(SYS_rt_sigprocmask, SIG_RESTORED, &before, NULL, sizeof before);
    return result;
}

/* With the program's own signals. False: it has waited enough. */
static bool wait_for_room(int fd) {
    int64_t left = atomic_load(&patience);
    if (left < MS)
        return false;
    struct pollfd asked = { .fd = fd, .events = POLLOUT };
    const uint64_t began = af_clock();
    long result = af_poll(&asked, 1, (int)(left / MS));
    const int64_t took = (int64_t)(af_clock() - began);
    atomic_fetch_sub(&patience, result == 0 ? left : took);
    return result > 0 || result == -EINTR;
}

static long write_all(enum way way, int fd, const char *data, size_t size) {
    while (size > 0) {
        long result = write_unheard(way, fd, data, size);
        if (result == -EAGAIN && wait_for_room(fd))
            continue;
        if (result <= 0)
            return result < 0 ? result : -EIO; /* what takes nothing would for ever */
        data += result;
        size -= (size_t)result;
    }
    return 0;
}

long af_write_own(int fd, const char *data, size_t size) {
    return write_all(PLAIN, fd, data, size);
}

/* A description of our own, since O_NONBLOCK on the program's would be everybody's who shares it. */
static long write_reopened(int fd, const char *data, size_t size) {
    const char *path = fd == 1 ? "/proc/self/fd/1" : "/proc/self/fd/2";
    long own = AF_SYS4(SYS_openat, AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (own < 0) /* no /proc, or the pipe is another user's */
        return write_all(POLLED, fd, data, size);
    long result = write_all(PLAIN, (int)own, data, size);
    AF_SYS1(SYS_close, own);
    return result;
}

static bool is_way(long result) {
    return result != -EOPNOTSUPP && result != -ENOSYS && result != -ESPIPE && result != -EINVAL;
}

static long write_standard(int fd, const char *data, size_t size) {
    struct stat st;
    long result = AF_SYS4(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
    if (result < 0)
        return result;
    if (S_ISREG(st.st_mode))
        return write_all(PLAIN, fd, data, size);
    if (S_ISSOCK(st.st_mode))
        return write_all(SOCKET, fd, data, size);
    result = write_all(NOWAIT, fd, data, size);
    return is_way(result) ? result : write_reopened(fd, data, size);
}

/* What a line of ours has left half written must not take the next one with it. */
long af_write_standard(int fd, const char *data, size_t size) {
    static _Atomic bool torn[3];
    long result = atomic_load(&torn[fd]) ? write_standard(fd, "\n", 1) : 0;
    if (result == 0)
        result = write_standard(fd, data, size);
    atomic_store(&torn[fd], result < 0);
    return result;
}

bool af_is_internet(int fd) {
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;
    return AF_SYS5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain != AF_UNIX;
}
