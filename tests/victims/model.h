/* The book that the processes of a play keep in shared memory: who has what, and who had it last. */
#ifndef MODEL_H
#define MODEL_H

#include "way.h"

#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/pidfd.h>

enum { SLOTS = 8, LIVE = 4, MOST = 24, CONNECTIONS = 512, QUEUE = 64, RIGHTS = 3, NONE = -1 };

struct process {
    pid_t pid;
    bool live;
    bool waits;     /* for all others to end */
    uint64_t state; /* of its random numbers */
    unsigned step;
    int16_t held[SLOTS]; /* connections, NONE */
    bool cloexec[SLOTS];
};

struct connection {
    unsigned port;
    int refs;     /* descriptors, those on their way too */
    uint32_t had; /* 1 << process, for each that ever did */
    int last;     /* who let go of it last */
    bool unseen;  /* who ever had it was killed, or left by a system call, or it was lost on its way: then whoever is
                     the last to close it cannot know that he is */
};

struct message {
    int from, n;
    int16_t connection[RIGHTS];
};

/* Where `locked`, one step is made at a time, so that the book is right; and whose turn is next is drawn too, so that the
 * same seed is the same play. */
struct book {
    _Atomic int owner;   /* a process, + 1 */
    _Atomic int leaving; /* the owner that leaves; 0: none */
    _Atomic int turn;    /* the process that is to be the owner next */
    uint64_t turns;      /* the state of that drawing's random numbers */
    bool locked;
    unsigned steps;
    _Atomic int n_processes, n_connections, n_live;
    unsigned n_sent, n_received;
    struct message queue[QUEUE];
    struct process process[MOST];
    struct connection connection[CONNECTIONS];
};

extern struct book *book;
extern int me;

/* On standard error, where MODEL_TELLS is set. */
static inline void tell(const char *what, int a, int b) {
    static int tells = -1;
    if (tells < 0)
        tells = getenv("MODEL_TELLS") != NULL;
    if (tells)
        fprintf(stderr, "%d: %s %d %d\n", getpid(), what, a, b);
}

static inline void await_death(pid_t pid) {
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return;
    MUST(wait_until(fd, POLLIN) && close(fd) == 0);
}

static inline unsigned drawn(uint64_t *state, unsigned n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33) % n;
}

/* Of those who live; who waits for the others is the last. */
static inline void draw_turn(void) {
    int all[MOST], n = 0;
    for (int i = 0; i < book->n_processes; i++)
        if (book->process[i].live && !book->process[i].waits)
            all[n++] = i;
    book->turn = n ? all[drawn(&book->turns, (unsigned)n)] : 0;
}

/* Whoever leaves does so with the lock, until it is dead and all that it had is closed. */
static inline void lock(void) {
    for (int owner = 0; book->locked; owner = 0) {
        if (book->turn != me) {
            sched_yield();
            continue;
        }
        if (__atomic_compare_exchange_n((int *)&book->owner, &owner, me + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return;
        if (book->leaving != owner) {
            sched_yield();
            continue;
        }
        await_death(book->process[owner - 1].pid);
        if (__atomic_compare_exchange_n((int *)&book->owner, &owner, me + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
            book->leaving = 0;
            return;
        }
    }
}

static inline void unlock(void) {
    if (!book->locked)
        return;
    draw_turn();
    book->owner = 0;
}

static inline void release(int connection, int who, bool seen) {
    struct connection *c = &book->connection[connection];
    if (!book->locked || connection == NONE)
        return;
    tell(seen ? "  without" : "  without, unseen", connection, c->refs - 1);
    c->unseen |= !seen;
    if (--c->refs == 0)
        c->last = who;
}

static inline void take(int connection, int who) {
    if (!book->locked || connection == NONE)
        return;
    tell("  with", connection, ++book->connection[connection].refs);
    book->connection[connection].had |= 1u << who;
}

static inline void let_go(int who, int at, bool seen) {
    release(book->process[who].held[at], who, seen);
    book->process[who].held[at] = NONE;
}

/* For each connection: its port, its last holder where that can be known (else 0), and all that it had. */
static inline void tell_book(void) {
    printf("connections %d\n", book->n_connections);
    for (int i = 0; i < book->n_connections && book->locked; i++) {
        const struct connection *c = &book->connection[i];
        MUST(c->refs == 0);
        printf("%u %d", c->port, c->unseen ? 0 : book->process[c->last].pid);
        for (int p = 0; p < book->n_processes; p++)
            if (c->had >> p & 1)
                printf(" %d", book->process[p].pid);
        printf("\n");
    }
    fflush(stdout);
}

#endif
