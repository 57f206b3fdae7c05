/* A library that is opened, perhaps with RTLD_DEEPBIND: it calls some functions by its table of calls, one through a pointer
 * in constant data. Built as deep.so. */
#include "way.h"

#include <sys/wait.h>

static int (*const volatile closes)(int fd) = close;

void go(const char *address, const char *port, int n);
void go(const char *address, const char *port, int n) {
    say("getdtablesize", getdtablesize() == 4711 ? "preloaded" : "libc");
    for (int i = 0; i < n; i++) {
        int first = connected(address, port), fd = fcntl(first, F_DUPFD_CLOEXEC, 0);
        MUST(close(first) == 0);
        MUST(send(fd, "x", 1, 0) == 1);
        char byte;
        MUST(recv(fd, &byte, 1, 0) == 1);
        MUST(closes(fd) == 0);
    }
    errno = 0;
    MUST(closes(-1) == -1 && errno == EBADF);
    MUST(fcntl(-1, F_GETFD) == -1 && syscall(SYS_close, -2) == -1);
    errno = 0;
    const struct sockaddr_in nobody = { .sin_family = AF_INET };
    MUST(connect(-1, (const struct sockaddr *)&nobody, sizeof nobody) == -1 && errno == EBADF);
}

/* One connection, which a child has too, and lets go of first. */
void shares(const char *address, const char *port, int n);
void shares(const char *address, const char *port, int n) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port), status;
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            close(fd);
            _exit(0);
        }
        MUST(waitpid(child, &status, 0) == child && status == 0);
        close(fd);
    }
}
