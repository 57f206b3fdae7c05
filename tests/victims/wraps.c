/* Another library to preload, whose functions make the system calls themselves, by syscall(), as those do that want no
 * dlsym. With WRAPS_SAYS set, each says its name on stderr. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int says;

__attribute__((constructor)) static void begin(void) {
    says = getenv("WRAPS_SAYS") != NULL;
}

#ifndef SYS_accept /* i386: the other one, with no flags */
#define SYS_accept SYS_accept4
#endif
/* In a tail call, so that syscall() sees our caller. */
#define WRAP(name, parameters, ...) \
    long wrap_##name parameters __asm__(#name); \
    long wrap_##name parameters { \
        if (says) \
            syscall(SYS_write, 2, #name "\n", sizeof #name); \
        return syscall(SYS_##name, __VA_ARGS__); \
    }
WRAP(socket, (int domain, int type, int protocol), domain, type, protocol)
WRAP(connect, (int fd, void *addr, int len), fd, addr, len)
WRAP(bind, (int fd, void *addr, int len), fd, addr, len)
WRAP(listen, (int fd, int backlog), fd, backlog)
WRAP(accept, (int fd, void *addr, void *len), fd, addr, len, 0)
WRAP(accept4, (int fd, void *addr, void *len, int flags), fd, addr, len, flags)
WRAP(getsockname, (int fd, void *addr, void *len), fd, addr, len)
WRAP(setsockopt, (int fd, int level, int name, void *value, int len), fd, level, name, value, len)
WRAP(getsockopt, (int fd, int level, int name, void *value, void *len), fd, level, name, value, len)
WRAP(shutdown, (int fd, int how), fd, how)
WRAP(close, (int fd), fd)
WRAP(dup, (int fd), fd)
WRAP(dup3, (int fd, int to, int flags), fd, to, flags)
WRAP(sendto, (int fd, void *data, size_t size, int flags, void *addr, int len), fd, data, size, flags, addr, len)
WRAP(sendmsg, (int fd, void *message, int flags), fd, message, flags)
WRAP(recvmsg, (int fd, void *message, int flags), fd, message, flags)
#ifdef SYS_dup2
WRAP(dup2, (int fd, int to), fd, to)
#endif
