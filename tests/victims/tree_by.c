/* N times: a connection that parent and child hold together, ended in the way named. Each child is born by the
 * way that BIRTH names, and leaves with _exit.
 *
 * tree_by WAY ADDRESS PORT N BIRTH */
#include "instruction.h"
#include "way.h"

#include <linux/sched.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifdef __GLIBC__
extern pid_t __fork(void);
#endif

/* ---- births ----------------------------------------------------------------------------------------- */

static pid_t by_syscall_fork(void) {
    return raw_fork();
}
static pid_t by_syscall_clone(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
static pid_t by_syscall_clone3(void) {
    struct clone_args args = { .exit_signal = SIGCHLD };
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}
static pid_t by_forkpty(void) {
    int terminal; /* stays open: closing it would hang the child up */
    return forkpty(&terminal, NULL, NULL, NULL);
}
/* The child forks while its own fork has not returned yet. */
static void forks_too(void) {
    static bool once;
    if (once)
        return;
    once = true;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    MUST(waitpid(child, NULL, 0) == child);
}
static pid_t by_fork_in_fork(void) {
    static bool registered;
    MUST(registered || pthread_atfork(NULL, NULL, forks_too) == 0);
    registered = true;
    return fork();
}
/* Past libc: nobody can see it. */
static pid_t by_instruction(void) {
    return (pid_t)instruction(SYS_clone, SIGCHLD, 0, 0);
}

static const struct {
    const char *name;
    pid_t (*fork)(void);
} births[] = {
    { "fork", fork },
    { "__fork", __fork },
    { "_Fork", _Fork },
    { "syscall_fork", by_syscall_fork },
    { "syscall_clone", by_syscall_clone },
    { "syscall_clone3", by_syscall_clone3 },
    { "forkpty", by_forkpty },
    { "fork_in_fork", by_fork_in_fork },
    { "instruction", by_instruction },
};
static pid_t (*born)(void);

static pid_t child_of(void) {
    pid_t child = born();
    MUST(child >= 0);
    return child;
}

static void collect(pid_t child) {
    int status;
    MUST(waitpid(child, &status, 0) == child && (status == 0 || WIFSIGNALED(status)));
}

/* ---- a word from one to the other ----------------------------------------------------------------------- */

static int down[2];
static void tell(const int pipe[2]) {
    MUST(write(pipe[1], "x", 1) == 1);
}
static void hear(const int pipe[2]) {
    MUST(read(pipe[0], &(char){ 0 }, 1) == 1);
}

/* ---- ways ------------------------------------------------------------------------------------------------ */

static void child_closes_last(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        hear(down);
        MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
        _exit(0);
    }
    MUST(close(fd) == 0);
    tell(down);
    collect(child);
}

static void parent_closes_last(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        MUST(close(fd) == 0);
        _exit(0);
    }
    collect(child);
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

static void child_exits_last(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        hear(down);
        _exit(0);
    }
    MUST(close(fd) == 0);
    tell(down);
    collect(child);
}

static void child_exits_first(int fd) {
    pid_t child = child_of();

    if (child == 0)
        _exit(0);
    collect(child);
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

static void grandchild_closes_last(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        if (child_of() == 0) {
            hear(down);
            MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
            _exit(0);
        }
        _exit(0);
    }
    MUST(close(fd) == 0);
    collect(child);
    tell(down);
    MUST(wait(NULL) > 0); /* it has come to us */
}

/* The child holds two, the parent none: the first to go ends nothing. */
static void child_copies_and_closes_both(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        int copy = dup(fd);
        hear(down);
        MUST(close(fd) == 0 && send(copy, "x", 1, 0) == 1 && close(copy) == 0);
        _exit(0);
    }
    MUST(close(fd) == 0);
    tell(down);
    collect(child);
}

static void child_closes_all_and_opens_none(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        close_range(3, ~0u, 0);
        _exit(0);
    }
    collect(child);
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

static void child_is_killed_last(int fd) {
    pid_t child = child_of();

    if (child == 0) {
        hear(down);
        raise(SIGKILL);
    }
    MUST(close(fd) == 0);
    tell(down);
    collect(child);
}

static void child_is_killed_first(int fd) {
    pid_t child = child_of();

    if (child == 0)
        raise(SIGKILL);
    collect(child);
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

static const struct way ways[] = {
    { "child_closes_last", child_closes_last },
    { "parent_closes_last", parent_closes_last },
    { "child_exits_last", child_exits_last },
    { "child_exits_first", child_exits_first },
    { "grandchild_closes_last", grandchild_closes_last },
    { "child_copies_and_closes_both", child_copies_and_closes_both },
    { "child_closes_all_and_opens_none", child_closes_all_and_opens_none },
    { "child_is_killed_last", child_is_killed_last },
    { "child_is_killed_first", child_is_killed_first },
};

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    for (size_t i = 0; i < sizeof births / sizeof *births; i++)
        if (strcmp(births[i].name, argv[5]) == 0)
            born = births[i].fork;
    if (!born || pipe(down) != 0)
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < atoi(argv[4]); i++)
        way->run(connected(argv[2], argv[3]));
    return 0;
}
