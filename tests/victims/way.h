/* What the victims that know several ways share: a table of named functions, and connections to work on. A step
 * that fails where it must not ends the program with 3 and says which. */
#ifndef WAY_H
#define WAY_H

#include "victim.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define MUST(what) \
    do { \
        if (!(what)) \
            failed(#what, __FILE__, __LINE__); \
    } while (0)

__attribute__((noreturn)) static inline void failed(const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, error_name(errno));
    fflush(NULL);
    syscall(SYS_exit_group, 3); /* by no way that is being tested */
    __builtin_unreachable();
}

/* Wait until the test sends SIGUSR1, after saying "ready". */
static inline void await_signal(void) {
    sigset_t usr1;
    int number;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    say("ready", "now");
    MUST(sigwait(&usr1, &number) == 0);
}

/* A connection to argv's ADDRESS PORT. */
static inline int connected(const char *address, const char *port) {
    struct sockaddr_storage to;
    socklen_t len = address_of(address, port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);

    MUST(fd >= 0);
    MUST(connect(fd, (struct sockaddr *)&to, len) == 0);
    return fd;
}

/* The function named `name` of a table of {name, function}. */
#define WAY_NAMED(table, wanted) way_named(table, sizeof table / sizeof *table, wanted)

struct way {
    const char *name;
    void (*run)(int fd);
};

static inline const struct way *way_named(const struct way *table, size_t n, const char *wanted) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, wanted) == 0)
            return &table[i];
    fprintf(stderr, "no such way: %s\n", wanted);
    exit(2);
}

#endif
