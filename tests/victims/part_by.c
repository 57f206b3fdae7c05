/* N times a process that opens a connection and parts from it together with a child: both leave in the way named. This
 * one only starts them and waits.
 *
 * part_by WAY ADDRESS PORT N */
#include "way.h"

#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t parent;

static void await_parent_end(void) {
    while (getppid() == parent)
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static pid_t child_of(void) {
    pid_t child = fork();
    MUST(child >= 0);
    return child;
}

/* ---- both leave with it open ------------------------------------------------------------------------ */

static void parent_first(void (*leave_now)(int)) {
    if (child_of() == 0)
        await_parent_end();
    leave_now(0);
}
static void child_first(void (*leave_now)(int)) {
    pid_t child = child_of();
    if (child)
        MUST(waitpid(child, NULL, 0) == child);
    leave_now(0);
}
static void parent_exits_first(int fd) {
    (void)fd;
    parent_first(exit);
}
static void parent__exits_first(int fd) {
    (void)fd;
    parent_first(_exit);
}
static void child_exits_first(int fd) {
    (void)fd;
    child_first(exit);
}
static void child__exits_first(int fd) {
    (void)fd;
    child_first(_exit);
}

/* ---- a daemon --------------------------------------------------------------------------------------- */

static void daemon_closes(int fd) {
    MUST(daemon(0, 0) == 0);
    await_parent_end();
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
    _exit(0);
}
static void daemon_keeps_stdio(int fd) {
    MUST(daemon(1, 1) == 0);
    await_parent_end();
    MUST(close(fd) == 0);
    _exit(0);
}
static void daemon_exits(int fd) {
    (void)fd;
    MUST(daemon(0, 0) == 0);
    await_parent_end();
    exit(0);
}
/* As one did before there was daemon(3). */
static void daemon_closes_all(int fd) {
    (void)fd;
    if (child_of() != 0)
        _exit(0);
    await_parent_end();
    MUST(setsid() > 0);
    for (int i = 0; i < 256; i++)
        close(i);
    _exit(0);
}

static const struct way ways[] = {
    { "parent_exits_first", parent_exits_first },
    { "parent__exits_first", parent__exits_first },
    { "child_exits_first", child_exits_first },
    { "child__exits_first", child__exits_first },
    { "daemon_closes", daemon_closes },
    { "daemon_keeps_stdio", daemon_keeps_stdio },
    { "daemon_exits", daemon_exits },
    { "daemon_closes_all", daemon_closes_all },
};

/* Grandchildren come to us. */
static void collect_all(void) {
    int status;
    while (wait(&status) > 0)
        MUST(status == 0);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < atoi(argv[4]); i++) {
        if (child_of() == 0) {
            parent = getpid();
            way->run(connected(argv[2], argv[3]));
        }
        collect_all();
    }
    return 0;
}
