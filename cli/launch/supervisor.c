/* See supervisor.h. */
#include "cli/launch/supervisor.h"
#include "cli/launch/supervisor_inner.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_THREADS = 4, HOLDERS = 2 }; /* whichever two of it and them are killed at one stroke, one is left */

/* What they share: the calls that are in the hands of each, a place for every thread of the supervisor's, and for each
 * holder and those who come after it. */
struct in_hand {
    struct af_notification of[MOST_THREADS + HOLDERS];
};

/* ---- the line to it: a listener goes over, and a byte comes back once all is ready ------------------------------ */

static bool send_listener(int line, int listener) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .room = { 0 } };
    char byte = 0;
    struct iovec text = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                     .cmsg_type = SCM_RIGHTS,
                                     .cmsg_len = CMSG_LEN(sizeof listener) };
    memcpy(CMSG_DATA(&control.head), &listener, sizeof listener);
    return sendmsg(line, &message, MSG_NOSIGNAL) == 1;
}

/* -1: nobody has entered, and nobody will. */
static int receive_listener(int line) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .room = { 0 } };
    char byte;
    struct iovec text = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    int listener = -1;
    if (recvmsg(line, &message, MSG_CMSG_CLOEXEC) == 1 && control.head.cmsg_type == SCM_RIGHTS)
        memcpy(&listener, CMSG_DATA(&control.head), sizeof listener);
    return listener;
}

/* ---- the holder ------------------------------------------------------------------------------------------------- */

/* Nobody calls any more. Does not wait: `what` are the events that are asked for. */
static bool all_gone(int listener, short what, int timeout) {
    struct pollfd at = { .fd = listener, .events = what };
    return poll(&at, 1, timeout) > 0 && at.revents & (POLLHUP | POLLERR) && !(at.revents & POLLIN);
}

static pid_t start_holder(int listener, int watched, struct in_hand *in_hand, int which);

/* The one before has ended. What was in its hands goes on, and so does all that is told from now on; and somebody holds
 * this one in turn. */
static void let_all_go(int listener, struct in_hand *in_hand, int which) {
    struct af_notification *notification = &in_hand->of[MOST_THREADS + which];
    struct af_notified_call call;
    for (int i = 0; i < MOST_THREADS + HOLDERS; i++)
        if (in_hand->of[i].id)
            af_notify_let_go(listener, &in_hand->of[i]);
    const pid_t next = start_holder(listener, (int)syscall(SYS_pidfd_open, getpid(), 0), in_hand, which);
    while (!all_gone(listener, POLLIN, -1))
        if (af_notify_receive(listener, notification, &call))
            af_notify_let_go(listener, notification);
    if (next > 0 && kill(next, SIGKILL) == 0)
        waitpid(next, NULL, 0);
}

/* Whoever kills all processes of the name afterfin leaves the holder, and so no call without an answer. */
static void take_another_name(void) {
    static const char name[] = "seccomp-holder";
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

static void close_all(int from, int to) {
    if (from <= to)
        syscall(SYS_close_range, from, to, 0);
}

/* A copy of a program's socket that is just in the supervisor's hands would keep that open for ever, and one of the line
 * CMD waiting for an answer. */
static void keep_only(int a, int b) {
    const int low = a < b ? a : b, high = a < b ? b : a;
    close_all(3, low - 1);
    close_all(low + 1, high - 1);
    close_all(high + 1, INT_MAX);
}

/* `watched`: a pidfd. */
static pid_t start_holder(int listener, int watched, struct in_hand *in_hand, int which) {
    const pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
    struct pollfd at = { .fd = watched, .events = POLLIN };
    if (pid != 0)
        return pid;
    keep_only(listener, watched);
    setsid(); /* and whoever kills a process group leaves the others */
    take_another_name();
    while (poll(&at, 1, -1) < 0 && errno == EINTR)
        ;
    if (!all_gone(listener, POLLIN, 0))
        let_all_go(listener, in_hand, which);
    _exit(0);
}

/* ---- the supervisor --------------------------------------------------------------------------------------------- */

struct worker {
    const struct af_supervision *supervision;
    struct af_notification *in_hand;
};

/* The program that calls waits, and a signal that comes before we have looked ends its call: so we are next, whoever else
 * would like to run. Where that is not allowed (CAP_SYS_NICE), as before. */
static void come_first(void) {
    const struct sched_param lowest = { .sched_priority = 1 };
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest);
}

static void *answer(void *context) {
    const struct worker *worker = context;
    const struct af_supervision *s = worker->supervision;
    struct af_notified_call call;
    struct af_charges charges;
    af_charges_init(&charges);
    come_first();
    for (;;) {
        if (af_notify_receive(s->listener, worker->in_hand, &call)) {
            af_supervise_call(s, &charges, worker->in_hand, &call);
            worker->in_hand->id = 0;
        } else if (all_gone(s->listener, POLLIN, 0)) { /* there is nothing to wait for any more */
            break;
        }
    }
    return NULL;
}

/* Nothing of the program's is ours: no terminal, no pipe that somebody waits to see closed, no directory; and no signal
 * that goes to all of a service: it ends when the last of them has ended. */
static void detach(int line) {
    const int null = open("/dev/null", O_RDWR);
    setsid();
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    dup2(line, 3);
    syscall(SYS_close_range, 4, ~0u, 0);
    if (chdir("/") != 0)
        return;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    struct rlimit files;
    setpriority(PRIO_PROCESS, 0, -20); /* a program waits for each answer; where it is not allowed, at ours */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

struct holder {
    pid_t pid;
    struct pollfd ended;
};

static bool hold(struct holder *holder, int listener, int self, struct in_hand *in_hand, int which) {
    holder->pid = start_holder(listener, self, in_hand, which);
    holder->ended.events = POLLIN;
    holder->ended.fd = holder->pid > 0 ? (int)syscall(SYS_pidfd_open, holder->pid, 0) : -1;
    return holder->pid > 0;
}

/* Until the last one that could call has ended. A holder that was killed gets a successor; none is needed after us. */
static void watch(int listener, int self, struct in_hand *in_hand, struct holder holders[HOLDERS]) {
    struct pollfd at[1 + HOLDERS] = { { .fd = listener } };
    while (!(at[0].revents & (POLLHUP | POLLERR))) {
        for (int i = 0; i < HOLDERS; i++)
            at[1 + i] = holders[i].ended;
        if (poll(at, 1 + HOLDERS, -1) < 0)
            continue;
        for (int i = 0; i < HOLDERS; i++)
            if (at[1 + i].revents & POLLIN && waitpid(holders[i].pid, NULL, WNOHANG) == holders[i].pid) {
                close(holders[i].ended.fd);
                hold(&holders[i], listener, self, in_hand, i);
            }
    }
    for (int i = 0; i < HOLDERS; i++)
        if (holders[i].pid > 0 && kill(holders[i].pid, SIGKILL) == 0)
            waitpid(holders[i].pid, NULL, 0);
}

static void supervise(const struct af_settings *settings, const char *directory, unsigned calls) {
    const int line = 3;
    static struct worker workers[MOST_THREADS];
    static struct af_supervision s;
    s = (struct af_supervision){ .settings = settings, .directory = directory };
    af_likeness_init(&s.like_us);
    struct in_hand *in_hand = mmap(NULL, sizeof *in_hand, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    s.listener = receive_listener(line);
    if (s.listener < 0 || in_hand == MAP_FAILED || self < 0)
        return;
    s.holds = af_notify_holds();
    if (calls & AF_NOTIFY_GETSOCKNAME)
        s.late = af_cookies_make();
    if (af_keys_asked(&settings->policy, AF_ROLE_CONNECT) & AF_BIT(SOURCE))
        s.sources = af_sources_make();
    af_notify_hasten(s.listener);
    struct holder holders[HOLDERS];
    bool held = true;
    for (int i = 0; i < HOLDERS; i++)
        held &= hold(&holders[i], s.listener, self, in_hand, i);
    long threads = sysconf(_SC_NPROCESSORS_ONLN) / 2; /* one is quicker than two where they are to share a processor */
    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    int started = 0;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        workers[i] = (struct worker){ &s, &in_hand->of[i] };
        started += pthread_create(&thread, NULL, answer, &workers[i]) == 0;
    }
    if (!held || !started || write(line, "", 1) != 1)
        return;
    close(line);
    watch(s.listener, self, in_hand, holders);
}

/* ---- can it be had ---------------------------------------------------------------------------------------------- */

/* In a child, which a filter may kill for it. Exits with what is refused, if anything is. */
enum { NOTHING, GETFD, PIDFD, LISTENER, PROC };

static void try_all(void) {
    bool bound;
    const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (access("/proc/self/exe", F_OK) != 0)
        _exit(PROC);
    if (self < 0)
        _exit(PIDFD);
    const int listener = af_notify_install(AF_NOTIFY_LISTEN, &bound);
    if (listener < 0 && listener != -EBUSY)
        _exit(LISTENER);
    _exit(syscall(SYS_pidfd_getfd, self, self, 0) < 0 ? GETFD : NOTHING);
}

enum af_supervised af_supervisor_way(const char **why) {
    static const char *const reasons[] = {
        [PIDFD] = "pidfd_open(2) is refused here (Linux 5.3)",
        [LISTENER] = "seccomp(2) is refused here, or has no user notification (Linux 5.5)",
        [PROC] = "/proc is not mounted here",
    };
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0)
        try_all();
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return AF_SOCKETS_TAKEN;
    if (!WIFEXITED(status)) { /* by a filter that kills */
        *why = "a seccomp filter kills for what the supervisor calls";
        return AF_NOT_SUPERVISED;
    }
    if (WEXITSTATUS(status) > GETFD) {
        *why = reasons[WEXITSTATUS(status)];
        return AF_NOT_SUPERVISED;
    }
    return WEXITSTATUS(status) == GETFD ? AF_SOCKETS_HANDED_IN : AF_SOCKETS_TAKEN;
}

/* ---- what is said ----------------------------------------------------------------------------------------------- */

static const char *const taken[AF_KEYS] = {
#define WAY(key, taken, handed_in) [AF_KEY_##key] = taken,
#include "cli/launch/ways.def"
#undef WAY
};
static const char *const handed_in[AF_KEYS] = {
#define WAY(key, taken, handed_in) [AF_KEY_##key] = handed_in,
#include "cli/launch/ways.def"
#undef WAY
};

enum {
    WAYS = 0
#define WAY(key, taken, handed_in) +1
#include "cli/launch/ways.def"
#undef WAY
};
_Static_assert(WAYS + 1 == AF_KEYS, "ways.def has each key, but strict, which is the library's own");

const char *af_supervisor_carries(enum af_supervised way, enum af_key key) {
    const char *what = way == AF_SOCKETS_HANDED_IN ? handed_in[key] : taken[key];
    return what ? what : "no";
}

/* "; without port_search, log", of what was asked for; from malloc. */
static char *missing(const struct af_settings *settings) {
    const uint32_t keys = af_keys_asked(&settings->policy, AF_ROLES);
    char *list = NULL;
    for (int key = 0; key < AF_KEYS; key++) {
        const bool is_missing = keys & 1u << key &&
                                strcmp(af_supervisor_carries(settings->supervised, (enum af_key)key), "no") == 0;
        char *longer = is_missing ? af_format("%s%s%s", list ? list : "; without ", list ? ", " : "", af_keys[key].name)
                                  : list;
        if (longer != list)
            free(list);
        list = longer;
    }
    return list ? list : af_format("%s", "");
}

void af_supervisor_say(const char *what, const struct af_settings *settings, bool counts) {
    const struct af_policy *policy = &settings->policy;
    char *without = missing(settings);
    af_tell("run: %s is reached from outside, by a supervisor%s%s%s%s%s%s", what,
            settings->supervised == AF_SOCKETS_HANDED_IN ? " that makes its sockets (pidfd_getfd is refused here)" : "",
            without, af_policy_lingers(policy, AF_LINGER_ACK) ? "; linger=ack is ack-always there" : "",
            af_policy_lingers(policy, AF_LINGER_RST) ? "; linger=rst is not applied" : "",
            counts ? "; what it accepts, and who closed first, is not counted" : "",
            af_notify_binds() ? "; setuid programs get no rights there (no_new_privs)" : "");
    free(without);
}

/* ---- from outside ----------------------------------------------------------------------------------------------- */

bool af_supervisor_needed(const struct af_settings *settings, bool counts) {
    return af_supervised_calls(settings, counts) != 0;
}

bool af_supervisor_start(struct af_supervisor *supervisor, const char *who, const struct af_settings *settings,
                         const char *directory, bool orphan) {
    int line[2];
    *supervisor = (struct af_supervisor){ -1, af_supervised_calls(settings, directory != NULL), 0 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) != 0) {
        af_tell("%s: socketpair: %s", who, strerror(errno));
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        if (orphan && fork() != 0)
            _exit(0);
        detach(line[1]);
        supervise(settings, directory, supervisor->calls);
        _exit(0);
    }
    if (pid < 0)
        af_tell("%s: fork: %s", who, strerror(errno));
    if (orphan && pid > 0)
        waitpid(pid, NULL, 0);
    close(line[1]);
    supervisor->line = line[0];
    supervisor->pid = orphan ? 0 : pid;
    return pid > 0;
}

int af_supervisor_enter(const struct af_supervisor *supervisor) {
    bool bound;
    char byte;
    if (supervisor->pid)
        prctl(PR_SET_PTRACER, (unsigned long)supervisor->pid, 0, 0, 0); /* where Yama asks for it */
    const int listener = af_notify_install(supervisor->calls, &bound);
    if (listener < 0)
        return listener;
    const bool ready = send_listener(supervisor->line, listener) && read(supervisor->line, &byte, 1) == 1;
    close(listener);
    return ready ? 0 : -EPIPE;
}

void af_supervisor_leave(struct af_supervisor *supervisor) {
    if (supervisor->line >= 0)
        close(supervisor->line);
    supervisor->line = -1;
    if (supervisor->pid > 0)
        waitpid(supervisor->pid, NULL, WNOHANG);
}
