/* See supervisor_inner.h. Holders: processes that sleep until the supervisor has ended, and then let all calls go on that
 * nobody would answer. Whichever two of it and them are killed at one stroke, one is left; each that is killed is
 * replaced, by the supervisor or, after its end, by the one that holds in its place. */
#include "cli/kernel/supervised.h"
#include "cli/launch/supervisor_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOLDERS = 2 };

/* The calls that are in the hands of each, in memory that all of them share: a place for every thread of the supervisor's,
 * and for each holder and those who come after it. */
static struct af_notification *in_hand;
static int turn = -1; /* a file of nobody's: the holder that has locked it answers */

static struct holder {
    pid_t pid;
    struct pollfd ended;
} holders[HOLDERS];
static int self = -1; /* a pidfd of the supervisor */

bool af_all_gone(int listener, int timeout) {
    struct pollfd at = { .fd = listener, .events = POLLIN };
    return poll(&at, 1, timeout) > 0 && at.revents & (POLLHUP | POLLERR) && !(at.revents & POLLIN);
}

static pid_t start(int listener, int watched, int which);

/* One at a time: of two that wait for one call, one would wait in vain, and before Linux 6.11 for ever. The kernel lets
 * the lock go when its owner ends. */
static void take_turn(void) {
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    while (fcntl(turn, F_SETLKW, &all) != 0 && errno == EINTR)
        ;
}

/* The one before has ended. What was in its hands goes on, and so does all that is told from now on; and somebody holds
 * this one in turn. */
static void let_all_go(int listener, int which) {
    struct af_notification *notification = &in_hand[AF_MOST_THREADS + which];
    struct af_notified_call call;
    take_turn();
    for (int i = 0; i < AF_MOST_THREADS + HOLDERS; i++)
        if (in_hand[i].id)
            af_notify_let_go(listener, &in_hand[i]);
    const int us = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t next = start(listener, us, which);
    while (!af_all_gone(listener, -1)) {
        if (next > 0 && waitpid(next, NULL, WNOHANG) == next)
            next = start(listener, us, which);
        if (af_notify_receive(listener, notification, &call))
            af_notify_let_go(listener, notification);
    }
    if (next > 0 && kill(next, SIGKILL) == 0)
        waitpid(next, NULL, 0);
}

/* Whoever kills all processes of the name afterfin leaves the holder, and so no call without an answer. */
static void take_another_name(void) {
    static const char name[] = AF_HOLDER_NAME;
    char *arguments = program_invocation_name; /* all of them, one after the other, as /proc/PID/cmdline reads them */
    char text[4096];
    const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (size >= (ssize_t)sizeof name && memcmp(text, arguments, (size_t)size) == 0) {
        memset(arguments, 0, (size_t)size);
        memcpy(arguments, name, sizeof name);
    }
}

/* A copy of a program's socket that is just in the supervisor's hands would keep that open for ever, and one of the line
 * CMD waiting for an answer. */
static void keep_only(const int kept[3]) {
    int from = 3, next;
    do {
        next = INT_MAX;
        for (int i = 0; i < 3; i++)
            next = kept[i] >= from && kept[i] < next ? kept[i] : next;
        if (from < next)
            syscall(SYS_close_range, from, next == INT_MAX ? INT_MAX : next - 1, 0);
        from = next == INT_MAX ? next : next + 1;
    } while (next != INT_MAX);
}

/* `watched`: a pidfd. */
static pid_t start(int listener, int watched, int which) {
    const pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
    struct pollfd at = { .fd = watched, .events = POLLIN };
    if (pid != 0)
        return pid;
    keep_only((const int[]){ listener, watched, turn });
    setsid(); /* and whoever kills a process group leaves the others */
    take_another_name();
    while (poll(&at, 1, -1) < 0 && errno == EINTR)
        ;
    if (!af_all_gone(listener, 0))
        let_all_go(listener, which);
    _exit(0);
}

/* ---- in the supervisor ------------------------------------------------------------------------------------------ */

static bool hold(int listener, int which) {
    struct holder *holder = &holders[which];
    holder->pid = start(listener, self, which);
    holder->ended.events = POLLIN;
    holder->ended.fd = holder->pid > 0 ? (int)syscall(SYS_pidfd_open, holder->pid, 0) : -1;
    return holder->pid > 0;
}

struct af_notification *af_held(int listener) {
    const size_t size = (AF_MOST_THREADS + HOLDERS) * sizeof *in_hand;
    bool good = true;
    self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    turn = memfd_create("turn", MFD_CLOEXEC);
    if (self < 0 || turn < 0)
        return NULL;
    in_hand = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < HOLDERS && in_hand != MAP_FAILED && good; i++)
        good = hold(listener, i);
    return in_hand != MAP_FAILED && good ? in_hand : NULL;
}

void af_hold_on(int listener) {
    struct pollfd at[1 + HOLDERS] = { { .fd = listener } };
    while (!(at[0].revents & (POLLHUP | POLLERR))) {
        for (int i = 0; i < HOLDERS; i++)
            at[1 + i] = holders[i].ended;
        if (poll(at, 1 + HOLDERS, -1) < 0)
            continue;
        for (int i = 0; i < HOLDERS; i++)
            if (at[1 + i].revents & POLLIN && waitpid(holders[i].pid, NULL, WNOHANG) == holders[i].pid) {
                close(holders[i].ended.fd);
                hold(listener, i);
            }
    }
    for (int i = 0; i < HOLDERS; i++)
        if (holders[i].pid > 0 && kill(holders[i].pid, SIGKILL) == 0)
            waitpid(holders[i].pid, NULL, 0);
}
