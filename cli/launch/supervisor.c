/* See supervisor.h. */
#include "cli/launch/supervisor.h"
#include "cli/launch/supervisor_inner.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the line to it: a listener goes over, and a byte comes back: 0, ready, or errno; then perhaps an errno ------- */

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

/* -1: nobody has entered, and nobody will; or errno tells why it does not arrive. */
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
    errno = EMFILE; /* there was no room for it */
    if (recvmsg(line, &message, MSG_CMSG_CLOEXEC) == 1 && control.head.cmsg_type == SCM_RIGHTS)
        memcpy(&listener, CMSG_DATA(&control.head), sizeof listener);
    return listener;
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
        } else if (af_all_gone(s->listener, 0)) { /* there is nothing to wait for any more */
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

/* 0, or why not: errno. */
static int start_threads(struct af_supervision *s, struct af_notification *in_hand) {
    static struct worker workers[AF_MOST_THREADS];
    long threads = sysconf(_SC_NPROCESSORS_ONLN) / 2; /* one is quicker than two where they are to share a processor */
    threads = threads < 1 ? 1 : threads > AF_MOST_THREADS ? AF_MOST_THREADS : threads;
    int started = 0, error = 0;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        workers[i] = (struct worker){ s, &in_hand[i] };
        const int failed = pthread_create(&thread, NULL, answer, &workers[i]);
        started += !failed;
        error = failed ? failed : error;
    }
    return started ? 0 : error;
}

static bool tell(int line, int error) {
    const unsigned char byte = (unsigned char)error;
    return send(line, &byte, 1, MSG_NOSIGNAL) == 1;
}

void af_lacks_room(const struct af_supervision *s, int error) {
    static _Atomic bool told;
    if (error && !atomic_exchange(&told, true))
        tell(s->line, error);
}

static void supervise(const struct af_settings *settings, const char *directory, unsigned calls) {
    const int line = 3;
    static struct af_supervision s;
    s = (struct af_supervision){ .settings = settings, .directory = directory, .line = line };
    af_likeness_init(&s.like_us);
    s.listener = receive_listener(line);
    if (s.listener < 0) {
        tell(line, errno);
        return;
    }
    s.holds = af_notify_holds();
    if (calls & AF_NOTIFY_GETSOCKNAME)
        s.late = af_cookies_make();
    if (af_keys_asked(&settings->policy, AF_ROLE_CONNECT) & AF_BIT(SOURCE))
        s.sources = af_sources_make();
    af_notify_hasten(s.listener);
    struct af_notification *in_hand = af_held(s.listener);
    const int error = in_hand ? start_threads(&s, in_hand) : errno;
    if (!tell(line, error) || error)
        return;
    af_hold_on(s.listener);
}

/* ---- can it be had ---------------------------------------------------------------------------------------------- */

enum { NOTHING, GETFD, PIDFD, LISTENER, PROC };

/* What fails, if anything does, and with which errno. */
struct trial {
    int what, error;
};

static struct trial try_all(void) {
    bool bound;
    const int self = (int)syscall(SYS_pidfd_open, getpid(), 0), error = errno;
    if (access("/proc/self/exe", F_OK) != 0)
        return (struct trial){ PROC, errno };
    if (self < 0)
        return (struct trial){ PIDFD, error };
    const int listener = af_notify_install(AF_NOTIFY_LISTEN, &bound);
    if (listener < 0 && listener != -EBUSY)
        return (struct trial){ LISTENER, -listener };
    const bool got = syscall(SYS_pidfd_getfd, self, self, 0) >= 0;
    return (struct trial){ got ? NOTHING : GETFD, got ? 0 : errno };
}

/* In a child, which a filter may kill for it. False: it has. */
static bool try_in_child(struct trial *out) {
    struct trial *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    *out = (struct trial){ NOTHING, 0 };
    if (shared == MAP_FAILED)
        return true;
    const pid_t pid = fork();
    if (pid == 0) {
        *shared = try_all();
        _exit(0);
    }
    const bool waited = pid > 0 && waitpid(pid, &status, 0) == pid;
    if (waited)
        *out = *shared;
    munmap(shared, sizeof *shared);
    return !waited || WIFEXITED(status);
}

/* Not by the kernel, nor by who watches over it: there is no room. */
static bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

static const char *shortage(const char *call, int error) {
    static char text[128];
    snprintf(text, sizeof text, "%s(2): %s", call, strerror(error));
    return text;
}

enum af_supervised af_supervisor_way(const char **why) {
    static const char *const calls[] = { [GETFD] = "pidfd_getfd", [PIDFD] = "pidfd_open", [LISTENER] = "seccomp" };
    static const char *const reasons[] = {
        [PIDFD] = "pidfd_open(2) is refused here (Linux 5.3)",
        [LISTENER] = "seccomp(2) is refused here, or has no user notification (Linux 5.5)",
        [PROC] = "/proc is not mounted here",
    };
    struct trial trial;
    if (!try_in_child(&trial))
        *why = "a seccomp filter kills for what the supervisor calls";
    else if (trial.what != NOTHING && trial.what != PROC && is_shortage(trial.error))
        *why = shortage(calls[trial.what], trial.error);
    else if (trial.what > GETFD)
        *why = reasons[trial.what];
    else
        return trial.what == GETFD ? AF_SOCKETS_HANDED_IN : AF_SOCKETS_TAKEN;
    return AF_NOT_SUPERVISED;
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
    unsigned char error;
    if (supervisor->pid)
        prctl(PR_SET_PTRACER, (unsigned long)supervisor->pid, 0, 0, 0); /* where Yama asks for it */
    const int listener = af_notify_install(supervisor->calls, &bound);
    if (listener < 0)
        return listener;
    const bool told = send_listener(supervisor->line, listener) && read(supervisor->line, &error, 1) == 1;
    close(listener);
    return told ? -error : -EPIPE;
}

/* Whatever CMD waited for had been answered, and the byte comes before an answer. */
void af_supervisor_tell_lack(const struct af_supervisor *supervisor, const char *who, const char *directory) {
    unsigned char error = 0;
    if (supervisor->line >= 0 && recv(supervisor->line, &error, 1, MSG_DONTWAIT) == 1 && error)
        af_tell("%s: %s: %s; not all of what is static is in its ledger", who, directory, strerror(error));
}

void af_supervisor_leave(struct af_supervisor *supervisor) {
    if (supervisor->line >= 0)
        close(supervisor->line);
    supervisor->line = -1;
    if (supervisor->pid > 0)
        waitpid(supervisor->pid, NULL, WNOHANG);
}
