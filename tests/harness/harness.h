/* What the effect tests stand on: a network namespace and the kernel's books of it (harness_ns.c,
 * harness_books.c), peers that record what they received (harness_peer.c, harness_client.c), victims run with
 * or without the library (harness_run.c), log lines taken apart (harness_log.c).
 *
 * Nothing here uses code of the library: each ground truth is independent of it. Failures of the harness itself
 * end the test (give_up). Not thread-safe; what a test allocates here goes with its process. */
#ifndef AFTERFIN_TESTS_HARNESS_HARNESS_H
#define AFTERFIN_TESTS_HARNESS_HARNESS_H

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* End the test. */
#define give_up(...) cr_assert(false, __VA_ARGS__)

/* ---- the namespace ---------------------------------------------------------------------------------- */

/* What the test starts from now on is killed when it ends, however it ends, and what it left at a scratch_path goes.
 * Whatever starts or makes something here calls it; a test that forks by itself does so too. */
void test_begins(void);
/* Wait until this process has no child any more. */
void test_wait_children(void);
/* What those that run now have used of the processors, in ticks; 0: not known. */
unsigned long test_cpu_time(void);

/* Put the calling test into a network namespace of its own, loopback up with an MTU of 65536, tcp_tw_reuse=0,
 * tcp_rfc1337=1 (no RST ends a TIME_WAIT). Where that is not allowed the test is skipped with the reason. An
 * ordinary user's runner is root of a user namespace of its own from the start (a constructor sees to it: the
 * tests themselves have two threads). */
void ns_enter(void);
/* Write net/ipv4/..., e.g. ns_sysctl("tcp_tw_reuse", "0"). */
void ns_sysctl(const char *name, const char *value);
void ns_port_range(unsigned low, unsigned high);
void ns_mtu(int mtu);
/* Drop this share of all TCP packets, in both directions (nftables). Skips the test without nft. */
void ns_loss(unsigned percent);
/* Drop every packet to or from this TCP port from now on. */
void ns_cut(unsigned port);

/* ---- the kernel's books ----------------------------------------------------------------------------- */

/* States as in /proc/net/tcp (net/tcp_states.h). */
enum {
    ST_ESTABLISHED = 1,
    ST_SYN_SENT,
    ST_SYN_RECV,
    ST_FIN_WAIT1,
    ST_FIN_WAIT2,
    ST_TIME_WAIT,
    ST_CLOSE,
    ST_CLOSE_WAIT,
    ST_LAST_ACK,
    ST_LISTEN,
    ST_CLOSING
};

/* One row of /proc/net/tcp or tcp6. */
struct ns_socket {
    bool v6;
    unsigned local_port, remote_port, state;
    unsigned timer;            /* 0 none, 1 retransmit, 2 keepalive, 3 TIME_WAIT, 4 zero window probe */
    unsigned long timer_ticks; /* until it fires, in 1/100 s */
    unsigned long inode;
};
/* All TCP sockets of the namespace; returns how many, *out is malloc'ed. */
size_t ns_sockets(struct ns_socket **out);
/* How many are in `state`, with these ports; 0 is any port. */
size_t ns_count(unsigned state, unsigned local_port, unsigned remote_port);
/* A field of /proc/net/sockstat's TCP line ("tw", "inuse"; "orphan" and "alloc" are the whole machine's). */
long ns_sockstat(const char *field);
/* A field of /proc/net/netstat, e.g. ns_netstat("TCPTimeWaitOverflow"). */
long ns_netstat(const char *field);
/* Wait until no socket of the namespace is still in the middle of closing (bounded: 60 s): an `ack` closer
 * lives in FIN_WAIT1 until the peer's ACK, which may be delayed, and any other in FIN_WAIT2 while the peer's FIN, in
 * LAST_ACK over there, is on its way. Before every count of TIME_WAITs. */
void ns_settle(void);
/* The same, and until no connection is open or waits for a program to close it (bounded: 60 s). */
void ns_wait_ended(void);
/* sockstat's tw once everything has settled: TIME_WAIT, and orphans in FIN_WAIT2. */
long ns_tw(void);
/* Wait until somebody listens on the port (bounded). */
void ns_wait_listen(unsigned port);

/* ---- victims ---------------------------------------------------------------------------------------- */

struct victim {
    pid_t pid;
    int out, err; /* files in memory that are its stdout and stderr */
};
struct ended {
    int status; /* exit status, or 128 + signal */
    const char *out, *err;
};

/* Start a program under the library. `settings` are "LINGER=ack|LOG=stderr": AFTERFIN_ goes before each, `|`
 * between; a name that begins with '$' goes into the environment as it stands ("$PATH=/bin"). NULL: bare, without
 * the library. `command` is a printf format, split at blanks; a first word without '/' names a victim in
 * build/tests/victims, else a program in PATH. */
struct victim victim_start(const char *settings, const char *command, ...) __attribute__((format(printf, 2, 3)));
/* The same with arguments given one by one. */
struct victim victim_start_argv(const char *settings, const char *const argv[]);
/* Wait for its end; one that does not end in two minutes, nor does anything for two more, is killed and fails the
 * test. On a busy machine work takes as long as it takes. */
struct ended victim_wait(struct victim *v);
/* Wait (bounded) until its standard output holds `text`, or until it has ended. */
void victim_wait_out(const struct victim *v, const char *text);
/* What it has written so far. */
const char *victim_out(const struct victim *v);
bool victim_runs(const struct victim *v);
/* End it by signal, and collect it. */
struct ended victim_kill(struct victim *v, int signal);
/* Start, wait. */
struct ended run(const char *settings, const char *command, ...) __attribute__((format(printf, 2, 3)));
struct ended run_argv(const char *settings, const char *const argv[]);
/* Run it under `strace -f -c`, and say how often `call` was made in *calls. Skips the test without strace. */
struct ended run_counted(const char *settings, const char *call, long *calls, const char *command, ...)
    __attribute__((format(printf, 4, 5)));

/* A descriptor of our own for the nth (from 0) TCP socket of a running process, in the order of its
 * descriptors: the kernel's side of its options. */
int victim_socket(pid_t pid, unsigned nth);
/* getsockopt of an int on it. */
int socket_option(int fd, int level, int name);

/* Where things are built, and a path of the test's own ("/tmp/afterfin-test.PID.SERIAL"): a file or directory
 * made there, or with more behind the name, goes when the test ends. */
const char *build_directory(void);
const char *library_path(void);
/* What the command puts into LD_PRELOAD: where there is a library of 32 bits too, a path that leads to either. */
const char *preload_path(void);
/* From now on those are a copy that every user can reach, where the sources are below a directory (/root) that is
 * closed to others. */
void build_for_all(void);
/* With VICTIMS=musl in the runner's environment, that which is built for musl, where there is one (tests/libc/rules.mk). */
const char *victim_path(const char *name);
bool victims_are(const char *libc); /* musl, i386, ...; musl-i386 is of both */
const char *scratch_path(void);
/* What that test left at its paths. */
void remove_scratch(pid_t test);
/* Whole text of a file; NULL if it is not there. */
const char *file_text(const char *path);

/* ---- peers ------------------------------------------------------------------------------------------ */

/* What goes over a connection is byte i = i % 251 from its beginning, whoever sends: victims too. */

struct peer_options {
    const char *address; /* default 127.0.0.1; "::" is dual-stack */
    uint16_t port;       /* 0: one from 10000 up */
    size_t answer;       /* bytes sent back ... */
    size_t answer_after; /* ... once so many were received (0: at once) */
    bool closes_first;   /* closes once it has answered, without waiting for an end */
    bool holds;          /* keeps its side open after the end of the victim's */
    bool waits;          /* accepts, but reads nothing before peer_release */
    bool raw;            /* the bytes are not ours: do not check them */
};

/* What came of one connection, in the order of acceptance. */
struct peer_conn {
    uint64_t bytes;
    uint16_t from; /* the other side's port */
    uint8_t ended; /* EOF or error seen */
    uint8_t wrong; /* a byte was not what it should be */
    int error;     /* 0: clean EOF; else errno of recv */
};
#define PEER_ROOM 65536
struct peer_book {
    _Atomic unsigned accepted, ended, released;
    struct peer_conn conn[PEER_ROOM];
};
struct peer {
    pid_t pid;
    uint16_t port;
    struct peer_book *book;
};

/* A server in a process of its own, in the test's namespace; it ends with the test. */
struct peer peer_start(const struct peer_options *options);
void peer_release(struct peer *p);
void peer_stop(struct peer *p);
/* Wait (bounded) until so many were accepted; until so many have ended. */
void peer_wait_accepted(struct peer *p, unsigned n);
void peer_wait_ended(struct peer *p, unsigned n);
/* Waits for n ends and asserts that exactly the last n since `since` gave `bytes` right bytes and a clean EOF. */
void peer_expect_clean(struct peer *p, unsigned since, unsigned n, uint64_t bytes, const char *what);
/* How many of the ended ones, from the since-th on, ended in this error (0: clean EOF). */
unsigned peer_count(const struct peer *p, unsigned since, int error);

/* The three ways in which TCP is spoken: where to listen, where to connect to. */
struct family {
    const char *name, *listen, *connect;
};
#define FAMILIES 3
extern const struct family families[FAMILIES];

/* The other way round: connect to a server-side victim n times, send, read to the end. */
struct client_options {
    const char *address; /* default 127.0.0.1 */
    uint16_t port;
    unsigned n;
    size_t send;       /* bytes sent once connected */
    bool closes_first; /* closes after sending, without reading */
    bool together;     /* opens all n before it reads the first */
};
struct client_result {
    unsigned connected, clean; /* clean: EOF without an error, all bytes right */
    uint64_t bytes;            /* received, all connections */
    int error;                 /* the first errno, 0: none */
};
struct client_result client_run(const struct client_options *options);

/* Fill the local ports low to high with TIME_WAITs towards address:port that are not the victim's: one
 * connection a port, closed first by us. Each takes its port through a window of one: ports of plain binds would
 * be closed to other destinations too. */
void fill_time_wait(const char *address, uint16_t port, unsigned low, unsigned high);

/* Address and port to sockaddr; v4-mapped as "::ffff:127.0.0.1". Returns its length. */
socklen_t to_sockaddr(const char *address, uint16_t port, struct sockaddr_storage *out);

/* ---- log lines -------------------------------------------------------------------------------------- */

/* The nth (from 0) line of `text` that is a log line of ours, logfmt or JSON; NULL where there is none. */
const char *log_line(const char *text, unsigned nth);
unsigned log_lines(const char *text);
/* A field of it: its number, -1 where it is missing or no number. */
long log_number(const char *line, const char *name);
/* Its text without quoting; NULL where it is missing. Of a JSON object: its own text, compact. */
const char *log_text(const char *line, const char *name);
/* established = time_wait + avoided + passive + aborted + passed + open, and all of them there. */
void log_expect_invariant(const char *line);

#endif
