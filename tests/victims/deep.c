/* A library that is opened, perhaps with RTLD_DEEPBIND: it calls some functions by its table of calls, one through a pointer
 * in constant data. Built as deep.so. */
#include "way.h"

static int (*const volatile closes)(int fd) = close;

void go(const char *address, const char *port, int n);
void go(const char *address, const char *port, int n) {
    say("gethostid", gethostid() == 4711 ? "preloaded" : "libc");
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        MUST(send(fd, "x", 1, 0) == 1);
        char byte;
        MUST(recv(fd, &byte, 1, 0) == 1);
        MUST(closes(fd) == 0);
    }
    errno = 0;
    MUST(closes(-1) == -1 && errno == EBADF);
}
