/* Opens and closes N connections, while a signal handler that runs every few hundred us does the same, up to N
 * times. Only async-signal-safe functions are called in it.
 *
 * storm ADDRESS PORT N */
#include "way.h"

#include <sys/time.h>

static union {
    struct sockaddr_storage storage;
    struct sockaddr any;
} to;
static socklen_t to_len;
static volatile sig_atomic_t handled, failures;
static int limit;

static bool one(void) {
    int fd = socket(to.storage.ss_family, SOCK_STREAM, 0);
    int copy = dup(fd);
    bool good = fd >= 0 && copy >= 0 && connect(fd, &to.any, to_len) == 0;

    return close(fd) == 0 && send(copy, "x", 1, MSG_NOSIGNAL) == 1 && close(copy) == 0 && good;
}

static void on_alarm(int number) {
    int error = errno;

    (void)number;
    if (handled < limit) {
        handled++;
        failures += !one();
    }
    errno = error;
}

int main(int argc, char **argv) {
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };

    if (argc != 4)
        return 2;
    to_len = address_of(argv[1], argv[2], &to.storage);
    limit = atoi(argv[3]);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < limit; i++)
        failures += !one();
    setitimer(ITIMER_REAL, &never, NULL);
    say_number("main", limit);
    say_number("handler", handled);
    say_number("failures", failures);
    return failures != 0;
}
