/* What is asked of set, and what came of it.
 *
 *   set.c     options, and all processes one after the other    outside.c  one socket, treated from outside
 *   process.c one process: its sockets, listening ones first     choice.c   the options of a key on a socket
 *   letter.c  the library's own way, where it is in a process
 *   given.c   what was there before, for `off`                   print.c json.c  what is told */
#ifndef AFTERFIN_CLI_SET_SET_H
#define AFTERFIN_CLI_SET_SET_H

#include "cli/kernel/mailbox.h"
#include "cli/kernel/pidfd.h"
#include "cli/launch/settings.h"
#include "cli/set/given.h"

/* What came of one socket, of several keys together. */
enum af_outcome {
    AF_OUTCOME_TCP = 1,
    AF_OUTCOME_SET = 2,     /* it has what was asked for, now or already */
    AF_OUTCOME_CHOSEN = 4,  /* the program has chosen an option itself, and without override that stays */
    AF_OUTCOME_REFUSED = 8, /* by the kernel */
    AF_OUTCOME_OPENED = 16, /* a connection that the process has opened itself, as far as is known */
};

struct af_seen_socket {
    uint64_t inode;  /* 0: empty */
    uint8_t outcome; /* set of enum af_outcome */
    bool treated, listens;
};

struct af_set_process {
    pid_t pid, thread; /* the one that was looked at: kernel/pidfd.h */
    uint64_t start_ticks;
    char program[16];
    char *error;     /* it could not be reached: why; from malloc */
    bool asked;      /* whether the library is in it */
    bool posted;     /* the library is in it, and has a letter */
    uint32_t serial; /* of that */
    bool in_force;   /* ... which it has read by now */
    uint64_t
        opens; /* connections ever opened or accepted in its network namespace, before it was looked at; 0: unknown */
    const char *note; /* the library is in it, and cannot be told: why */
    struct af_inside inside;
    struct af_rights rights;
    struct af_settings old; /* what it had before */
    size_t sockets;         /* of any family, when they were listed last */
    size_t left;            /* of these, set.n_left */
    size_t listening, connections, opened, set, chosen, refused;
    int why_refused; /* -errno of the last */
};

struct af_set {
    struct af_settings settings; /* only what was asked for */
    pid_t pid;
    bool tree, json, every_key; /* every_key: "rules=", all that rules have set goes back */
    const char *json_path;
    bool acts;    /* some key that was asked for can be had from outside */
    char *beyond; /* which cannot: "reuseaddr, linger=rst", from malloc; NULL: all can */

    bool only_look; /* nothing is to be set in the process that is being treated: the library has done it */
    const struct af_policy *old; /* of the process that is being treated, if the library has one there; else NULL */
    struct af_givens givens;
    struct af_seen_socket *seen; /* by inode, with room for a power of two */
    size_t n_seen, seen_room;
    struct af_addr *listeners; /* where these processes, or others of the namespace, listen */
    size_t n_listeners;
    uint64_t *listening; /* inodes of those, sorted */
    size_t n_listening;
    uint64_t listed_ns; /* the network namespace that was asked last */
    bool has_waiting;   /* connections wait to be accepted that came before their listening socket was set */
    bool seen_all;      /* a round is over */
    size_t n_new;       /* sockets that this round was the first to see */
    size_t n_left;      /* ... that are not treated yet: the library is at them, or about to close them */
    bool last_look;     /* what it does not know by now it never will */
    struct af_set_process *processes;
    size_t n_processes;
};

/* letter.c: where the library is in a process, put the policy in its mailbox. process->error: it may not be reached at all.
 * Asked anew of one that has none and opens sockets: it may have begun just then, or have another image. */
void af_set_letter(struct af_set *set, struct af_set_process *process);
/* Later: has it been read? */
void af_set_letter_read(struct af_set_process *process);

/* process.c: where is listened in a process's network namespace, which tells what listens before it is looked at; in one
 * that we may not enter nothing does. */
void af_set_find_listeners(struct af_set *set, const struct af_held *held);
void af_set_add_listener(struct af_set *set, const struct af_addr *local);
/* Treat the sockets of a process that is held, listening ones first, and count what came of all that it has. 0 or -errno:
 * it could not be looked into. */
int af_set_sockets(struct af_set *set, const struct af_held *held, bool only_listening, struct af_set_process *process);

/* outside.c: treat a copy of a socket; a set of enum af_outcome. */
unsigned af_set_outside(struct af_set *set, const struct af_held *held, int fd, bool *listens, int *why_refused);
/* Fills acts and beyond. */
void af_set_find_beyond(struct af_set *set);

/* print.c, json.c: on stdout; and on stderr, what was not reached. */
void af_set_print(const struct af_set *set);
void af_set_tell(const struct af_set *set);
/* What cannot be had in the processes that were treated from outside, from malloc; NULL: nothing. */
char *af_set_out_of_reach(const struct af_set *set);
bool af_set_write_json(const struct af_set *set);

#endif
