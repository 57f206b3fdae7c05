/* Programs that nothing can be preloaded into, because they are static: their sockets are treated from outside, in the
 * moment in which they connect, listen or bind.
 *
 * Four processes beside CMD, none of them a child of its own. This command. The supervisor, to which each such call is
 * told before the kernel carries it out (kernel/notify.h): it takes a copy of the program's own socket, sets the options,
 * and lets the call go on; it ends when the last process under it has ended, and not before. And two holders, which sleep
 * until the supervisor has ended: should that be killed, they let every call go on as it is.
 *
 *   supervisor.c          the processes       supervisor_call.c    what is done to a socket of the program's
 *   supervisor_process.c  whose call it is    supervisor_hand.c    a socket made for it
 *   supervisor_source.c   where it starts     supervisor_ledger.c  what is known of it afterwards
 *   supervisor_holder.c   who answers after it
 *   supervisor_cookies.c  sockets that are to be known again */
#ifndef AFTERFIN_CLI_LAUNCH_SUPERVISOR_H
#define AFTERFIN_CLI_LAUNCH_SUPERVISOR_H

#include "cli/launch/settings.h"

#include <sys/types.h>

struct af_supervisor {
    int line;       /* to it; -1: there is none */
    unsigned calls; /* that it is told of: kernel/notify.h */
    pid_t pid;
};

/* By which way can it be had here: by taking a copy of the program's own socket, or, where pidfd_getfd(2) is refused (as
 * Docker's default profile does), by making the socket for it, where it would be exactly the same, and handing it in? AF_NOT_SUPERVISED: by none, *why. */
enum af_supervised af_supervisor_way(const char **why);

/* Is there anything for it to do: a policy that can be had from outside, or (`counts`) a ledger to be kept? */
bool af_supervisor_needed(const struct af_settings *settings, bool counts);

/* What that way carries of a policy: "yes", "no", or with what (ways.def). */
const char *af_supervisor_carries(enum af_supervised way, enum af_key key);

/* What it does, and what it cannot do, in one line on stderr, of `what`: "CMD, which is static,". */
void af_supervisor_say(const char *what, const struct af_settings *settings, bool counts);

/* Start it, in the name of the subcommand `who`. `directory`: where it keeps ledgers; NULL: it counts nothing. `orphan`:
 * it shall not be a child of this process, which is to become CMD. False: it has been said why. */
bool af_supervisor_start(struct af_supervisor *supervisor, const char *who, const struct af_settings *settings,
                         const char *directory, bool orphan);

/* In the process that is to become CMD: from here on its calls are told. 0; -EBUSY, one of another run is above us
 * already; -EPIPE, it has ended before it began; another -errno, of it or of us. */
int af_supervisor_enter(const struct af_supervisor *supervisor);

/* CMD has ended: say, in the name of `who`, if a ledger in this directory had no room for what came from outside. */
void af_supervisor_tell_lack(const struct af_supervisor *supervisor, const char *who, const char *directory);

/* Nothing will enter any more. Where it has ended by now, it is collected. */
void af_supervisor_leave(struct af_supervisor *supervisor);

#endif
