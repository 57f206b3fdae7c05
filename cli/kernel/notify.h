/* System calls of other processes that wait until we have looked at them: seccomp user notification
 * (seccomp_unotify(2); Linux 5.5, and 5.19 for a wait that no signal cuts short once the call is in our hands). */
#ifndef AFTERFIN_CLI_KERNEL_NOTIFY_H
#define AFTERFIN_CLI_KERNEL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The calls that can be asked for. */
enum {
    AF_NOTIFY_CONNECT = 1,
    AF_NOTIFY_LISTEN = 2,
    AF_NOTIFY_BIND = 4,
    AF_NOTIFY_GETSOCKNAME = 8,
    AF_NOTIFY_V6ONLY = 16, /* setsockopt of that one option */
    AF_NOTIFY_SOCKET = 32, /* of a stream of IPv4 or IPv6 */
};

/* From now on these calls of this process, and of all that descend from it, wait for whoever has the listener, which is
 * returned, close-on-exec; connect only where its address is long enough for an internet socket. Without CAP_SYS_ADMIN
 * no_new_privs is set, and *bound says so. -errno: EBUSY, there is a listener above us already; EINVAL or ENOSYS, this
 * kernel has none. */
int af_notify_install(unsigned calls, bool *bound);
/* Would it have to set no_new_privs? */
bool af_notify_binds(void);

enum { AF_NOTIFY_ROOM = 256 };
/* One call. It may lie in memory that is shared, so that whoever comes after us knows what is still to be answered. */
struct af_notification {
    union {
        uint64_t id;
        unsigned char room[AF_NOTIFY_ROOM]; /* struct seccomp_notif, of this kernel's size */
    };
};
struct af_notified_call {
    pid_t thread;  /* 0: in no pid namespace below ours */
    unsigned call; /* AF_NOTIFY_... */
    uint64_t arguments[6];
};

/* Ask the kernel to hand over without a detour (Linux 6.6); that is only quicker. */
void af_notify_hasten(int listener);
/* Wait for the next one. False: it was interrupted, or the caller has gone; to be tried again. */
bool af_notify_receive(int listener, struct af_notification *notification, struct af_notified_call *call);
/* Does a caller whose call has been received wait for the answer until it is killed (Linux 5.19)? Else a signal ends its
 * wait, and it goes on. */
bool af_notify_holds(void);
/* Is the caller still there? What was read of it was its own, then. */
bool af_notify_waits(int listener, const struct af_notification *notification);
/* The call goes on as if nobody had looked; or ends with this errno. */
void af_notify_let_go(int listener, const struct af_notification *notification);
void af_notify_fail(int listener, const struct af_notification *notification, int error);
/* The caller gets a copy of this descriptor, at the lowest number that it has free, which is returned (Linux 5.9); negative:
 * it cannot have one more. It still waits: for af_notify_end, with the number. */
int af_notify_hand_in(int listener, const struct af_notification *notification, int fd, bool close_on_exec);
void af_notify_end(int listener, const struct af_notification *notification, int result);

#endif
