/* A random but repeatable play over 8 descriptors and up to 4 processes: opening, copying, closing, half-closing, forking,
 * children on our memory, other images, descriptors sent to oneself, and every way out. Whoever is the last to let go of a
 * connection is the first to end it: its peer waits for that. Prints, per process, what it does where MODEL_TELLS is set.
 *
 * model SEED ADDRESS PORT STEPS */
#include "way.h"

#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { SLOTS = 8, MOST = 4, FIRST = 200 };

extern char **environ;
static uint64_t state;
static bool held[SLOTS];
static _Atomic int *processes, *connections;
static int pair[2], depth;

/* One play has the one or the other: a connection that is on its way to somebody and half-closed by a third looks, in
 * the end, like one that was reset. */
enum { SENDING = 1, HALF_CLOSING };
static bool may(int what) {
    int none = 0;
    return __atomic_compare_exchange_n((int *)processes + 2, &none, what, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
           none == what;
}

static unsigned draw(unsigned n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void tell(const char *what, int a, int b) {
    if (getenv("MODEL_TELLS"))
        fprintf(stderr, "%d: %s %d %d\n", getpid(), what, a, b);
}

static void place(int fd, int at) {
    MUST(fd >= 0 && dup2(fd, FIRST + at) == FIRST + at && close(fd) == 0);
    held[at] = true;
}

static void opens(const char *address, const char *port, int at) {
    tell("open", at, 0);
    ++*connections;
    place(connected(address, port), at);
}

static void copies(int from, int to) {
    tell("copy", from, to);
    if (!held[from] || from == to)
        return;
    if (draw(2))
        MUST(dup3(FIRST + from, FIRST + to, O_CLOEXEC) == FIRST + to);
    else
        MUST(dup2(FIRST + from, FIRST + to) == FIRST + to);
    held[to] = true;
}

static void closes(int at) {
    tell("close", at, 0);
    MUST((close(FIRST + at) == 0) == held[at]);
    held[at] = false;
}

static void closes_range(int from, int to) {
    tell("close_range", from, to);
    MUST(from > to || close_range((unsigned)(FIRST + from), (unsigned)(FIRST + to), 0) == 0);
    for (int i = from; i <= to; i++)
        held[i] = false;
}

/* To ourselves and back: two messages at once, of which the second has it, or one alone. */
static void sends(int from, int to) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { &(char){ 'x' }, 1 };
    struct mmsghdr messages[2] = {
        { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1 } },
        { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control } }
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&messages[1].msg_hdr);
    int fd = FIRST + from, two = (int)draw(2);

    tell("send", from, to);
    if (!held[from] || !may(SENDING))
        return;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    MUST(sendmmsg(pair[0], &messages[!two], 1 + (unsigned)two, 0) == 1 + two);
    if (draw(2))
        closes(from);
    if (two)
        MUST(read(pair[1], &(char){ 0 }, 1) == 1);
    MUST(recvmsg(pair[1], &messages[1].msg_hdr, 0) == 1);
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    place(fd, to);
}

static void vforks(void) {
    tell("vfork", 0, 0);
    pid_t child = vfork();
    if (child == 0) {
        for (int i = 0; i < SLOTS; i++)
            close(FIRST + i);
        _exit(0);
    }
    MUST(child > 0 && waitpid(child, NULL, 0) == child);
}

static void spawns(void) {
    char *argv[] = { "true", NULL };
    pid_t child;

    tell("spawn", 0, 0);
    MUST(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0 && waitpid(child, NULL, 0) == child);
}

static bool forks(unsigned step) {
    int before = ++*processes;
    tell("fork", before, 0);
    pid_t child = before <= MOST ? fork() : -1;
    if (child < 0)
        return false;
    if (child == 0) {
        state ^= (uint64_t)(step + 1) * 0x9e3779b97f4a7c15u;
        depth++;
        MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    }
    return child == 0;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const int last = 1 + SLOTS - 1;
    state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u;
    processes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    connections = processes + 1;
    *processes = 1;
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    opens(argv[2], argv[3], 0);
    for (unsigned step = 0; step < (unsigned)atoi(argv[4]); step++) {
        int a = (int)draw(SLOTS), b = (int)draw(SLOTS);
        switch (draw(14)) {
        case 0:
        case 1:
        case 2: opens(argv[2], argv[3], a); break;
        case 3:
        case 4: copies(a, b); break;
        case 5:
        case 6: closes(a); break;
        case 7: closes_range(a, b); break;
        case 8: sends(a, b); break;
        case 9: vforks(); break;
        case 10: spawns(); break;
        case 11:
        case 12: forks(step); break;
        default:
            tell("shutdown", a, 0);
            if (held[a] && may(HALF_CLOSING))
                shutdown(FIRST + a, SHUT_WR);
        }
    }
    if (draw(2))
        closes_range(0, last - 1);
    /* Some leave before their children. Who started it waits for all. */
    for (int i = 0; depth == 0 || (i < MOST && draw(2)); i++)
        if (waitpid(-1, NULL, 0) < 0)
            break;
    if (depth == 0)
        say_number("connections", *connections);
    if (draw(2))
        _exit(0);
    return 0;
}
