/* Connects N times while a timer's signals come every millisecond, and says how many of its connects a signal has ended,
 * and of how many of these the connection had not begun. Each is made again, on the same socket.
 *
 * interrupted ADDRESS PORT N [restart]    restart: the handler has SA_RESTART */
#include "victim.h"

#include <sys/time.h>

static volatile sig_atomic_t came;

static void on_alarm(int number) {
    (void)number;
    came++;
}

/* A connection that has begun goes on without its connect, and has a port. */
static bool has_port(int fd) {
    struct sockaddr_in6 at;
    socklen_t len = sizeof at;
    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sin6_port; /* where IPv4 has its port, too */
}

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    const struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = argc > 4 ? SA_RESTART : 0 };
    long interrupted = 0, not_begun = 0, good = 0;
    if (argc < 4)
        return 2;
    const socklen_t len = address_of(argv[1], argv[2], &to);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < atoi(argv[3]); i++) {
        const int fd = socket(to.ss_family, SOCK_STREAM, 0);
        int result;
        while ((result = connect(fd, (struct sockaddr *)&to, len)) != 0 && errno == EINTR) {
            interrupted++;
            not_begun += !has_port(fd);
        }
        good += result == 0 || errno == EISCONN || errno == EALREADY;
        close(fd);
    }
    say_number("good", good);
    say_number("interrupted", interrupted);
    say_number("not_begun", not_begun);
    say("signals", came ? "came" : "none");
    return 0;
}
