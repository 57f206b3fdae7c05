/* What the count tests add to the harness: log lines summed up, the kernel's books split by side, and peers that
 * follow a script (harness_counts.c, harness_script.c). As harness.h, independent of the library's code. */
#ifndef AFTERFIN_TESTS_HARNESS_COUNTS_H
#define AFTERFIN_TESTS_HARNESS_COUNTS_H

#include "tests/harness/harness.h"

/* clang-format off */
#define TALLY_FIELDS(X) \
    X(sockets) X(binds) X(bind_errors) X(connects) X(connect_errors) X(accepts) X(established) X(time_wait) \
    X(avoided) X(passive) X(aborted) X(passed) X(open)
/* clang-format on */

/* The counts of one line, or the sum of several. */
struct tally {
#define X(field) long field;
    TALLY_FIELDS(X)
#undef X
    long lines; /* how many of event=exit or exec went into it */
};

/* Connections opened with connect, or accepted, which all came to the same end. */
/* clang-format off */
#define CLIENT(ending) { .sockets = 1, .connects = 1, .established = 1, .ending = 1 }
#define SERVER(ending) { .accepts = 1, .established = 1, .ending = 1 }
/* clang-format on */

/* All exit and exec lines of a log file, summed; asserts the invariant on every line, interval lines too. */
struct tally tally_log(const char *row, const char *path);
/* Asserts that `got` is `want` times `times`, field by field (`lines` is not looked at). */
void tally_expect(const char *row, const char *log, const struct tally *want, long times);
/* a + b, field by field. */
struct tally tally_sum(struct tally a, struct tally b);

/* TIME_WAIT sockets of the namespace once it has settled, orphans in FIN_WAIT2 among them. */
struct books {
    long to;   /* those whose remote port is `port`: of who connected there */
    long from; /* those whose local port it is: of who listened there */
    long made; /* TcpExtTW: how many there ever were, whatever their ports; with orphans that are whole sockets yet */
};
/* Asserts that sockstat agrees with the tables. */
struct books books_of(const char *row, uint16_t port);

/* "LOG=FILE|LINGER=ack" and the like: printf into memory of its own. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A directory of the test's own; and what was in it: how many files it held, all gone with it. */
const char *directory_made(void);
int directory_removed(const char *path);

/* A peer that does to each connection, one after the other, what the letters of `script` say:
 *   e  read until EOF or error       b  read one byte         s  send one byte
 *   f  shutdown, writing side        c  close                 r  reset (SO_LINGER {1, 0} and close)
 *   k  keep it open for good                             m  at the beginning: it speaks MPTCP
 * On `port` of ::, dual-stack, 0: one of its own. Ends with the test; peer_stop ends it earlier (no book is kept). */
struct peer script_start(const char *script, uint16_t port);
/* The other way round: connects to 127.0.0.1:port n times, one after the other, and follows the script. */
void script_client(const char *script, uint16_t port, unsigned n);

/* ---- rows ------------------------------------------------------------------------------------------- */

/* How often each row is played: TIMES in the environment of the runner, else 20. */
int row_times(void);

/* One way of a victim "VICTIM WAY ADDRESS PORT N EXTRA", the peer's part in it, and what is to come of it. */
struct row {
    const char *way, *extra;
    const char *address;         /* NULL: 127.0.0.1 */
    const char *script;          /* of the peer; NULL: nobody listens */
    struct tally each;           /* counted for each repetition, in the log lines */
    const struct tally *settled; /* what a reader makes of it who has the kernel's table; NULL: the same */
    struct tally once;           /* counted besides, once */
    const char *errors;          /* "connect:ECONNREFUSED": that, once a repetition; NULL: no errors */
    int most;                    /* so often in one namespace, not more; 0: any number */
    int status;                  /* of its end; 0 */
    bool stays;                  /* the TIME_WAIT is there before the close: a linger policy comes too late */
    bool spared;     /* linger=rst does not apply: inherited, sent, in a living child, or no close ends it */
    bool unasked;    /* nor is linger=ack taken back: nobody sees the end */
    bool peer_keeps; /* the TIME_WAIT is the peer's; a reset ends it */
    bool fleeting;   /* the peer's TIME_WAIT may be made, and be ended again by a reset */
    /* MPTCP: its TIME_WAITs are those of subflows, closed by both sides; none is known to be its own. */
    bool unattributed;
    enum { NOT_CUT, CUT_OFF /* nothing comes through from the start */, CUT_OFF_WHEN_READY } cut; /* ns_cut */
    bool late;  /* another close may come before ack is taken back: avoided then, or TIME_WAIT, as the kernel has it */
    bool raced; /* who was first is not known beforehand: `each` is what is certain */
};

/* One playing of a row. */
struct played {
    const char *name; /* for messages */
    int times;
    struct tally settled; /* what is to be, all repetitions together */
    long kernel;          /* TIME_WAITs in the kernel's tables that are known to be the victim's */
};

struct endings; /* a victim and its rows: ending_rows.h */
/* Play a row in a fresh namespace, `times` times, with linger=off, ack, ack-always, rst or SECONDS; assert that the log
 * lines' counts are the row's, and that the kernel's tables agree. With ack-always and rst, and with ack where the peer sends
 * something, what would leave a TIME_WAIT is `avoided`. With `json` it is `afterfin run --json` that starts the victim. */
struct played row_play(const struct endings *of, const struct row *row, const char *linger, const char *json,
                       int times);
/* All rows under a log, without a policy, with linger=ack and with ack-always. */
void rows_logged(const struct endings *of);

#endif
