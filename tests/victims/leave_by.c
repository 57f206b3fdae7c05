/* N connections, all open when the process leaves by the way named.
 *
 * leave_by WAY ADDRESS PORT N */
#include "way.h"

#include <err.h>
#include <pthread.h>

static void by_exit(int fd) {
    (void)fd;
    exit(0);
}
static void by__exit(int fd) {
    (void)fd;
    _exit(0);
}
static void by__Exit(int fd) {
    (void)fd;
    _Exit(0);
}
static void by_quick_exit(int fd) {
    (void)fd;
    quick_exit(0);
}
static void by_return(int fd) {
    (void)fd;
}
static void by_exit_group(int fd) {
    (void)fd;
    syscall(SYS_exit_group, 0);
}
static void by_errx(int fd) {
    (void)fd;
    errx(0, "%s", "leaves");
}
static void by_pthread_exit(int fd) {
    (void)fd;
    pthread_exit(NULL);
}

static void *exits(void *unused) {
    (void)unused;
    exit(0);
}

static void by_thread(int fd) {
    pthread_t thread;

    (void)fd;
    MUST(pthread_create(&thread, NULL, exits, NULL) == 0);
    pause();
}

static void on_signal(int number) {
    (void)number;
    _exit(0);
}

static void by_signal_handler(int fd) {
    (void)fd;
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
}

/* Handlers run in the reverse order: what they close was closed by them, not by the exit. */
static int to_close[4096], n_to_close;
static void close_all(void) {
    for (int i = 0; i < n_to_close; i++)
        MUST(close(to_close[i]) == 0);
}

static void by_atexit_handler(int fd) {
    atexit(close_all);
    (void)fd;
}

static void by_destructor_of_a_stream(int fd) {
    FILE *file = fdopen(fd, "w"); /* flushed by exit, after all handlers */
    MUST(file && fputs("last words", file) >= 0);
}

static void by_sigkill(int fd) {
    (void)fd;
    raise(SIGKILL);
}
static void by_abort(int fd) {
    (void)fd;
    abort();
}

static const struct way ways[] = {
    { "exit", by_exit },
    { "_exit", by__exit },
    { "_Exit", by__Exit },
    { "quick_exit", by_quick_exit },
    { "return", by_return },
    { "exit_group", by_exit_group },
    { "errx", by_errx },
    { "pthread_exit", by_pthread_exit },
    { "thread", by_thread },
    { "signal_handler", by_signal_handler },
    { "atexit_handler", by_atexit_handler },
    { "stream", by_destructor_of_a_stream },
    { "sigkill", by_sigkill },
    { "abort", by_abort },
};

int main(int argc, char **argv) {
    int fd = -1;

    if (argc != 5 || atoi(argv[4]) > 4096)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    for (int i = 0; i < atoi(argv[4]); i++)
        to_close[n_to_close++] = fd = connected(argv[2], argv[3]);
    way->run(fd);
    return 0;
}
