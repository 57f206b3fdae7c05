/* N connections, each closed first by this side, by the functions that only 32-bit programs call: socketcall(2) by its one
 * number, or those of time in 64 bits; `locks`: with locks of an open file description in each of the two layouts.
 *
 * bits32 socketcall|time64|locks ADDRESS PORT N */
#include "victim.h"

#ifdef __i386__
#include <sys/syscall.h>

/* Before glibc 2.28 there is fcntl alone, and programs with offsets of 64 bits call it. */
extern int old_fcntl(int fd, int command, ...);
__asm__(".symver old_fcntl, fcntl@GLIBC_2.0");
extern int fcntl_time64(int fd, int command, ...) __asm__("__fcntl_time64");
extern int setsockopt64(int fd, int level, int name, const void *value, socklen_t len) __asm__("__setsockopt64");
extern int getsockopt64(int fd, int level, int name, void *value, socklen_t *len) __asm__("__getsockopt64");
extern ssize_t sendmsg64(int fd, const struct msghdr *message, int flags) __asm__("__sendmsg64");
extern ssize_t recvmsg64(int fd, struct msghdr *message, int flags) __asm__("__recvmsg64");
extern int recvmmsg64(int fd, struct mmsghdr *messages, unsigned n, int flags, void *timeout) __asm__("__recvmmsg64");

enum { SOCKET = 1, CONNECT = 3, GETSOCKNAME = 6, SEND = 9, RECV = 10, SHUTDOWN = 13, SETSOCKOPT = 14 };
#define CALL(number, ...) syscall(SYS_socketcall, number, ((long[6]){ __VA_ARGS__ }))

static bool by_socketcall(const struct sockaddr_storage *to, socklen_t len) {
    struct sockaddr_storage own;
    socklen_t own_len = sizeof own;
    char byte = 1;
    int on = 1, fd = (int)CALL(SOCKET, to->ss_family, SOCK_STREAM, 0);
    bool done = fd >= 0 && CALL(CONNECT, fd, (long)to, len) == 0 &&
                CALL(GETSOCKNAME, fd, (long)&own, (long)&own_len) == 0 && own.ss_family == to->ss_family &&
                CALL(SETSOCKOPT, fd, IPPROTO_TCP, TCP_NODELAY, (long)&on, sizeof on) == 0 &&
                CALL(SEND, fd, (long)&byte, 1, 0) == 1 && CALL(RECV, fd, (long)&byte, 1, 0) == 1;
    done = done && CALL(CONNECT, fd, 1, len) == -1 && errno == EFAULT && syscall(SYS_socketcall, SETSOCKOPT, 1) == -1 &&
           errno == EFAULT && syscall(SYS_socketcall, 99, 1) == -1 && errno == EINVAL;
    return close(fd) == 0 && done;
}

static bool by_time64(const struct sockaddr_storage *to, socklen_t len) {
    struct {
        long long s;
        long ns, unused;
    } second = { 1, 0, 0 };
    char byte = 1;
    struct iovec part = { &byte, 1 };
    struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
    int on = 1, first = socket(to->ss_family, SOCK_STREAM, 0);
    socklen_t size = sizeof on;
    bool done = first >= 0 && connect(first, (const struct sockaddr *)to, len) == 0 &&
                setsockopt64(first, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    int fd = fcntl_time64(first, F_DUPFD_CLOEXEC, 0);
    on = 0;
    done = done && close(first) == 0 && getsockopt64(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on &&
           sendmsg64(fd, &message.msg_hdr, 0) == 1 && recvmmsg64(fd, &message, 1, 0, &second) == 1 && second.s == 0 &&
           second.ns > 0 && recvmsg64(fd, &message.msg_hdr, MSG_DONTWAIT) == -1 && errno == EAGAIN;
    return close(fd) == 0 && done;
}

/* A byte behind what 32 bits can say, locked in one layout, is not free in the other's eyes, nor is any other there. */
static bool locks(void) {
    FILE *file = tmpfile();
    int fd = fileno(file);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR);
    struct flock64 wide = { .l_type = F_WRLCK, .l_start = 1LL << 40, .l_len = 1 };
    struct flock narrow = { .l_type = F_WRLCK, .l_start = 7, .l_len = 1 };
    bool done = fcntl64(fd, F_OFD_SETLK, &wide) == 0 && fcntl(fd, F_OFD_SETLK, &narrow) == 0;
    wide.l_start = 0, wide.l_len = 1 << 20;
    done = done && old_fcntl(again, F_OFD_GETLK, &wide) == 0 && wide.l_type == F_WRLCK && wide.l_start == 7;
    wide = (struct flock64){ .l_type = F_WRLCK, .l_start = 1LL << 40, .l_len = 1 };
    done = done && fcntl_time64(again, F_OFD_SETLK, &wide) == -1 && errno == EAGAIN;
    narrow = (struct flock){ .l_type = F_WRLCK, .l_start = 7, .l_len = 1 };
    done = done && fcntl(again, F_OFD_SETLK, &narrow) == -1 && errno == EAGAIN;
    narrow.l_start = 9;
    done = done && fcntl(again, F_SETLK, &narrow) == 0;
    return close(again) == 0 && fclose(file) == 0 && done;
}

static bool by_locks(const struct sockaddr_storage *to, socklen_t len) {
    return locks() && by_time64(to, len);
}
#endif

int main(int argc, char **argv) {
    (void)argv;
    if (argc != 5)
        return 2;
#ifdef __i386__
    struct sockaddr_storage to;
    const socklen_t len = address_of(argv[2], argv[3], &to);
    const char way = *argv[1];
    for (int i = 0; i < atoi(argv[4]); i++)
        if (!(way == 's' ? by_socketcall : way == 't' ? by_time64 : by_locks)(&to, len))
            return 1;
#endif
    return 0;
}
