/* Where the driver runs: network namespace, server, processors. */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENT_CPU, SERVER_CPU, MOST_ARGS = 32 };

static char folder[512], library[512], driver[512], ledgers[64];
static pid_t server, greeter;

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* An ordinary user becomes root of a user namespace. */
static void become_root(void) {
    char map[32];
    unsigned uid = getuid(), gid = getgid();

    if (geteuid() == 0 || unshare(CLONE_NEWUSER) != 0)
        return;
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
}

void place_init(const char *build) {
    struct rlimit files;

    snprintf(folder, sizeof folder, "%s", build);
    snprintf(library, sizeof library, "%s/libafterfin.so", build);
    snprintf(driver, sizeof driver, "%s/bench/driver", build);
    /* The default directory is in /run, which is memory on most systems; a disk has costs of its own. */
    snprintf(ledgers, sizeof ledgers, "%s/afterfin-bench.%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    become_root();
    if (mkdir(ledgers, 0700) != 0)
        perror(ledgers);
}

const char *place_ledgers(void) {
    return ledgers;
}

void place_end(void) {
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", ledgers);
    if (system(command) != 0)
        fprintf(stderr, "bench: %s is left\n", ledgers);
}

static void pin(int cpu) {
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        sched_setaffinity(0, sizeof set, &set);
}

/* Never first: it reads to the end of each connection before it closes. */
static void serve(int listener, bool greets) {
    char chunk[512];

    pin(SERVER_CPU);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && greets)
            (void)!send(fd, "!", 1, MSG_NOSIGNAL);
        while (fd >= 0 && recv(fd, chunk, sizeof chunk, 0) > 0)
            continue;
        if (fd >= 0)
            close(fd);
    }
}

/* The same, and never asleep: a connection wakes nobody, which on a virtual machine costs more than it does itself. */
static void serve_awake(int listener) {
    static int open_ones[4096];
    char chunk[512];
    size_t n = 0;

    pin(SERVER_CPU);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    for (;;) {
        int fd = n < sizeof open_ones / sizeof *open_ones ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd >= 0)
            open_ones[n++] = fd;
        for (size_t i = 0; i < n; i++) {
            ssize_t got = recv(open_ones[i], chunk, sizeof chunk, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
                close(open_ones[i]);
                open_ones[i--] = open_ones[--n];
            }
        }
    }
}

enum manner { SLEEPS, STAYS_AWAKE, GREETS };

static pid_t start_server(const char *port, enum manner manner) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 4096) != 0) {
        perror("bench: server");
        return -1;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (manner == STAYS_AWAKE)
            serve_awake(listener);
        else
            serve(listener, manner == GREETS);
    }
    close(listener);
    return child;
}

bool place_enter(bool keeps_time_waits, bool awake) {
    struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd;

    if (unshare(CLONE_NEWNET) != 0) {
        perror("bench: no network namespace");
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ioctl(fd, SIOCSIFFLAGS, &up);
    close(fd);
    write_file("/proc/sys/net/ipv4/tcp_tw_reuse", "0");
    write_file("/proc/sys/net/ipv4/tcp_rfc1337", "1"); /* no RST ends a TIME_WAIT */
    if (!keeps_time_waits)
        write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0");
    server = start_server(BENCH_PORT, awake ? STAYS_AWAKE : SLEEPS);
    greeter = start_server(GREETS_PORT, GREETS);
    return server > 0 && greeter > 0;
}

static void end_server(pid_t *child) {
    if (*child > 0) {
        kill(*child, SIGKILL);
        waitpid(*child, NULL, 0);
    }
    *child = 0;
}

void place_leave(void) {
    end_server(&server);
    end_server(&greeter);
}

long place_time_waits(void) {
    FILE *file = fopen("/proc/net/sockstat", "re");
    char line[256];
    long tw = -1;

    while (file && fgets(line, sizeof line, file)) {
        char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " tw ") : NULL;
        tw = at ? atol(at + 4) : tw;
    }
    if (file)
        fclose(file);
    return tw;
}

/* The variables of `settings`, as NAME=VALUE; returns how many. */
static int variables(const char *settings, char *out[], int room) {
    char *rest = NULL;
    const bool floor = settings && strncmp(settings, "floor", 5) == 0,
               empty = settings && strcmp(settings, "empty") == 0, other = floor || empty;
    int n = 0;

    if (settings && (other ? asprintf(&out[n], "LD_PRELOAD=%s/bench/%s.so", folder, floor ? "floor" : "empty")
                           : asprintf(&out[n], "LD_PRELOAD=%s", library)) > 0)
        n++;
    if (floor && settings[5] == ' ' && asprintf(&out[n], "FLOOR=%s", settings + 6) > 0)
        n++;
    for (char *one = settings && !other ? strtok_r(strdup(settings), "|", &rest) : NULL; one && n < room;
         one = strtok_r(NULL, "|", &rest))
        if (asprintf(&out[n], "AFTERFIN_%s", one) > 0)
            n++;
    return n;
}

/* "static" and what else bench.h has of it: the words before the driver's. Returns how many. */
static int static_words(const char *settings, char *out[]) {
    char *command, *how = (char *)settings + strlen("static");
    int n = 0;
    if (strchr(how, '=') && asprintf(&command, "%s/afterfin", folder) > 0) {
        char *const words[] = { command, "run", "-q", "-p", how + 1, "--" };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            out[n++] = words[i];
    } else if (*how && asprintf(&command, "%s/bench/outside", folder) > 0) {
        out[n++] = command;
        out[n++] = how + 1;
    }
    if (asprintf(&out[n], "%s_static", driver) > 0)
        n++;
    return n;
}

static char *const callgrind[] = { "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null" };

static void become_driver(const struct start *start, int out, bool counted) {
    char *argv[MOST_ARGS] = { callgrind[0], callgrind[1], callgrind[2] }, *variable[MOST_ARGS], *rest = NULL;
    const bool alone = start->settings && strncmp(start->settings, "static", 6) == 0;
    int n = counted ? 3 : 0, set = alone ? 0 : variables(start->settings, variable, MOST_ARGS / 2);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!start->everywhere)
        pin(CLIENT_CPU);
    dup2(out, counted ? 2 : 1);
    if (alone && strchr(start->settings, '=')) /* run's line that it is at work */
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    if (alone)
        n += static_words(start->settings, argv + n);
    else
        argv[n++] = driver;
    for (char *word = strtok_r(strdup(start->arguments), " ", &rest); word && n < MOST_ARGS / 2;
         word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    for (int i = 0; i < set; i++)
        if (start->for_children)
            argv[n++] = variable[i];
        else
            putenv(variable[i]);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

static pid_t start_driver(const struct start *start, int *in, bool counted) {
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    child = fork();
    if (child == 0)
        become_driver(start, ends[1], counted);
    close(ends[1]);
    *in = ends[0];
    return child;
}

static bool read_figures(const struct start *start, pid_t child, int in, double out[], size_t n) {
    FILE *file = fdopen(in, "r");
    size_t got = 0;
    int status = -1;

    while (file && got < n && fscanf(file, "%lf", &out[got]) == 1)
        got++;
    if (file)
        fclose(file);
    waitpid(child, &status, 0);
    if (status == 0 && got == n)
        return true;
    fprintf(stderr, "bench: driver %s with '%s': status %d, %zu figures of %zu\n", start->arguments,
            start->settings ? start->settings : "bare", status, got, n);
    return false;
}

bool run_driver(const struct start *start, double out[], size_t n) {
    int in = -1;
    pid_t child = start_driver(start, &in, false);

    return child > 0 && read_figures(start, child, in, out, n);
}

bool run_drivers(const struct start *starts, size_t n, double out[]) {
    pid_t child[MOST_FIGURES];
    int in[MOST_FIGURES];
    bool good = true;

    for (size_t i = 0; i < n; i++)
        child[i] = start_driver(&starts[i], &in[i], false);
    for (size_t i = 0; i < n; i++)
        good &= child[i] > 0 && read_figures(&starts[i], child[i], in[i], &out[i], 1);
    return good;
}

double count_driver(const struct start *start) {
    int in = -1, status = -1;
    pid_t child = start_driver(start, &in, true);
    FILE *file = child > 0 ? fdopen(in, "r") : NULL;
    char line[512];
    double collected = -1;

    while (file && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "Collected : ");
        collected = at ? atof(at + 12) : collected;
    }
    if (file)
        fclose(file);
    if (child > 0)
        waitpid(child, &status, 0);
    return status == 0 ? collected : -1;
}
