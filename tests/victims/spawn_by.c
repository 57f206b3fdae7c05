/* N times: a connection, and a child that shares our memory or becomes another image, ended in the way named.
 *
 * spawn_by WAY ADDRESS PORT N */
#include "way.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
#ifdef __GLIBC__
extern pid_t __vfork(void);
extern int __clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
#endif

enum { CHANNEL = 100, READY = 102, STACK = 65536 };

static int null;
static char path[] = "/proc/self/exe", first[16], waits[] = "waits";
static char *image[] = { "spawn_by", "close", first, NULL, NULL };

/* The new image: close FD, and if it waits: say that it is there, and wait for a word, before that. */
static int close_inherited(int argc, char **argv) {
    if (argc > 3)
        MUST(write(READY + 1, "x", 1) == 1 && read(CHANNEL, &(char){ 0 }, 1) == 1);
    int fd = atoi(argv[2]);
    if (fcntl(fd, F_GETFD) >= 0)
        MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
    return 0;
}

static void collect(pid_t child) {
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void last(int fd) {
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}
static void tell(void) {
    MUST(write(CHANNEL + 1, "x", 1) == 1);
}

static void prepare(int fd, bool child_waits) {
    sprintf(first, "%d", fd);
    image[3] = child_waits ? waits : NULL;
}

/* ---- on our memory ----------------------------------------------------------------------------------------- */

static void vfork_closes_all(int fd) {
    pid_t child = vfork();

    if (child == 0) {
        for (int i = 3; i < 256; i++)
            close(i);
        _exit(0);
    }
    collect(child);
    last(fd);
}
static void __vfork_closes_all(int fd) {
    pid_t child = __vfork();

    if (child == 0) {
        closefrom(3);
        _exit(0);
    }
    collect(child);
    last(fd);
}
static void vfork_puts_something_else_there(int fd) {
    pid_t child = vfork();

    if (child == 0) {
        dup2(null, fd);
        dup2(fd, fd + 1);
        closefrom(3);
        _exit(0);
    }
    collect(child);
    last(fd);
}
static void vfork_leaves_at_once(int fd) {
    pid_t child = vfork();

    if (child == 0)
        _exit(0);
    collect(child);
    last(fd);
}
static void vfork_and_exec_fails(int fd) {
    pid_t child = vfork();

    if (child == 0) {
        execv("/nowhere", image);
        _exit(0);
    }
    last(fd);
    collect(child);
}

/* The child's signal waits until the parent runs, and comes before its vfork has returned. */
static const char *address, *port;
static int held;
static sigjmp_buf back;
static pid_t vfork_with_signal(int fd, void (*handler)(int), bool execs) {
    const pid_t parent = getpid();
    prepare(held = fd, true);
    signal(SIGUSR1, handler);
    pid_t child = vfork();
    if (child == 0) {
        kill(parent, SIGUSR1);
        if (execs)
            execv(path, image);
        _exit(0);
    }
    return child;
}
static void opens_another(int number) {
    (void)number;
    last(connected(address, port));
}
static void vfork_and_a_handler_opens(int fd) {
    pid_t child = vfork_with_signal(fd, opens_another, false);
    collect(child);
    last(fd);
}
static void vforks_too(int number) {
    (void)number;
    signal(SIGUSR1, SIG_IGN);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    collect(child);
    last(connected(address, port));
}
static void vfork_and_a_handler_does_too(int fd) {
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    pid_t child = vfork_with_signal(fd, vforks_too, false);
    collect(child);
    last(fd);
}
static void closes_it(int number) {
    (void)number;
    MUST(close(held) == 0);
}
static void vfork_and_a_handler_closes(int fd) {
    pid_t child = vfork_with_signal(fd, closes_it, true);
    tell();
    collect(child);
}
static void jumps(int number) {
    (void)number;
    siglongjmp(back, 1);
}
static void vfork_and_a_handler_jumps(int fd) {
    if (sigsetjmp(back, 1) == 0)
        vfork_with_signal(fd, jumps, false);
    MUST(wait(NULL) > 0);
    last(fd);
}

static int closes_all(void *unused) {
    (void)unused;
    for (int i = 3; i < 256; i++)
        close(i);
    _exit(0);
}
typedef int cloner(int (*run)(void *), void *stack, int flags, void *argument, ...);
static void cloned_closes_all(int fd, cloner *cloned, int flags) {
    static char stack[STACK] __attribute__((aligned(16)));
    pid_t child = cloned(closes_all, stack + sizeof stack, flags | SIGCHLD, NULL);

    MUST(child > 0);
    collect(child);
    last(fd);
}
static void clone_vm_closes_all(int fd) {
    cloned_closes_all(fd, clone, CLONE_VM);
}
static void __clone_vm_closes_all(int fd) {
    cloned_closes_all(fd, __clone, CLONE_VM);
}
static void clone_vfork_closes_all(int fd) {
    cloned_closes_all(fd, clone, CLONE_VM | CLONE_VFORK);
}
static void leaves_fork(void) {
    siglongjmp(back, 1);
}
static void clone_vm_after_a_fork_was_left(int fd) {
    MUST(pthread_atfork(leaves_fork, NULL, NULL) == 0);
    if (sigsetjmp(back, 1) == 0)
        fork();
    cloned_closes_all(fd, clone, CLONE_VM);
}
static void clone_closes_all(int fd) {
    cloned_closes_all(fd, clone, 0);
}
static void __clone_closes_all(int fd) {
    cloned_closes_all(fd, __clone, 0);
}

static int leaves(void *unused) {
    (void)unused;
    _exit(0);
}
/* Its end is not the process's, though it has all of it. */
static void clone_vm_files_leaves(int fd) {
    static char stack[STACK] __attribute__((aligned(16)));
    pid_t child = clone(leaves, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, NULL);

    MUST(child > 0);
    collect(child);
    last(fd);
}

/* ---- another image ------------------------------------------------------------------------------------------ */

static pid_t vforked(int fd, bool child_waits) {
    prepare(fd, child_waits);
    pid_t child = vfork();
    if (child == 0) {
        execv(path, image);
        _exit(1);
    }
    return child;
}
static pid_t forked(int fd, bool child_waits) {
    prepare(fd, child_waits);
    pid_t child = fork();
    if (child == 0) {
        execv(path, image);
        _exit(1);
    }
    return child;
}
static pid_t spawned(int fd, bool child_waits) {
    pid_t child;
    prepare(fd, child_waits);
    MUST(posix_spawn(&child, path, NULL, NULL, image, environ) == 0);
    return child;
}
static pid_t spawnp_ed(int fd, bool child_waits) {
    pid_t child;
    prepare(fd, child_waits);
    MUST(posix_spawnp(&child, path, NULL, NULL, image, environ) == 0);
    return child;
}
/* The child gets it as its stdin only, or not at all. */
static pid_t spawned_with(int fd, bool moved) {
    posix_spawn_file_actions_t actions;
    pid_t child;

    prepare(moved ? 0 : fd, true);
    posix_spawn_file_actions_init(&actions);
    if (moved)
        posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_addclose(&actions, fd);
    MUST(posix_spawn(&child, path, &actions, NULL, image, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}
static void spawned_with_it_on_stdin(int fd) {
    pid_t child = spawned_with(fd, true);
    MUST(close(fd) == 0);
    tell();
    collect(child);
}
static void spawned_with_it_closed(int fd) {
    pid_t child = spawned_with(fd, false);
    last(fd);
    tell();
    collect(child);
}

typedef pid_t make(int fd, bool child_waits);
static void child_first(int fd, make *made) {
    collect(made(fd, false));
    last(fd);
}
static void child_last(int fd, make *made) {
    pid_t child = made(fd, true);
    MUST(close(fd) == 0);
    tell();
    collect(child);
}
/* It never has the connection. */
static void child_without(int fd, make *made) {
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    pid_t child = made(fd, true);
    MUST(read(READY, &(char){ 0 }, 1) == 1);
    last(fd);
    tell();
    collect(child);
}

#define WITH(how) \
    static void how##_child_first(int fd) { \
        child_first(fd, how); \
    } \
    static void how##_child_last(int fd) { \
        child_last(fd, how); \
    } \
    static void how##_child_without(int fd) { \
        child_without(fd, how); \
    }
WITH(vforked)
WITH(forked)
WITH(spawned)
WITH(spawnp_ed)

static void system_child_first(int fd) {
    char command[64];
    sprintf(command, "exec 9>&%d; echo x >&9", fd);
    MUST(system(command) == 0);
    last(fd);
}
static void popen_child_first(int fd) {
    FILE *file = popen("read line", "w");
    MUST(file && fputs("go\n", file) >= 0 && pclose(file) == 0);
    last(fd);
}
static void popen_child_last(int fd) {
    FILE *file = popen("read line", "w");
    MUST(file && send(fd, "x", 1, 0) == 1 && close(fd) == 0);
    MUST(fputs("go\n", file) >= 0 && pclose(file) == 0);
}

static const struct way ways[] = {
    { "vfork_closes_all", vfork_closes_all },
    { "vfork_puts_something_else_there", vfork_puts_something_else_there },
    { "vfork_leaves_at_once", vfork_leaves_at_once },
    { "vfork_and_exec_fails", vfork_and_exec_fails },
    { "vfork_and_a_handler_opens", vfork_and_a_handler_opens },
    { "vfork_and_a_handler_does_too", vfork_and_a_handler_does_too },
    { "vfork_and_a_handler_closes", vfork_and_a_handler_closes },
    { "vfork_and_a_handler_jumps", vfork_and_a_handler_jumps },
    { "__vfork_closes_all", __vfork_closes_all },
    { "__clone_vm_closes_all", __clone_vm_closes_all },
    { "__clone_closes_all", __clone_closes_all },
    { "clone_vm_closes_all", clone_vm_closes_all },
    { "clone_vfork_closes_all", clone_vfork_closes_all },
    { "clone_vm_after_a_fork_was_left", clone_vm_after_a_fork_was_left },
    { "clone_closes_all", clone_closes_all },
    { "clone_vm_files_leaves", clone_vm_files_leaves },
/* clang-format off */
#define ROWS(how) \
    { #how "_child_first", how##_child_first }, { #how "_child_last", how##_child_last }, \
    { #how "_child_without", how##_child_without }
    /* clang-format on */
    ROWS(vforked),
    ROWS(forked),
    ROWS(spawned),
    ROWS(spawnp_ed),
    { "spawned_with_it_on_stdin", spawned_with_it_on_stdin },
    { "spawned_with_it_closed", spawned_with_it_closed },
    { "system_child_first", system_child_first },
    { "popen_child_first", popen_child_first },
    { "popen_child_last", popen_child_last },
};

int main(int argc, char **argv) {
    int pair[2];

    if (argc >= 3 && strcmp(argv[1], "close") == 0)
        return close_inherited(argc, argv);
    if (argc != 5)
        return 2;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int at = CHANNEL; at <= READY; at += 2)
        MUST(pipe(pair) == 0 && dup2(pair[0], at) == at && dup2(pair[1], at + 1) == at + 1);
    const struct way *way = WAY_NAMED(ways, argv[1]);
    address = argv[2], port = argv[3];
    for (int i = 0; i < atoi(argv[4]); i++)
        way->run(connected(address, port));
    return 0;
}
