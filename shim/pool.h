/* What this process knows of its TCP sockets, and the memory that it lies in. Private memory: another process can
 * neither read nor write it, and a forked child has a copy, as it has of the descriptors. No system call of its own,
 * no lock; thread-, fork- and async-signal-safe. */
#ifndef AFTERFIN_SHIM_POOL_H
#define AFTERFIN_SHIM_POOL_H

#include "ledger/layout.h"

/* A fork copies the page tables of all records, so that they are kept small; what few connections ever need lies
 * elsewhere (struct af_details). */
struct af_socket {
    _Atomic uint32_t state; /* enum af_conn_state */
    _Atomic uint32_t flags; /* AF_FLAG_... */
    _Atomic uint32_t own;   /* AF_BIT(...) of the keys that the program settled itself */
    _Atomic int32_t refs;   /* descriptors of this process that refer to it */
    struct af_addr peer;
    _Atomic uint32_t owner; /* process slot that opened or accepted it; AF_NO_SLOT: none here */
    uint16_t local_port;
    uint8_t family_v6;       /* the socket's family is AF_INET6 */
    uint8_t ending;          /* enum af_ending: how an exec that may yet fail has counted it */
    uint32_t images;         /* images that this process had started when it came (share.c) */
    _Atomic uint64_t cookie; /* SO_COOKIE; 0: not read */

    /* Who else has it: share.c. */
    uint64_t base;               /* the sum of forks when it came */
    _Atomic uint32_t generation; /* of the process that it came to */
    uint32_t
        uncertain; /* generation + 1 of the process that had a fork on its way when it came or multiplied; 0: none */
    uint8_t revocable;        /* exec may fail, or the end not come: how it ends may have to be taken back */
    uint8_t passes;           /* exec: one of its descriptors is not close-on-exec */
    uint8_t joined;           /* a relative's record in the ledger is ours too */
    _Atomic uint8_t detailed; /* its details are in use */
    uint16_t tag;             /* of its hold */

    /* Of the record itself, which is used again and again. */
    _Atomic uint8_t waits;  /* others have it still: not to be used before its hold is settled */
    _Atomic uint8_t shown;  /* something of it stands in the ledger, or in its details: its next use begins anew */
    uint32_t handle;        /* its number in the pool */
    _Atomic uint32_t place; /* index + 1 of its own record in the ledger; 0: none yet */
    _Atomic uint32_t next;  /* handle + 1 of the next record of its list */
    _Atomic uint32_t pins;  /* threads at work on it, and AF_FREED */
};

/* Zeros when a connection comes. */
struct af_details {
    struct af_addr bind_to; /* what it was bound to; of an accepted one its listener's, where that is asked for */
    uint32_t bind_scope;    /* its sin6_scope_id */
    uint64_t serial;        /* of its record in the ring, where `ending` may have to be taken back */
    uint64_t name;          /* joined: ours in the relative's hold */
    uint64_t released;      /* what letting go of it has added to its hold */
    uint64_t failed;        /* name of the last fork that failed while we had it */
    uint32_t shared;        /* joined: index of the relative's record in the ledger */
    uint8_t settled;        /* letting go of it has settled its hold */
};

/* Beside the pins: it is free, and whoever takes the last of them away is to push it. */
#define AF_FREED ((uint32_t)1 << 31)

enum { AF_OPENED = 2 }; /* the name of whoever has it first */

/* The first chunk is for what most processes have at once, with descriptors below AF_LOW. Then comes one after the other of
 * AF_HUGE bytes, which may be one page, less a rest for the table of as many descriptors. */
enum {
    AF_CHUNKS = 96,
    AF_FIRST_RECORDS = 504,
    AF_HUGE = 2 << 20,
    AF_HUGE_REST = 96 << 10,
    AF_RECORD = sizeof(struct af_socket) + sizeof(struct af_details)
};
struct af_pool {
    struct af_socket *_Atomic chunk[AF_CHUNKS];
    _Atomic uint64_t fresh; /* chunk << 32 | the first record of it that was never used */
    _Atomic uint64_t free;  /* change count << 32 | handle + 1 of the first free record */
    _Atomic uint64_t
        waiting[2]; /* the same of those whose hold is not settled: of the one looked through, and the next */
    _Atomic uint32_t looks_in;       /* which of the two */
    struct af_socket *_Atomic spare; /* one that is free and in no list: most are used again at once */
};

typedef void *af_more(size_t size); /* zeroed memory, or NULL */

/* A record that was let go of just now, or was never used, or the first of a list; NULL: none. */
static inline struct af_socket *af_pool_spare(struct af_pool *pool) {
    return atomic_load_explicit(&pool->spare, memory_order_relaxed) ? atomic_exchange(&pool->spare, NULL) : NULL;
}
uint32_t af_pool_records(uint32_t chunk); /* how many it has */
struct af_socket *af_pool_fresh(struct af_pool *pool, af_more *more);
struct af_socket *af_pool_pop(struct af_pool *pool, _Atomic uint64_t *list);
void af_pool_push(struct af_pool *pool, _Atomic uint64_t *list, struct af_socket *socket);
/* The first record of its block: those of a block have their places in the ledger side by side. */
struct af_socket *af_pool_block(struct af_socket *socket);
/* To be written to. */
struct af_details *af_details(struct af_socket *socket);
/* To be read. */
static inline struct af_details af_details_of(const struct af_socket *socket) {
    return atomic_load_explicit(&socket->detailed, memory_order_acquire)
               ? *af_details((struct af_socket *)(uintptr_t)socket)
               : (struct af_details){ 0 };
}

/* As long as it is pinned a record stays whose it is, though it be freed: nobody else gets it. Pin, see that it is
 * still the one that was meant, work on it, unpin. */
void af_pool_pin(struct af_socket *socket);
void af_pool_unpin(struct af_pool *pool, struct af_socket *socket);
/* The last pin has gone, and it was freed before: `pins` is what is left. */
void af_pool_unpin_last(struct af_pool *pool, struct af_socket *socket, uint32_t pins);
/* It is out of every table by now: who pins it later will not find it there. */
void af_pool_free(struct af_pool *pool, struct af_socket *socket);

#endif
