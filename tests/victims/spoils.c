/* A worker that has dropped its rights writes into all memory that it shares with its parent: each field of the
 * ledger's header, then random words everywhere, as long as the parent works. The parent opens and closes connections
 * in several ways, hundreds at once, hands them to itself, to children and to another image, and says how often one of
 * its sockets, or its memory, was not as it should be.
 *
 * spoils    what it execs: is there a TCP socket at 100, without SO_LINGER?
 * spoils ADDRESS PORT SECONDS LINGER2 (the value of TCP_LINGER2 that each of its connections should have, 0: any) */
#include "message.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { MOST = 64, WORD = 32 };

static struct area {
    uint32_t *words;
    size_t n;
} areas[MOST];
static int n_areas;

static void find_shared(void) {
    char line[512], mode[8];
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "re");

    MUST(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && strcmp(mode, "rw-s") == 0 && n_areas < MOST)
            areas[n_areas++] = (struct area){ (uint32_t *)from, (to - from) / sizeof(uint32_t) };
    fclose(maps);
}

static uint32_t random_word(uint64_t *state) {
    static const uint32_t odd[] = { 0, 1, 2, ~0u, 1u << 31, ~0u >> 1, 1 << 20, 1 << 16, 65535, 8, 16 };
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint32_t word = (uint32_t)(*state >> 33);
    return word % 3 ? odd[word / 3 % (sizeof odd / sizeof *odd)] : word;
}

__attribute__((noreturn)) static void spoil(uint64_t seed) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getuid() == 0)
        MUST(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    for (uint64_t round = 0;; round++)
        for (int i = 0; i < n_areas; i++) {
            const struct area *a = &areas[i];
            /* a file may be full of holes: keep to what lies before and between */
            const size_t n = a->n < 1 << 18 ? a->n : 1 << 18;
            if (round % 4 == 0)
                for (size_t at = 0; at < n && at < 1024; at++)
                    a->words[at] = random_word(&seed);
            for (int k = 0; k < 4096; k++)
                a->words[random_word(&seed) % n] = random_word(&seed);
        }
}

/* The parent's own, in every kind of memory that it has. */
static uint64_t own_static[4096], *own_heap;
static void fill(uint64_t *own) {
    for (uint64_t i = 0; i < 4096; i++)
        own[i] = i * 0x9e3779b97f4a7c15u;
}
static long changed(const uint64_t *own) {
    long n = 0;
    for (uint64_t i = 0; i < 4096; i++)
        n += own[i] != i * 0x9e3779b97f4a7c15u;
    return n;
}

static int linger2;
static long treated_otherwise;

static void expect(bool right) {
    treated_otherwise += !right;
}

static void one(const char *address, const char *port, unsigned i) {
    struct sockaddr_storage to, at, from = { .ss_family = AF_INET };
    socklen_t len = address_of(address, port, &to), size = sizeof at, int_size = sizeof(int),
              linger_size = sizeof(struct linger);
    struct linger own = { 1, 60 }, now = { 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 0, copy;

    MUST(fd >= 0);
    if (i % 4 == 1) { /* a port promised: it is there when it is asked for */
        ((struct sockaddr_in *)&from)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % 100);
        MUST(bind(fd, (struct sockaddr *)&from, sizeof(struct sockaddr_in)) == 0);
        MUST(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
        expect(((struct sockaddr_in *)&at)->sin_port &&
               ((struct sockaddr_in *)&at)->sin_addr.s_addr == htonl(INADDR_LOOPBACK + i % 100));
    }
    if (i % 4 == 2)
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &own, sizeof own) == 0);
    MUST(connect(fd, (struct sockaddr *)&to, len) == 0);
    MUST(getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &value, &int_size) == 0);
    MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &now, &linger_size) == 0);
    expect(!linger2 || (i % 4 == 2 ? value > 0 : value == linger2));
    expect(now.l_onoff == (i % 4 == 2));
    MUST((copy = dup(fd)) >= 0 && close(fd) == 0);
    if (i % 4 == 3) {
        pid_t child = i % 64 == 3 ? fork() : -1;
        if (child == 0)
            _exit(0);
        MUST(child < 0 || waitpid(child, NULL, 0) == child);
        MUST(shutdown(copy, SHUT_WR) == 0);
    }
    MUST(close(copy) == 0);
}

/* In the table below what the library keeps of a number, and above it. */
enum { HANDED = 100, AT_ONCE = 300 };

static int is_handed(void) {
    struct linger now = { 0 };
    socklen_t size = sizeof now;
    const bool there = getsockopt(HANDED, SOL_SOCKET, SO_LINGER, &now, &size) == 0 && !now.l_onoff;
    return there && close(HANDED) == 0 ? 0 : 3;
}

static void to_another_image(const char *address, const char *port) {
    char *argv[] = { "spoils", NULL };
    int fd = connected(address, port), status;
    MUST(dup2(fd, HANDED) == HANDED && close(fd) == 0);
    const pid_t child = vfork();
    if (child == 0) {
        execv("/proc/self/exe", argv);
        _exit(4);
    }
    MUST(waitpid(child, &status, 0) == child);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    MUST(close(HANDED) == 0);
}

static void to_itself(const char *address, const char *port) {
    struct linger now = { 0 };
    socklen_t size = sizeof now;
    int pair[2], fd = connected(address, port);

    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    send_descriptor(pair[0], fd);
    MUST(close(fd) == 0);
    fd = receive_descriptor(pair[1], 0);
    expect(getsockopt(fd, SOL_SOCKET, SO_LINGER, &now, &size) == 0 && !now.l_onoff);
    MUST(close(fd) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
}

static void many_at_once(const char *address, const char *port) {
    static int fds[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        fds[i] = connected(address, port);
    for (int i = 0; i < AT_ONCE; i++)
        MUST(close(fds[i]) == 0);
}

int main(int argc, char **argv) {
    if (argc == 1)
        return is_handed();
    if (argc != 5)
        return 2;
    linger2 = atoi(argv[4]);
    fill(own_static);
    fill(own_heap = malloc(sizeof own_static));
    one(argv[1], argv[2], 0); /* from now on there is a ledger */
    int held = connected(argv[1], argv[2]);
    find_shared();
    pid_t worker = fork();
    if (worker == 0)
        spoil((uint64_t)time(NULL) ^ (uint64_t)getpid() << 32);
    unsigned n = 0;
    for (time_t end = time(NULL) + atoi(argv[3]); n < 300 || time(NULL) < end;) {
        one(argv[1], argv[2], ++n);
        if (n % 16 == 0)
            to_itself(argv[1], argv[2]);
        if (n % 128 == 64)
            to_another_image(argv[1], argv[2]);
        if (n % 512 == 32)
            many_at_once(argv[1], argv[2]);
    }
    MUST(kill(worker, 0) == 0 && kill(worker, SIGKILL) == 0 && waitpid(worker, NULL, 0) == worker && close(held) == 0);
    say_number("areas", n_areas);
    say_number("opened", n);
    say_number("changed", changed(own_static) + changed(own_heap));
    say_number("otherwise", treated_otherwise);
    return 0;
}
