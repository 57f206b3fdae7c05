/* Inside the supervisor: supervisor.h says which file does what. Several threads answer calls; what they share is said. */
#ifndef AFTERFIN_CLI_LAUNCH_SUPERVISOR_INNER_H
#define AFTERFIN_CLI_LAUNCH_SUPERVISOR_INNER_H

#include "cli/kernel/notify.h"
#include "cli/launch/supervisor.h"
#include "ledger/layout.h"

#include <sys/stat.h>

/* What decides which sockets a process may have, and of what kind they are. */
struct af_likeness {
    char ids[512]; /* of its status: user and group, each in four kinds, and capabilities */
    uint64_t net_ns, user_ns;
};

/* The same for all its life. */
struct af_supervision {
    const struct af_settings *settings;
    const char *directory; /* NULL: nothing is counted */
    int line;              /* to who has started us: af_lacks_room */
    int listener;
    bool holds; /* af_notify_holds */
    struct af_likeness like_us;
    struct af_cookies *late;    /* whose port is left to connect; NULL: bind_no_port is not asked for */
    struct af_sources *sources; /* NULL: source is not asked for */
};

/* ---- who answers when we do not any more: supervisor_holder.c --------------------------------------------------- */

enum { AF_MOST_THREADS = 4 };
/* Start the holders. Where each answering thread is to have the call that is in its hands; NULL: they cannot be had, errno tells why. */
struct af_notification *af_held(int listener);
/* Replace those that are killed, until the last one that could call has ended. */
void af_hold_on(int listener);
/* Can nobody call any more? Waits `timeout` ms (-1: for ever) for that, or for a call. */
bool af_all_gone(int listener, int timeout);

/* ---- sockets that are to be known again: supervisor_cookies.c; any thread -------------------------------------- */

struct af_cookies *af_cookies_make(void);
void af_cookies_put(struct af_cookies *set, uint64_t cookie);
/* Was it one? It is none from now on. */
bool af_cookies_take(struct af_cookies *set, uint64_t cookie);

/* ---- whose call it is: supervisor_process.c ------------------------------------------------------------------- */

struct af_ledger_book;

/* One thread of a process under us, and what is known of the process. */
struct af_charge {
    pid_t thread;
    int pidfd;    /* of the thread, or of its process; -1: unused */
    dev_t device; /* the program that it ran when we looked */
    ino_t inode;
    uint64_t random_at; /* AT_RANDOM's bytes (getauxval(3)), which tell an exec since; 0: they may not be read */
    unsigned char random[16];
    bool fresh;      /* nobody has yet asked whether its call still waits */
    bool left_alone; /* the library is in it, or it is not to be touched */
    char program[AF_PROGRAM_SIZE];
    pid_t process; /* 0: nobody has asked; as the next three, which are for who counts */
    uint64_t net_ns;
    struct af_ledger_book *book;
    uint32_t slot; /* in the book; AF_NO_SLOT: not counted */
};

/* Those that were seen lately: for one answering thread. */
enum { AF_CHARGES = 64 };
struct af_charges {
    struct af_charge all[AF_CHARGES];
    struct af_charge *last; /* whose call came last; NULL: none */
};
void af_charges_init(struct af_charges *charges);

/* It, and `size` bytes of its memory. NULL: it is gone, or not for us to look into, or there is no such memory. */
struct af_charge *af_charge_of(struct af_charges *charges, const struct af_supervision *s, pid_t thread,
                               uint64_t address, void *out, size_t size);
/* A copy of its descriptor, or -errno. A thread that is gone gives way to one that has its number now. */
int af_charge_take(struct af_charges *charges, const struct af_supervision *s, struct af_charge **charge, int fd);
/* What we are like, and whether it is so now, in its call: then a socket of ours is as one of its own. */
void af_likeness_init(struct af_likeness *us);
bool af_charge_is_like(const struct af_charge *charge, const struct af_likeness *us);

/* ---- what is done: supervisor_call.c -------------------------------------------------------------------------- */

/* Keys that are asked for, by a variable or a rule: of this role, or (AF_ROLES) all. */
uint32_t af_keys_asked(const struct af_policy *policy, enum af_role role);
/* Which calls have to be told for this. */
unsigned af_supervised_calls(const struct af_settings *settings, bool counts);
/* Treat the socket of this call, and answer it. */
void af_supervise_call(const struct af_supervision *s, struct af_charges *charges,
                       const struct af_notification *notification, const struct af_notified_call *call);

/* What is left of the values from outside, where nobody sees the close or a failing connect. */
void af_values_from_outside(struct af_values *values);
/* Set the options; `port` and `own` as for af_policy_options. */
void af_treat(int fd, const struct af_values *values, enum af_role role, uint16_t port, uint32_t own, bool override);
uint64_t af_cookie_of(int fd);

/* supervisor_source.c: bind a socket that is about to connect to the next address of `values`, unless the program has an
 * address in mind; any thread. */
struct af_sources *af_sources_make(void);
void af_choose_source(const struct af_supervision *s, int fd, uint64_t cookie, const struct af_addr *peer,
                      const struct af_values *values);
bool af_is_of_our_network(int fd);
/* Before it listens: it has no address of ours any more. */
void af_take_back_source(const struct af_supervision *s, int fd, uint64_t cookie);

/* supervisor_hand.c: socket(2), answered with a socket that we have made. False: it is to be let go. */
bool af_supervise_socket(const struct af_supervision *s, struct af_charges *charges,
                         const struct af_notification *notification, const struct af_notified_call *call);

/* supervisor.c: a ledger cannot be kept, or cannot grow, for this errno; any thread. It is said once. */
void af_lacks_room(const struct af_supervision *s, int error);

/* ---- what is known afterwards: supervisor_ledger.c ------------------------------------------------------------ */

/* The ledger of a program, and in it the record of a process; any thread. False: there is none to be had. */
bool af_book_process(const struct af_supervision *s, const char *program, pid_t pid, pid_t parent, uint64_t start_ticks,
                     uint64_t net_ns, struct af_ledger_book **book, uint32_t *slot);
/* It has a TCP socket that listens; any thread. */
void af_book_listener(struct af_ledger_book *book, uint32_t slot);
/* It has this socket, which connects to `peer` or, in place of that, has just been made (NULL); any thread. */
void af_book_socket(struct af_ledger_book *book, uint32_t slot, uint64_t cookie, const struct af_addr *peer,
                    bool mptcp);

#endif
