/* The program that is measured: it knows nothing of the library. Prints nanoseconds, one number a line.
 *
 * driver cycle KIND N PORT                 median of socket, [bind,] connect, [read,] close; KIND: plain, bind0, bind, or
 *                                          heard, which reads one byte from PORT + 1
 * driver untimed KIND N PORT               no figure: the same, for who counts instructions
 * driver connects N PORT                   median of connect alone; a connection a time
 * driver levels N PORT COUNT...            the same N times, each after filling up to COUNT TIME_WAITs
 * driver fill parity|random FROM TO PORT   no figure: TIME_WAITs on the FROM-th to TO-th local port, in order
 * driver close OPEN                        median of close of a file while OPEN sockets are open
 * driver threads connect|socket N PORT     CPU time of one of N pairs of opening and closing in each of 64 threads
 * driver walls connect|socket N PORT       the same by the clock on the wall, where others work for it
 * driver fork|spawn OPEN N                 median of fork, of a child that ends at once, or of posix_spawn of /bin/true with an
 *                                          empty environment, while OPEN sockets are open
 * driver exec N [NAME=VALUE]...            median of /bin/true, from spawn to its end, with this environment */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

/* net.ipv4.ip_local_port_range in a new namespace. */
enum { LOW = 32768, HIGH = 60999, PORTS = HIGH - LOW + 1, THREADS = 64, LAG = 512 };

static struct sockaddr_in to;
static double took[1 << 16];

static double read_clock(clockid_t clock) {
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say_median(int n) {
    qsort(took, (size_t)n, sizeof *took, ascending);
    printf("%.1f\n", took[n / 2]);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void aim(const char *port) {
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* The server takes one connection after the other: when this one has its end, so had all before. Else, on a busy
 * machine, its queue would overflow. */
static void wait_for_server(void) {
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && shutdown(fd, SHUT_WR) == 0)
        (void)!read(fd, &byte, 1);
    close(fd);
}

static void cycle(const char *kind, int n, bool timed) {
    struct sockaddr_in from = { .sin_family = AF_INET };
    char byte;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + (*kind == 'h')));
    for (int i = 0; i < n; i++) {
        if (strcmp(kind, "bind") == 0)
            from.sin_port = htons((uint16_t)(10000 + i));
        double start = timed ? now() : 0;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (*kind == 'b' && bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
            fail("bind");
        if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
            fail("connect");
        if (*kind == 'h' && read(fd, &byte, 1) != 1)
            fail("read");
        close(fd);
        took[i] = timed ? now() - start : 0;
    }
    wait_for_server(); /* so that the next run has it to itself */
    if (timed)
        say_median(n);
}

static void connect_once(double *ns) {
    static unsigned made;

    if (++made % LAG == 0)
        wait_for_server();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    double start = now();

    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    *ns = now() - start;
    close(fd);
}

static void connects(int n) {
    for (int i = 0; i < n; i++)
        connect_once(&took[i]);
    say_median(n);
}

static void levels(int n, char **counts) {
    int made = 0;
    double unused;

    for (; *counts; counts++) {
        for (; made < atoi(*counts); made++)
            connect_once(&unused);
        connects(n);
        made += n;
    }
}

/* parity: ports as the kernel takes them, all of one parity before the other. random: the same for everyone. */
static void order_ports(bool random, uint16_t order[PORTS]) {
    uint64_t seed = 88172645463325252u;

    for (int i = 0; i < PORTS; i++)
        order[i] = (uint16_t)(LOW + (i < PORTS / 2 ? 2 * i : 2 * (i - PORTS / 2) + 1));
    for (int i = PORTS - 1; random && i > 0; i--) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        int k = (int)(seed % (uint64_t)(i + 1));
        uint16_t other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
}

/* A window of one port takes that port; one that is taken already is left. */
static void fill(bool random, int first, int end) {
    static uint16_t order[PORTS];

    order_ports(random, order);
    for (int i = first; i < end && i < PORTS; i++) {
        uint32_t window = (uint32_t)order[i] << 16 | order[i];
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &window, sizeof window) != 0)
            fail("IP_LOCAL_PORT_RANGE");
        (void)!connect(fd, (struct sockaddr *)&to, sizeof to);
        close(fd);
        if (i % LAG == 0)
            wait_for_server();
    }
    wait_for_server();
}

/* In batches, so that the clock's own 25 ns do not count. */
static void close_files(int open_sockets) {
    enum { BATCHES = 51, BATCH = 1000 };
    static int fd[BATCH];

    for (int i = 0; i < open_sockets; i++)
        if (socket(AF_INET, SOCK_STREAM, 0) < 0)
            fail("socket");
    int file = open("/dev/null", O_RDONLY);
    for (int b = 0; b < BATCHES; b++) {
        for (int i = 0; i < BATCH; i++)
            fd[i] = dup(file);
        double start = now();
        for (int i = 0; i < BATCH; i++)
            close(fd[i]);
        took[b] = (now() - start) / BATCH;
    }
    say_median(BATCHES);
}

static int pairs;
static bool connecting;
static pthread_barrier_t gate;

static void *open_and_close(void *unused) {
    pthread_barrier_wait(&gate);
    for (int i = 0; i < pairs; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || (connecting && connect(fd, (struct sockaddr *)&to, sizeof to) != 0))
            fail("thread");
        close(fd);
    }
    return unused;
}

/* Of the time on the wall the server and the scheduler have their part: bare differs from itself by 15 %. */
static void threads(const char *kind, int n, clockid_t clock) {
    pthread_t thread[THREADS];

    close(socket(AF_INET, SOCK_STREAM, 0)); /* the first one maps the memory that is counted in: 64 would, at once */
    pairs = n;
    connecting = strcmp(kind, "connect") == 0;
    pthread_barrier_init(&gate, NULL, THREADS);
    const double start = read_clock(clock);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, open_and_close, NULL) != 0)
            fail("pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("%.1f\n", (read_clock(clock) - start) / (n * THREADS));
}

/* Until the call returns. The child of fork does nothing, which would be copies of pages more. */
static void start_children(bool spawns, int open_sockets, int n) {
    char *argv[] = { "/bin/true", NULL }, *none[] = { NULL };

    for (int i = 0; i < open_sockets; i++)
        if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
            fail("socket");
    for (int i = 0; i < n; i++) {
        pid_t child = -1;
        double start = now();
        if (spawns)
            posix_spawn(&child, argv[0], NULL, NULL, argv, none);
        else
            child = fork();
        took[i] = now() - start;
        if (child == 0)
            raise(SIGKILL);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            fail("child");
    }
    say_median(n);
}

static void exec(int n, char **environment) {
    char *argv[] = { "/bin/true", NULL };

    for (int i = 0; i < n; i++) {
        pid_t child;
        int status;
        double start = now();
        if (posix_spawn(&child, argv[0], NULL, NULL, argv, environment) != 0 || waitpid(child, &status, 0) != child ||
            status != 0)
            fail("exec");
        took[i] = now() - start;
    }
    say_median(n);
}

int main(int argc, char **argv) {
    if (argc >= 5 && (strcmp(argv[1], "cycle") == 0 || strcmp(argv[1], "untimed") == 0)) {
        aim(argv[4]);
        cycle(argv[2], atoi(argv[3]), *argv[1] == 'c');
    } else if (argc >= 4 && strcmp(argv[1], "connects") == 0) {
        aim(argv[3]);
        connects(atoi(argv[2]));
    } else if (argc >= 5 && strcmp(argv[1], "levels") == 0) {
        aim(argv[3]);
        levels(atoi(argv[2]), argv + 4);
    } else if (argc >= 6 && strcmp(argv[1], "fill") == 0) {
        aim(argv[5]);
        fill(strcmp(argv[2], "random") == 0, atoi(argv[3]), atoi(argv[4]));
    } else if (argc >= 3 && strcmp(argv[1], "close") == 0) {
        close_files(atoi(argv[2]));
    } else if (argc >= 5 && (strcmp(argv[1], "threads") == 0 || strcmp(argv[1], "walls") == 0)) {
        aim(argv[4]);
        threads(argv[2], atoi(argv[3]), *argv[1] == 't' ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
    } else if (argc >= 4 && (strcmp(argv[1], "fork") == 0 || strcmp(argv[1], "spawn") == 0)) {
        start_children(*argv[1] == 's', atoi(argv[2]), atoi(argv[3]));
    } else if (argc >= 3 && strcmp(argv[1], "exec") == 0) {
        exec(atoi(argv[2]), argv + 3);
    } else {
        fprintf(stderr, "usage: see bench/driver.c\n");
        return 2;
    }
    return 0;
}
