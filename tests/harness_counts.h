/* What the count tests add to the harness: log lines summed up, the kernel's books split by side, and peers that
 * follow a script (harness_counts.c, harness_script.c). As harness.h, independent of the library's code. */
#ifndef AFTERFIN_TESTS_HARNESS_COUNTS_H
#define AFTERFIN_TESTS_HARNESS_COUNTS_H

#include "tests/harness.h"

#define TALLY_FIELDS(X) \
    X(sockets) X(binds) X(bind_errors) X(connects) X(connect_errors) X(accepts) X(established) X(time_wait) \
    X(avoided) X(passive) X(aborted) X(passed) X(open)

/* The counts of one line, or the sum of several. */
struct tally {
#define X(field) long field;
    TALLY_FIELDS(X)
#undef X
    long lines; /* how many of event=exit or exec went into it */
};

/* Connections opened with connect, or accepted, which all came to the same end. */
#define CLIENT(ending) { .sockets = 1, .connects = 1, .established = 1, .ending = 1 }
#define SERVER(ending) { .accepts = 1, .established = 1, .ending = 1 }

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
    long made; /* TcpExtTW: how many there ever were, whatever their ports */
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
 *   k  keep it open for good
 * On `port` of 127.0.0.1, 0: one of its own. Ends with the test; peer_stop ends it earlier (no book is kept). */
struct peer script_start(const char *script, uint16_t port);
/* The other way round: connects to 127.0.0.1:port n times, one after the other, and follows the script. */
void script_client(const char *script, uint16_t port, unsigned n);

/* ---- rows ------------------------------------------------------------------------------------------- */

enum { ROW_TIMES = 20 };

/* One way of a victim "VICTIM WAY ADDRESS PORT N", the peer's part in it, and what is to come of it. */
struct row {
    const char *way;
    const char *script; /* of the peer; NULL: nobody listens */
    struct tally each;  /* counted for each repetition */
    struct tally once;  /* counted besides, once */
    const char *errors; /* "connect:ECONNREFUSED": that, once a repetition; NULL: no errors */
    bool stays;         /* the TIME_WAIT is there before the close: linger=ack comes too late */
    bool peer_keeps;    /* the TIME_WAIT is the peer's */
    bool fleeting;      /* the peer's TIME_WAIT may be made, and be ended again by a reset */
};

/* Run the victim ROW_TIMES times in a fresh namespace, with linger=ack or off; assert that the counts are the
 * row's, and that the kernel's tables agree. With ack, what would leave a TIME_WAIT is `avoided`. */
void row_client(const char *victim, const struct row *row, bool ack);
/* The same for a victim "accept_by WAY PORT N": the script is the client's. */
void row_server(const struct row *row, bool ack);
/* Each of an array, without ack and with. */
void row_clients(const char *victim, const struct row *rows, size_t n);
#define ROW_CLIENTS(victim, rows) row_clients(victim, rows, sizeof rows / sizeof *rows)

#endif
