/* Eight threads at once, in the way named.
 *
 * threads WAY ADDRESS PORT N */
#include "way.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 8 };

static const char *address, *port;
static int n, shared[THREADS];
static bool copies, heard;
static _Atomic int closed;
static pthread_barrier_t barrier;

static void *opens_and_closes(void *unused) {
    (void)unused;
    pthread_barrier_wait(&barrier); /* the first socket of all is everybody's */
    for (int i = 0; i < n; i++)
        MUST(close(connected(address, port)) == 0);
    return NULL;
}

/* A server of its own, and its only client. */
static void *serves_itself(void *unused) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    (void)unused;
    MUST(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 8) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < n; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0), server;
        MUST(connect(client, (struct sockaddr *)&at, sizeof at) == 0);
        MUST((server = accept(listener, NULL, NULL)) >= 0);
        MUST(close(client) == 0 && close(server) == 0);
    }
    return NULL;
}

/* All at the same descriptor, or each at its own copy. */
static void *closes_at_once(void *number) {
    for (int i = 0; i < n; i++) {
        pthread_barrier_wait(&barrier); /* main has opened */
        closed += close(shared[copies ? (intptr_t)number : 0]) == 0;
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void open_for_all(void) {
    for (int i = 0; i < n; i++) {
        closed = 0;
        shared[0] = connected(address, port);
        MUST(!heard || read_bytes(shared[0], 1));
        for (int t = 1; t < THREADS && copies; t++)
            MUST((shared[t] = dup(shared[0])) >= 0);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        MUST(closed == (copies ? THREADS : 1));
    }
}

/* Children are born while the threads open and close; each closes all it has and ends. */
static void fork_all_along(void) {
    for (int i = 0; i < n; i++) {
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            close_range(3, ~0u, 0);
            _exit(0);
        }
        MUST(waitpid(child, NULL, 0) == child);
    }
}

/* A thread with descriptors of its own lets go of its copy, not of the process's. */
static const char *apart;
static void *leaves_the_table(void *fd) {
    if (strcmp(apart, "apart_by_range") == 0)
        MUST(close_range(3, ~0u, CLOSE_RANGE_UNSHARE) == 0);
    else if (strcmp(apart, "apart_by_marking") == 0)
        MUST(close_range(3, ~0u, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) == 0 && close((int)(intptr_t)fd) == 0);
    else if (strcmp(apart, "apart_by_syscall") == 0)
        MUST(syscall(SYS_unshare, CLONE_FILES) == 0 && close((int)(intptr_t)fd) == 0);
    else
        MUST(unshare(CLONE_FILES) == 0 && close((int)(intptr_t)fd) == 0);
    return NULL;
}

static int part(const char *way) {
    apart = way;
    for (int i = 0; i < n; i++) {
        pthread_t thread;
        intptr_t fd = connected(address, port);
        MUST(pthread_create(&thread, NULL, leaves_the_table, (void *)fd) == 0 && pthread_join(thread, NULL) == 0);
        struct linger linger = { 0, 1 };
        socklen_t size = sizeof linger;
        MUST(getsockopt((int)fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && !(linger.l_onoff && !linger.l_linger));
        MUST(send((int)fd, "x", 1, 0) == 1 && close((int)fd) == 0);
    }
    return 0;
}

/* One that has parted before there was any TCP socket: its number is not ours. */
static void *has_the_number(void *unused) {
    MUST(close_range(3, ~0u, CLOSE_RANGE_UNSHARE) == 0);
    int own = socket(AF_INET, SOCK_STREAM, 0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* main has connected, at the same number */
    MUST(own == shared[0] && close(own) == 0);
    return unused;
}
static int parts_before(void) {
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < n; i++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, has_the_number, NULL) == 0);
        pthread_barrier_wait(&barrier);
        shared[0] = connected(address, port);
        pthread_barrier_wait(&barrier);
        MUST(pthread_join(thread, NULL) == 0 && close(shared[0]) == 0);
    }
    return 0;
}

/* The main thread parts: its first connection the others have too, and what it opens later is its own. */
static int number;
static void *closes_the_number(void *unused) {
    for (int i = 0; i < n; i++) {
        pthread_barrier_wait(&barrier); /* main has parted, and opened one */
        MUST((close(number) == 0) == (i == 0));
        pthread_barrier_wait(&barrier);
    }
    return unused;
}
static int main_parts(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    number = connected(address, port);
    MUST(pthread_create(&thread, NULL, closes_the_number, NULL) == 0 && unshare(CLONE_FILES) == 0);
    for (int i = 0; i < n; i++) {
        number = i ? connected(address, port) : number;
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        MUST(send(number, "x", 1, 0) == 1 && close(number) == 0);
    }
    return pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    pthread_t thread[THREADS];

    if (argc != 5)
        return 2;
    address = argv[2], port = argv[3], n = atoi(argv[4]);
    if (strcmp(argv[1], "main_apart") == 0)
        return main_parts();
    if (strcmp(argv[1], "parts_before") == 0)
        return parts_before();
    if (strncmp(argv[1], "apart", 5) == 0)
        return part(argv[1]);
    bool forks = strcmp(argv[1], "forks") == 0, serves = strcmp(argv[1], "leaves_serving") == 0;
    bool leaves = serves || strcmp(argv[1], "leaves") == 0;
    bool own = forks || leaves || strcmp(argv[1], "own") == 0;
    void *(*run)(void *) = serves ? serves_itself : own ? opens_and_closes : closes_at_once;
    copies = strcmp(argv[1], "copies") == 0;
    heard = strcmp(argv[1], "same_heard") == 0;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (intptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&thread[i], NULL, run, (void *)i) == 0);
    if (own)
        pthread_barrier_wait(&barrier);
    else
        open_for_all();
    if (forks)
        fork_all_along();
    if (leaves)
        exit(0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(thread[i], NULL) == 0);
    return 0;
}
