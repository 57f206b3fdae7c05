/* Forks at every moment of an opening and a closing. Each child ends at once.
 *
 *   threads  three threads fork all along, while four open and close N connections each
 *   handler  N times: a connection that is open while fork is interrupted by a handler, which opens one and forks
 *
 * fork_storm WAY ADDRESS PORT N */
#include "way.h"

#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { OPENERS = 4, FORKERS = 3 };

static const char *address, *port;
static int n;
static pid_t self;
static volatile bool done;
static long opened, forked;

static void have_a_child(void) {
    pid_t child = fork();

    MUST(child >= 0);
    if (child == 0)
        _exit(0);
    while (waitpid(child, NULL, 0) < 0)
        MUST(errno == EINTR);
    __atomic_fetch_add(&forked, 1, __ATOMIC_RELAXED);
}

static void *opens(void *unused) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        int copy = i % 3 ? fd : dup(fd);
        MUST(copy >= 0 && close(fd) == 0 && (copy == fd || close(copy) == 0));
    }
    __atomic_fetch_add(&opened, n, __ATOMIC_RELAXED);
    return unused;
}

static void *forks(void *unused) {
    while (!done)
        have_a_child();
    return unused;
}

static void on_alarm(int signal) {
    int error = errno;

    (void)signal;
    if (getpid() == self) {
        int fd = connected(address, port);
        have_a_child();
        MUST(close(fd) == 0);
        opened++;
    }
    errno = error;
}

static void by_threads(void) {
    pthread_t thread[OPENERS + FORKERS];

    for (int i = 0; i < OPENERS + FORKERS; i++)
        MUST(pthread_create(&thread[i], NULL, i < OPENERS ? opens : forks, NULL) == 0);
    for (int i = 0; i < OPENERS + FORKERS; i++) {
        done = i >= OPENERS;
        MUST(pthread_join(thread[i], NULL) == 0);
    }
}

static void by_handler(void) {
    const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    for (int i = 0; i < n; i++) {
        const struct itimerval soon = { .it_value.tv_usec = 1 + rand() % 300 };
        int fd = connected(address, port);
        MUST(setitimer(ITIMER_REAL, &soon, NULL) == 0);
        have_a_child();
        MUST(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL) == 0);
        MUST(close(fd) == 0);
        opened++;
    }
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    address = argv[2], port = argv[3], n = atoi(argv[4]);
    self = getpid();
    strcmp(argv[1], "handler") == 0 ? by_handler() : by_threads();
    say_number("opened", opened);
    say_number("forked", forked);
    return 0;
}
