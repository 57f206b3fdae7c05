/* What top shows, from a snapshot to rows. Pure: what goes in is a snapshot or two, and nothing else is asked. */
#ifndef AFTERFIN_CLI_TOP_TOP_H
#define AFTERFIN_CLI_TOP_TOP_H

#include "cli/ledgers/sample.h"
#include "cli/top/snapshot.h"

/* ---- sample.c: what of a snapshot is kept until the next one ----------------------------------------------- */

#define AF_NOBODY UINT32_MAX

struct af_top_process {
    struct af_sample_key key;
    char program[AF_PROGRAM_SIZE];
    int32_t pid;
    uint64_t pid_ns; /* of pid; 0: ours */
    enum af_fate fate;
    uint16_t port_low, port_high; /* its port_range policy; 0, 65535 where it has none */
    uint64_t opened;              /* connections opened or accepted since it began */
    uint64_t inherited; /* of `opened`: others had opened these; it has ended them since the snapshot before */
    uint64_t open, avoided;
    bool outside; /* of these three nothing is known (ledger/reader.h) */
    bool binds;   /* its sockets, before it connects them: it takes over no TIME_WAIT */
    uint32_t n_left;
    struct af_endpoint left[AF_TOP]; /* TIME_WAITs since it began, by endpoint: the highest */
};

/* A socket in the kernel's table that has a peer, whoever's it is. */
struct af_top_socket {
    uint64_t net_ns; /* 0: ours */
    struct af_addr local, peer;
    uint32_t process; /* index, or AF_NOBODY */
    bool accepted, time_wait;
    bool contested; /* of nobody, because ledgers of several users claim it */
};

/* A connection that a process has open. Its other end, or the local port of an accepted one. */
struct af_top_open {
    uint64_t cookie;
    uint32_t process;
    bool accepted;
    struct af_addr addr;
};

struct af_top_netns {
    uint64_t net_ns;
    struct af_ephemeral ports;
    struct af_port_set held; /* against every destination */
    int taken_over;          /* which TIME_WAITs a connect does not mind: af_tw_taken_over (ephemeral.h) */
};

struct af_top_sample {
    struct af_top_process *processes; /* in the order of the ledgers' rows */
    uint32_t *by_key;                 /* their indices, in the order of the keys */
    struct af_top_socket *sockets;    /* by namespace, local address, peer, local port */
    struct af_top_open *opens;        /* by cookie */
    struct af_top_netns *namespaces;
    size_t n_processes, n_sockets, n_opens, n_namespaces;
    uint64_t at, at_real; /* of the snapshot */
    bool ledgers;
    int tw_reuse;
};

/* The snapshot may be freed then. `since` is the at_real of the one before, 0: there was none. */
void af_top_sample(struct af_top_sample *sample, const struct af_snapshot *snapshot, uint64_t since);
void af_top_sample_free(struct af_top_sample *sample);

/* The process of the same key, or NULL. */
const struct af_top_process *af_top_find(const struct af_top_sample *sample, const struct af_sample_key *key);

/* The sockets from the same address to the same peer as `like`: their number; *first is the first one's index. */
size_t af_top_towards(const struct af_top_sample *sample, const struct af_top_socket *like, size_t *first);

/* ---- take.c ------------------------------------------------------------------------------------------------ */

/* A snapshot with the ledgers in this directory (NULL: the default one), kept as a sample; since: the at_real of the
 * one before. False: the kernel's tables cannot be read, which has been said. A directory that cannot be opened has been said too, and the sample has no ledgers. `tell` of what
 * is missing besides? */
bool af_top_take(const char *directory, struct af_top_sample *sample, uint64_t since, bool tell);

/* ---- rows.c: what two of them come to ------------------------------------------------------------------ */

enum af_top_by { AF_BY_PROCESS, AF_BY_PROGRAM };

/* The ports towards one destination from one local address. */
struct af_top_share {
    const struct af_top_socket *at; /* says which; NULL: there is none, or the range is not known */
    uint32_t own;                   /* sockets of the row's there */
    uint32_t used, of;              /* ports of the range: not free, by whomever; all */
    uint32_t taken_over;            /* of `used`: those of TIME_WAITs that the next connect takes over */
    double full_in_s;               /* at the rate between the looks; negative: not growing, or not known */
};

struct af_top_endpoint {
    struct af_addr addr; /* the peer, or of accepted ones the local port */
    bool accepted;
    uint64_t open, time_wait, left; /* left: TIME_WAITs since the process began, 0 where not among its highest */
    struct af_top_share share;
};

struct af_top_row {
    struct af_sample_key key; /* of a process; all 0: of a program */
    const char *program;      /* in the sample */
    bool unknown;             /* not one process: the TIME_WAITs that have no known owner */
    bool contested;           /* of those: the ones that several users claim */
    int32_t pid;
    uint64_t pid_ns;
    enum af_fate fate;
    uint64_t processes, running; /* of a program */
    uint64_t outside;            /* of those: whose `open`, `avoided` and `new_per_s` nobody knows */
    uint64_t open, time_wait, avoided;
    double new_per_s;               /* negative: not known */
    bool more_open, more_time_wait; /* than at the look before: af_top_mark_grown */
    struct af_top_share busiest;
    struct af_top_endpoint *endpoints; /* most open and time_wait first */
    size_t n_endpoints;
};

/* Is `open` known, and what else is said so above: of some process? */
static inline bool af_top_is_counted(const struct af_top_row *row) {
    return !row->unknown && (!row->outside || row->outside < row->processes);
}

struct af_top_rows {
    struct af_top_row *all; /* in no order */
    size_t n;
    uint64_t elsewhere; /* of their TIME_WAITs, those in other network namespaces */
};

/* `before` NULL: there is one snapshot only, and no rates. The rows refer to `now`. A process has a row while it runs,
 * has something open or in TIME_WAIT, or did something between the looks; a program, while one of its processes
 * has, and sums up all of them. */
void af_top_rows(struct af_top_rows *rows, const struct af_top_sample *before, const struct af_top_sample *now,
                 enum af_top_by by);
void af_top_rows_free(struct af_top_rows *rows);

/* grown.c: set more_open and more_time_wait, against the rows of the look before, which are put in order for it. What was
 * not there then has grown. */
void af_top_mark_grown(struct af_top_rows *rows, struct af_top_rows *before);

#endif
