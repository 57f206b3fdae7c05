/* What was seen: the one shared-memory layout. The library writes it (writer.h), the command reads it
 * (reader.h). A ledger is a file, or anonymous memory where only a log or a policy needs one; either way it
 * belongs to one exec'd image and the children that it forks.
 *
 *     header | connect times | processes | connections | endpoints | closed
 *
 * Sparse: every section is as large as it may ever get and memory follows use. A record of zeros is an unused
 * one. Numbers are in host byte order (a ledger never leaves its machine), addresses in network byte order.
 * Times are CLOCK_REALTIME nanoseconds, 0 where there is none. */
#ifndef AFTERFIN_LEDGER_LAYOUT_H
#define AFTERFIN_LEDGER_LAYOUT_H

#include "policy/policy.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define AF_LEDGER_MAGIC "afterfin"
#define AF_LEDGER_VERSION 6
#define AF_NO_SLOT UINT32_MAX

enum {
    AF_MAX_PROCESSES = 1 << 16,
    AF_MAX_CONNECTIONS = 1 << 20,
    AF_MAX_ENDPOINTS = 1 << 16, /* a power of two */
    AF_MAX_CLOSED = 1 << 20,    /* a power of two */
    AF_MIN_CLOSED = 1 << 14,    /* of a ledger that is a file; the writer knows how many it will be */
    AF_PROGRAM_SIZE = 64,
    AF_COMMAND_SIZE = 512,
    AF_POLICY_SIZE = 512,
    AF_ERROR_ROWS = 32,
    AF_BUCKETS = 976, /* histogram.h */
};

enum af_counter {
#define COUNTER(name, help) AF_COUNT_##name,
#define DERIVED(name, help)
#include "counters.def"
#undef COUNTER
#undef DERIVED
    AF_COUNTERS
};

/* Calls whose failures are told apart. */
enum af_call { AF_CALL_socket, AF_CALL_bind, AF_CALL_listen, AF_CALL_connect, AF_CALL_accept, AF_CALLS };

/* One row of "connect:EADDRNOTAVAIL=12". The first AF_CALLS rows stand for "CALL:unknown". */
struct af_error_row {
    _Atomic uint32_t key; /* (call + 1) << 16 | errno */
    _Atomic uint32_t count;
};

/* The library is not in this process, which the supervisor has recorded (cli/launch/supervisor.h): its connects are
 * counted, and the TIME_WAITs that the kernel shows; all other counts are 0, which says nothing. AF_SEEN_LISTENING: it has a TCP
 * socket that listens, too. */
enum { AF_SEEN_FROM_OUTSIDE = 2, AF_SEEN_LISTENING = 3 };

/* How a process image came to its end. */
enum af_ended { AF_RUNNING, AF_EXITED, AF_EXECED };

/* One process image: from fork or exec to exec or its end. */
struct af_process {
    _Atomic uint32_t used;  /* 0: free, 1: being filled in, 2: complete */
    _Atomic uint32_t ended; /* enum af_ended */
    int32_t pid, ppid;      /* as that process itself saw them */
    uint64_t started, ended_at;
    uint64_t start_ticks;       /* field 22 of its /proc/PID/stat is at most this, 0: unknown; tells a reused pid */
    _Atomic uint32_t sealed;    /* it installed a seccomp filter: its later closes were not looked at; or
                                   AF_SEEN_FROM_OUTSIDE, AF_SEEN_LISTENING */
    _Atomic uint32_t lost;      /* connections or endpoints that found no room here */
    _Atomic uint32_t endpoints; /* index + 1 of the newest of its endpoints, which are chained; 0: none */
    _Atomic uint32_t sharers;   /* of the last slot: further processes, for which no slot was left */
    _Atomic uint64_t count[AF_COUNTERS];
    struct af_error_row errors[AF_ERROR_ROWS];
};

enum af_conn_state {
    AF_CONN_FREE,
    AF_CONN_NEW, /* a TCP socket that has no connection (yet, or any more) */
    AF_CONN_LISTENER,
    AF_CONN_PENDING,  /* connect said EINPROGRESS or was interrupted, or the SYN waits for data (TCP Fast Open) */
    AF_CONN_OPEN,     /* counted as established */
    AF_CONN_INHERITED /* came with exec, SCM_RIGHTS or pidfd_getfd: counted only if this side ends it */
};

/* What is known of a connection besides its state: bits of af_connection.flags. */
enum {
    AF_FLAG_ACCEPTED = 1 << 0, /* role accept, else connect */
    AF_FLAG_MPTCP = 1 << 1,
    AF_FLAG_ACK = 1 << 2,          /* our TCP_LINGER2 = -1 is on it */
    AF_FLAG_RST = 1 << 3,          /* linger=rst was decided for it */
    AF_FLAG_ABORTS = 1 << 4,       /* the program's own SO_LINGER {1, 0} or TCP_LINGER2 < 0 is on it */
    AF_FLAG_FIN_FIRST = 1 << 5,    /* our shutdown came while it was ESTABLISHED */
    AF_FLAG_FIN_SECOND = 1 << 6,   /* our shutdown came when the peer's FIN was there */
    AF_FLAG_SHARED = 1 << 7,       /* came from elsewhere: somebody may have it whom we do not know */
    AF_FLAG_BOUND_LATE = 1 << 8,   /* bind_no_port: bound to bind_to, but the kernel has no port yet */
    AF_FLAG_TFO = 1 << 9,          /* TCP_FASTOPEN_CONNECT is on: connect returns before there is a connection */
    AF_FLAG_HANDS_ON = 1 << 10,    /* a listener whose options are inherited by what it accepts */
    AF_FLAG_BOUND = 1 << 11,       /* a bind succeeded */
    AF_FLAG_PORT_CHOSEN = 1 << 12, /* ... to a port: the port policies have no say */
    AF_FLAG_PEER = 1 << 13,        /* peer is known */
    AF_FLAG_LOCAL = 1 << 14,       /* local_port is known */
    AF_FLAG_RST_SET = 1 << 15,     /* our SO_LINGER {1, 0} is on it: the next close aborts */
    AF_FLAG_RECEIVED = 1 << 16,    /* came by SCM_RIGHTS or pidfd_getfd, not by exec */
    AF_FLAG_SECONDS = 1 << 17,     /* our SO_LINGER {1, n} is on it */
    AF_FLAG_SENT = 1 << 18,        /* was sent over a Unix socket at least once */
    AF_FLAG_OWN_NO_PORT = 1 << 19, /* the program's own IP_BIND_ADDRESS_NO_PORT is on it */
    AF_FLAG_READS_ODD = 1 << 20,   /* it was shut down for reading, or has an SO_RCVLOWAT: poll(2) tells less */
    AF_FLAG_ASKS = 1 << 21,        /* linger=ack: that -1 stays only where the peer was heard */
    AF_FLAG_UNHEARD = 1 << 22,     /* it was not, and the -1 was taken back */
    AF_FLAG_SOURCE = 1 << 23,      /* source=: we have bound it to an address at some time */
    AF_FLAG_BOTH = 1 << 24,        /* ... of IPv6, which has made it IPV6_V6ONLY, and it was not before */
    AF_FLAG_WINDOW = 1 << 25,      /* port_range, port_search: our IP_LOCAL_PORT_RANGE is on it */
};

/* One TCP socket that is open in some process of this image: what a reader needs, and what processes that share it must
 * agree on (shim/share.c). What is done to the socket is decided from private memory. */
struct af_connection {
    _Atomic uint32_t state; /* enum af_conn_state */
    _Atomic uint32_t flags;
    _Atomic uint64_t cookie; /* SO_COOKIE; 0: not read */
    _Atomic uint32_t owner;  /* process slot that opened or accepted it; AF_NO_SLOT: none here */
    _Atomic uint32_t holder; /* process slot that has it for all we know: who made this record */
    _Atomic int32_t sent;    /* times it was sent over a Unix socket and not yet seen to arrive */
    _Atomic int32_t foreign; /* pid of the image that inherited it by exec; 0: none */
    struct af_addr peer;
    uint16_t local_port;
    uint8_t ending; /* enum af_ending: how an exec that may yet fail has counted it */
    uint8_t spare;
    _Atomic uint64_t hold; /* the processes that have it (shim/share.c), below a tag: which use of the record it is */
    _Atomic uint32_t next_free; /* index + 1 of the next block of records that nobody has; only while free */
    uint32_t index;             /* its own; a reader fills it in */
};

/* Records are handed out to processes in blocks, which a process uses again and again. */
enum { AF_BLOCK = 8, AF_TAG_SHIFT = 48 /* in `hold` */ };

/* How many TIME_WAIT a process left towards one endpoint: the peer, or the local port of accepted ones. */
struct af_endpoint {
    _Atomic uint32_t key;   /* hash of what follows, never 0; 0: free */
    _Atomic uint32_t ready; /* the rest is filled in */
    uint32_t slot;
    _Atomic uint32_t count;
    struct af_addr addr; /* accepted: only the port, any family */
    uint8_t accepted;
    uint8_t spare[3];
    uint32_t next; /* index + 1 of the same process's next one, 0: none */
};

/* How a connection ended, or left this process. */
enum af_ending { AF_END_NONE, AF_END_TIME_WAIT, AF_END_AVOIDED, AF_END_PASSIVE, AF_END_ABORTED, AF_END_PASSED };

/* One ended connection in the ring. */
struct af_closed {
    _Atomic uint64_t serial; /* 1 + its position since the start; 0 while being written */
    uint64_t cookie;
    uint64_t at;
    uint32_t slot;       /* who ended it */
    uint32_t owner;      /* who opened it; AF_NO_SLOT: not here */
    struct af_addr peer; /* as far as known: port 0 where not */
    uint16_t local_port;
    uint8_t counted; /* enum af_ending */
    uint8_t use;     /* the lowest byte of the tag of `record` (af_connection.hold) */
    uint32_t flags;  /* AF_FLAG_...; ACCEPTED and MPTCP are looked at */
    uint32_t record; /* index + 1 of its af_connection, which goes, or says the same, when this end has been counted */
};

/* How long calls took, ns. */
struct af_histogram {
    _Atomic uint64_t max;
    _Atomic uint64_t count[AF_BUCKETS];
};

struct af_ledger {
    char magic[8];
    uint32_t version, header_size;
    uint64_t size;                                                  /* of the whole, bytes */
    uint64_t processes_at, connections_at, endpoints_at, closed_at; /* offsets */
    uint32_t process_size, connection_size, endpoint_size, closed_size;
    uint32_t max_processes, max_connections, max_endpoints, max_closed; /* the last two powers of two */
    _Atomic uint32_t n_processes;                                       /* slots handed out so far */
    _Atomic uint32_t n_connections; /* records ever used: a reader looks no further */
    _Atomic uint64_t free_head;     /* change count << 32 | index + 1 of the first free block of connections */
    _Atomic uint64_t n_closed;      /* ever; more than max_closed: the oldest are lost */
    int32_t pid;                    /* the image's first process */
    _Atomic uint32_t lost_closed;   /* ends that found no room in the ring: its disk is full */
    uint64_t started;
    uint64_t net_ns, pid_ns; /* inode numbers, 0 where /proc was not to be had */
    char boot_id[40];
    char program[AF_PROGRAM_SIZE];
    char command[AF_COMMAND_SIZE]; /* arguments, each ended by a NUL */
    uint32_t command_size;         /* of the whole command line; larger than AF_COMMAND_SIZE: it was cut */
    uint32_t histogram_size;
    char policy[AF_POLICY_SIZE];   /* "linger=ack,keepalive=60", as in the log */
    _Atomic uint64_t policy_since; /* CLOCK_REALTIME, ns: when a policy came while it ran; 0: it is that of the start */
    uint64_t connect_times_at;     /* one struct af_histogram: the time that the program spent inside connect */
};

#include "ledger/offsets.h"

#endif
