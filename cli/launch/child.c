/* See child.h. */
#include "cli/launch/child.h"
#include "cli/launch/reach.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANNOT_RUN = 126, NOT_FOUND = 127 };

static const int forwarded[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE };

/* What the child is to be: a program, or (argv NULL) a function. */
struct start {
    const char *who;
    char **argv, **environment;
    const struct af_supervisor *supervisor; /* NULL: none */
    int (*function)(void *);
    void *context;
};

/* A file that may not grow is an error of a write, as a full disk is: we have things to put away. CMD has the signal. */
static struct sigaction on_too_large;

void af_child_spare_us(void) {
    sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, &on_too_large);
}

static bool left_to_child[2]; /* stdin, stdout */

/* A number that is free now may be that of a file of ours by then; and what closes at exec is one. */
void af_child_leave_input(bool output_too) {
    for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++)
        left_to_child[fd] = (fd == STDIN_FILENO || output_too) && fcntl(fd, F_GETFD) == 0;
}

/* Ours become /dev/null; where there is none they stay, or the next file that is opened would be the one. */
static void leave_to_child(void) {
    const bool any = left_to_child[STDIN_FILENO] || left_to_child[STDOUT_FILENO];
    const int null = any ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDOUT_FILENO; fd++)
        if (left_to_child[fd])
            dup2(null, fd);
    if (null >= 0)
        close(null);
}

static int exec_failed(const char *who, const char *command, int error) {
    char *missing = error == ENOENT ? af_reach_missing(command, getenv("PATH")) : NULL;
    af_tell("%s: %s: %s%s%s", who, *command ? command : "CMD is an empty word", missing ? missing : "",
            missing ? ": " : "", strerror(error));
    free(missing);
    return error == ENOENT ? NOT_FOUND : CANNOT_RUN;
}

/* One of another run above us has this program, too: then its policies hold, and ours do not. */
static int enter(const char *who, const struct af_supervisor *supervisor) {
    const int error = supervisor ? -af_supervisor_enter(supervisor) : 0;
    if (error == EBUSY)
        af_tell(
            "%s: under the supervisor of another afterfin already: its policies hold for static programs, these do not",
            who);
    return error == EBUSY ? 0 : error;
}

int af_child_become(char **argv, char **environment, const struct af_supervisor *supervisor) {
    const int error = enter("run", supervisor);
    if (error) {
        af_tell("run: the supervisor: %s", strerror(error));
        return AF_EXIT_RUN;
    }
    sigaction(SIGXFSZ, &on_too_large, NULL);
    execvpe(argv[0], argv, environment);
    return exec_failed("run", argv[0], errno);
}

/* Waiting for signals needs them blocked, not caught: no handler, and CMD inherits no disposition of ours.
 * SIGCHLD must not be ignored, or the kernel would throw CMD's status away. */
static void take_signals(sigset_t *waited, sigset_t *mask, struct sigaction *on_child) {
    sigemptyset(waited);
    sigaddset(waited, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(waited, forwarded[i]);
    sigprocmask(SIG_BLOCK, waited, mask);
    sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL }, on_child);
}

/* In the child: errno goes back through a pipe that closes itself on success. */
static void begin(const struct start *start, int report, const sigset_t *mask, const struct sigaction *on_child) {
    sigaction(SIGCHLD, on_child, NULL);
    sigaction(SIGXFSZ, &on_too_large, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (!start->argv) {
        close(report);
        _exit(start->function(start->context));
    }
    int error = -enter(start->who, start->supervisor);
    if (!error) {
        execvpe(start->argv[0], start->argv, start->environment);
        error = errno;
    }
    while (write(report, &error, sizeof error) < 0 && errno == EINTR)
        ;
    _exit(NOT_FOUND);
}

/* What a terminal sends (SI_KERNEL) went to the whole foreground group, CMD in it: once is enough. Only the
 * hang-up goes to the leader of the session alone. The SIGPIPE of a write of ours comes from ourselves. */
static bool is_for_child(const siginfo_t *info) {
    if (info->si_signo == SIGHUP && getsid(0) == getpid())
        return true;
    if (info->si_pid == getpid())
        return false;
    return info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
}

static bool reap(struct af_child *child, pid_t supervisor) {
    int status;
    pid_t pid;
    bool ended = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child->unsupervised |= pid == supervisor && WIFSIGNALED(status);
        if (pid == child->pid) {
            ended = true;
            child->signaled = WIFSIGNALED(status);
            child->status = child->signaled ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
    return ended;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The next signal, 0 where `until` comes first, -1 with errno. */
static int next_signal(const sigset_t *waited, double until, siginfo_t *info) {
    double left = until - now_s();
    struct timespec timeout = { .tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9) };
    if (until <= 0)
        return sigwaitinfo(waited, info);
    int signal = left > 0 ? sigtimedwait(waited, info, &timeout) : 0;
    return signal < 0 && errno == EAGAIN ? 0 : signal;
}

static void wait_for(struct af_child *child, pid_t supervisor, const sigset_t *waited,
                     const struct af_periodic *periodic) {
    double due = periodic->interval_s ? now_s() + periodic->interval_s : 0;
    while (!reap(child, supervisor)) {
        siginfo_t info;
        int signal = next_signal(waited, due, &info);
        if (signal == SIGTERM || signal == SIGHUP || signal == SIGINT || signal == SIGQUIT)
            child->asked = signal;
        if (signal > 0 && signal != SIGCHLD && is_for_child(&info))
            kill(child->pid, signal);
        if (signal == 0) {
            periodic->call(periodic->context);
            due = now_s() + periodic->interval_s;
        }
    }
}

/* Out of memory while it is looked around: CMD still has us for its parent, and its status is ours. */
static struct {
    struct af_child *child;
    pid_t supervisor;
    const sigset_t *waited;
} running;

static int see_out(void) {
    wait_for(running.child, running.supervisor, running.waited, &(struct af_periodic){ 0 });
    return running.child->status;
}

static void run(const struct start *start, const struct af_periodic *periodic, struct af_child *child) {
    int report[2], error = 0;
    sigset_t waited, mask;
    struct sigaction on_child;
    const double began = now_s();
    *child = (struct af_child){ .status = AF_EXIT_RUN };
    if (pipe2(report, O_CLOEXEC) != 0) {
        af_tell("%s: pipe: %s", start->who, strerror(errno));
        return;
    }
    take_signals(&waited, &mask, &on_child);
    child->pid = fork();
    if (child->pid == 0)
        begin(start, report[1], &mask, &on_child);
    close(report[1]);
    if (child->pid < 0) {
        af_tell("%s: fork: %s", start->who, strerror(errno));
    } else {
        leave_to_child();
        child->started = read(report[0], &error, sizeof error) != (ssize_t)sizeof error;
        running.child = child;
        running.supervisor = start->supervisor ? start->supervisor->pid : -1;
        running.waited = &waited;
        af_memory_sees_out(see_out);
        wait_for(child, running.supervisor, &waited, periodic);
        af_memory_sees_out(NULL);
        if (!child->started && error < 0) {
            af_tell("%s: the supervisor could not be set up: %s; -f runs CMD without it where it cannot be had at all",
                    start->who, strerror(-error));
            child->status = AF_EXIT_RUN;
        } else if (!child->started)
            child->status = exec_failed(start->who, start->argv[0], error);
    }
    close(report[0]);
    child->elapsed_s = now_s() - began;
}

void af_child_run(const char *who, char **argv, char **environment, const struct af_supervisor *supervisor,
                  const struct af_periodic *periodic, struct af_child *child) {
    run(&(struct start){ .who = who, .argv = argv, .environment = environment, .supervisor = supervisor }, periodic,
        child);
}

void af_child_call(const char *who, int (*function)(void *), void *context, struct af_child *child) {
    run(&(struct start){ .who = who, .function = function, .context = context }, &(struct af_periodic){ 0 }, child);
}
