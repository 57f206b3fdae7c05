/* Everything that the ledgers below one directory tell: processes, and how each connection ended. */
#ifndef AFTERFIN_CLI_LEDGERS_COLLECT_H
#define AFTERFIN_CLI_LEDGERS_COLLECT_H

#include "cli/output/memory.h"
#include "ledger/reader.h"

enum { AF_TOP = 8, AF_MOST_TOLD = 10 /* ledgers that are left out, each with its reason */ };
#define AF_NO_ROW SIZE_MAX

/* What one ledger says of the program that its processes run. */
struct af_image {
    char *entry; /* of the directory: its file, or that of the run (run-*) which it lies below */
    char program[AF_PROGRAM_SIZE];
    char *command; /* arguments, each ended by a NUL */
    size_t command_size;
    bool command_cut;
    char policy[AF_POLICY_SIZE];
    uint64_t policy_since; /* ns since 1970: it came while a process ran; 0: that of the start */
    uint64_t net_ns, pid_ns, started;
    uint32_t uid;  /* whose ledger it is: what it says is that user's word */
    int32_t pid;   /* its first process */
    uint64_t lost; /* closed connections that its ring has forgotten */
    bool runs;     /* one of its processes does */
};

enum af_fate { AF_FATE_EXIT, AF_FATE_SIGNAL, AF_FATE_EXEC, AF_FATE_RUNNING };

/* One process image. settle.h may change `seen.count`. */
struct af_row {
    size_t image;
    struct af_seen_process seen;
    enum af_fate fate;
    bool confirmable;     /* its sockets are in the namespace that was dumped */
    uint64_t confirmed;   /* TIME_WAIT sockets that the kernel shows */
    int64_t held;         /* records that are not settled yet of connections that it opened and has open */
    uint64_t guessed;     /* passive ones that died with it: no TIME_WAIT came of them, and nobody saw why */
    uint32_t n_endpoints; /* these three: endpoints.h */
    uint32_t n_top;
    struct af_endpoint top[AF_TOP]; /* highest count first */
};

/* TIME_WAITs of one row towards one endpoint. */
struct af_target {
    size_t row;
    struct af_endpoint endpoint;
};

/* One record of a connection's end, by cookie. */
struct af_closing {
    uint64_t cookie, at;
    size_t image;      /* its ledger */
    size_t row, owner; /* who ended it, who opened it; AF_NO_ROW: none of the collected */
    struct af_addr peer;
    uint16_t local_port;
    uint8_t counted; /* enum af_ending */
    uint8_t accepted, mptcp;
    uint8_t use;     /* and which use of ... */
    uint32_t record; /* index + 1 of what was its live record */
};

/* A connection that was still open in its ledger. */
struct af_live {
    uint64_t cookie;
    size_t image, holder, owner; /* rows or AF_NO_ROW */
    uint32_t index, state, flags;
    struct af_addr peer;
    uint16_t local_port;
    uint8_t use;     /* of the record `index` */
    uint8_t settled; /* enum af_ending: how it is counted (settle.h) */
    bool disbelieved;
};

/* A cookie that ledgers of several users claim to have ended: one of them lies, or all but one. */
struct af_claim {
    uint64_t cookie;
    size_t row; /* one of those; whose, its image tells */
};

/* What has been read of another user's ledgers: nothing that he puts there makes us read more than the kernel could
 * tell of. */
struct af_share {
    uint32_t uid;
    uint64_t may_read;                              /* bytes */
    size_t names, files, rows, records, complaints; /* taken */
    size_t left_out;                                /* files, after that */
    size_t untold;                                  /* complaints, after the first few */
    bool cut;
};

struct af_collection {
    struct af_image *images;
    struct af_row *rows;
    struct af_closing *closings;
    struct af_live *live;
    struct af_target *targets;
    struct af_claim *claims; /* by cookie; settle.h */
    struct af_share *shares;
    size_t n_images, n_rows, n_closings, n_live, n_targets, n_summed, n_claims, n_shares;
    struct af_histogram connect_times; /* of all of them */
    uint32_t bad;                      /* records that made no sense */
    char **complaints;                 /* "FILE: why" of ledgers that could not be read */
    size_t n_complaints;
    size_t n_untold;     /* as many more, of other users' */
    size_t n_unkept;     /* program images that could keep none (shim/memory.c: leave_reason) */
    char unkept_why[24]; /* errno of the first of them */
    char boot_id[40];    /* these two are for af_collect_add */
    unsigned waited_ms;
};

/* Is this the name of a ledger? */
bool af_is_ledger_name(const char *name);

/* Read all ledgers in the directory and in the directories of other runs below it (run-*), which hold those of
 * an `afterfin run` inside an `afterfin run`. One that is just being made is waited for, up to a second in all. */
void af_collect(struct af_collection *collection, int directory);
/* A moment for a ledger that is just being made. False: its writer has had a second in all, in *spent_ms. */
bool af_wait_for_writer(unsigned *spent_ms);

/* The same but for these entries of the directory (NULL: none). */
void af_collect_except(struct af_collection *collection, int directory, const struct af_strings *left_out);
/* The same of several directories: begin, add each, end. `where` ("/tmp/afterfin-1000/") goes before the names of
 * files that could not be read. */
void af_collect_begin(struct af_collection *collection);
void af_collect_add(struct af_collection *collection, int directory, const char *where,
                    const struct af_strings *left_out);
void af_collect_end(struct af_collection *collection);
/* One that could not even be opened. */
void af_collect_complain(struct af_collection *collection, const char *where, const char *why);

void af_collection_free(struct af_collection *collection);

/* How many ledgers were left out beside the first AF_MOST_TOLD complaints. */
size_t af_collection_untold(const struct af_collection *collection);

/* Say what is missing: ledgers that were left out, records that made no sense, closed ones that were overrun. */
void af_collection_tell(const struct af_collection *collection, const char *command);

/* Does any recorded process still run? */
bool af_collection_runs(const struct af_collection *collection);

#endif
