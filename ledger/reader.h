/* The reading side of a ledger: a file that some other process writes to right now, or has written to before
 * it was killed, or that an enemy has made up. No byte is trusted: it is read (never mapped, so that a file
 * which shrinks is a short read and no SIGBUS), checked, and only then handed out.
 *
 * Functions return false with a line "FILE: why" in *error. They are to be used by one thread at a time. */
#ifndef AFTERFIN_LEDGER_READER_H
#define AFTERFIN_LEDGER_READER_H

#include "ledger/layout.h"

struct af_reader_error {
    char text[320];
    bool unfinished; /* its writer may be filling it in right now: it has no header, and is under a second old */
    bool gone;       /* there is no such file (any more) */
};

struct af_reader {
    int fd;
    char name[128];        /* for messages: the file's own name, cut */
    uint32_t uid;          /* whose file it is */
    struct af_ledger head; /* checked; program and policy end with a NUL */
    uint32_t bad;          /* records that made no sense, and were left out */
    uint64_t latest;       /* a record that tells of a later time makes none */
    uint64_t *may_read;    /* so many bytes of records more; NULL: as many as there are */
};

/* One failure by call and errno; error 0 is `unknown`. */
struct af_seen_error {
    uint32_t call, error, count;
};

/* One process image. */
struct af_seen_process {
    uint32_t slot;
    uint32_t ended; /* enum af_ended */
    int32_t pid, ppid;
    uint64_t started, ended_at, start_ticks;
    bool sealed;
    bool outside;   /* layout.h: AF_SEEN_FROM_OUTSIDE */
    bool listening; /* layout.h: AF_SEEN_LISTENING */
    uint32_t lost;
    uint32_t sharers; /* further processes that are counted in it; pid is the latest one's */
    uint64_t count[AF_COUNTERS];
    uint32_t n_errors;
    struct af_seen_error errors[AF_ERROR_ROWS];
};

/* The id of this boot, 36 characters, as in the header; empty where /proc is not to be had. */
void af_boot_id(char out[40]);

/* Open `name` in the directory `dir` (AT_FDCWD will do): a regular file, not reached through a symlink, that
 * belongs to us (or to anybody, for root; or to one who lets a group read it that we are in), has no other name, and
 * holds a ledger of this version. boot_id: only a ledger of that boot; NULL or empty, of any. */
bool af_reader_open(struct af_reader *reader, int dir, const char *name, const char *boot_id,
                    struct af_reader_error *error);
void af_reader_close(struct af_reader *reader);

/* The recorded part of the command line, `*size` bytes, each argument ended by a NUL (save one that was cut). */
const char *af_reader_command(const struct af_reader *reader, size_t *size);

/* Each calls `visit` for every record that is in use, complete, and makes sense. Slots in them are below
 * n_processes or AF_NO_SLOT; enumerations are in range. Of records that change while they are read the ring
 * hands out none that is torn; processes and connections, as they were at some moment lately. */
bool af_reader_processes(struct af_reader *reader, void (*visit)(void *, const struct af_seen_process *), void *context,
                         struct af_reader_error *error);
bool af_reader_connections(struct af_reader *reader, void (*visit)(void *, const struct af_connection *), void *context,
                           struct af_reader_error *error);
bool af_reader_endpoints(struct af_reader *reader, void (*visit)(void *, const struct af_endpoint *), void *context,
                         struct af_reader_error *error);
/* *lost: how many closed ones the ring has forgotten since the start, or had no disk for. */
bool af_reader_closed(struct af_reader *reader, void (*visit)(void *, const struct af_closed *), void *context,
                      uint64_t *lost, struct af_reader_error *error);

/* How long connects took, all processes together. */
bool af_reader_times(struct af_reader *reader, struct af_histogram *times, struct af_reader_error *error);

/* open = established - all endings; never below 0 for a process out of af_reader_processes. */
int64_t af_seen_open(const uint64_t count[AF_COUNTERS]);

/* Which counts of a process say anything: 1 << AF_COUNT_..., and AF_KNOWS_open. */
enum { AF_KNOWS_open = 1 << AF_COUNTERS, AF_KNOWS_ALL = (AF_KNOWS_open << 1) - 1 };
uint32_t af_seen_knows(const struct af_seen_process *seen);

/* Counts of several processes: of each what is known of it. */
struct af_counts {
    uint64_t count[AF_COUNTERS];
    int64_t open;
    uint32_t known; /* of some of them */
};
void af_counts_add(struct af_counts *sum, const uint64_t count[AF_COUNTERS], uint32_t known);
void af_counts_add_sum(struct af_counts *sum, const struct af_counts *other);

#endif
