/* The soak test: a tree of processes that opens and closes connections while it is read, and while some of it is
 * killed (victims/soak_tree.c), peers that never leave a TIME_WAIT (soak_peer.c), readers that look all along
 * (soak_watch.c), and the books held against each other at the end (soak_sum.c).
 *
 * What is shared by all of them lies in one file, the book: the victims have it by name, the others by fork. The
 * node a connection comes from is in the address that it goes to, so the peers know it without being told. */
#ifndef AFTERFIN_TESTS_SOAK_SOAK_H
#define AFTERFIN_TESTS_SOAK_SOAK_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SOAK_NODES = 200,
    SOAK_THREADS = 8,
    SOAK_PORT = 7000,
    SOAK_RANGE = 20000 /* ephemeral ports from here */,
    SOAK_HEIRLOOMS = 3,
    SOAK_FANOUT = 3
};

/* What a process is to have counted, by its own account; the names are afterfin's. */
#define SOAK_FIELDS(X) X(established) X(time_wait) X(passive) X(aborted) X(passed)
struct soak_count {
#define X(field) _Atomic uint64_t field;
    SOAK_FIELDS(X)
#undef X
};

/* One thread's connections to the peers. */
struct soak_thread {
    _Atomic uint64_t opened;     /* connect has returned */
    _Atomic uint32_t connecting; /* it is about to, or in it */
    /* The peers' account: */
    _Atomic uint64_t seen;  /* accepted */
    _Atomic uint64_t ended; /* the client ended it first, in order: its TIME_WAIT */
    _Atomic uint64_t reset; /* reset, by either side */
};

struct soak_node {
    _Atomic int32_t pid;
    _Atomic uint32_t working; /* may be killed */
    _Atomic uint32_t killed;
    struct soak_count before; /* of the image before its exec */
    struct soak_count count;
    struct soak_thread thread[SOAK_THREADS];
};

/* What a reader has seen. */
struct soak_watch {
    _Atomic uint64_t reads, rows, unknown, complaints, faults;
    char first[256]; /* fault, or complaint */
};

enum { SOAK_WATCHES = 3 };

struct soak_book {
    uint32_t nodes;
    uint64_t connections, seed;
    bool forks_in_threads;       /* processes with threads fork too */
    _Atomic uint64_t tickets;    /* connections begun, of any kind */
    _Atomic uint64_t sent, done; /* of those to the peers: begun, and over in the peers' sight */
    _Atomic uint64_t helpers;    /* children that ended one connection */
    _Atomic uint32_t stop;       /* the readers may */
    struct soak_node node[SOAK_NODES];
    struct soak_watch watch[SOAK_WATCHES];
};

/* What a node is, by its number. */
static inline bool soak_has_threads(uint32_t node) {
    return node % 5 == 2;
}
static inline bool soak_is_pair(uint32_t node) /* talks to itself: both ends are counted */
{
    return node % 10 == 4;
}
static inline bool soak_execs(uint32_t node) {
    return node % 6 == 1;
}
static inline unsigned soak_threads(uint32_t node) {
    return soak_has_threads(node) ? SOAK_THREADS : 1;
}

/* 127.(10+node).thread.1; a pair's listener is 127.(10+node).9.1, its other end 127.(10+node).10.1. */
static inline struct sockaddr_in soak_address(uint32_t node, uint32_t thread) {
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(SOAK_PORT),
                                 .sin_addr.s_addr = htonl(127u << 24 | (10 + node) << 16 | thread << 8 | 1) };
}
static inline bool soak_whose(struct in_addr address, uint32_t *node, uint32_t *thread) {
    const uint32_t a = ntohl(address.s_addr);
    *node = (a >> 16 & 255) - 10;
    *thread = a >> 8 & 255;
    return a >> 24 == 127 && (a & 255) == 1 && *node < SOAK_NODES && *thread < 10;
}

static inline uint64_t soak_random(uint64_t *state) /* splitmix64 */
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- the runner's parts ------------------------------------------------------------------------------- */

/* Unwrapped servers, in processes of their own, that end with the test. */
void soak_peers_start(struct soak_book *book, unsigned n);

/* Readers in processes of their own: of the ledgers below `directory`, of who and of report. soak_watch_end lets
 * them finish, and asserts that none has found anything wrong. */
void soak_watch_start(struct soak_book *book, const char *directory);
void soak_watch_end(struct soak_book *book);

/* What came of it, on stderr; a short dose says nothing. */
void soak_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `json` is run's; `made` is how much TcpExtTW has grown, `overflowed` the same of TCPTimeWaitOverflow. */
void soak_sum(const struct soak_book *book, const char *json, uint64_t made, uint64_t overflowed);

#endif
