/* Prints what comes of children, execs and threads, with TCP sockets open.
 *
 * show_children */
#include "show.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int tcp(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int prepared, in_parent;
static void on_prepare(void) {
    prepared++;
}
static void on_parent(void) {
    in_parent++;
}

static void show_end(pid_t child) {
    int status = -1;
    SHOW(child > 0 && waitpid(child, &status, 0) == child);
    SHOW(status);
    SHOW(prepared * 10 + in_parent);
}

static void on_child(void) {
    close(tcp());
} /* a hook inside fork itself */

static void forks(void) {
    pid_t child;

    fflush(stdout);
    if ((child = fork()) == 0) {
        show_descriptors("in the child");
        SHOW(tcp());
        closefrom(-1);
        _exit(tcp() == 0 ? 42 : 43); /* the first free number */
    }
    show_end(child);
    if ((child = _Fork()) == 0)
        exit(7);
    show_end(child);
    if ((child = vfork()) == 0) {
        closefrom(3);
        _exit(8);
    }
    show_end(child);
    if ((child = fork()) == 0)
        abort();
    show_end(child);
    if ((child = raw_fork()) == 0)
        syscall(SYS_exit_group, 9);
    show_end(child);
}

static int in_clone(void *unused) {
    (void)unused;
    return close(3) == 0 ? 11 : 12;
}

static void clones(void) {
    static char stack[65536] __attribute__((aligned(16)));

    show_end(clone(in_clone, stack + sizeof stack, SIGCHLD, NULL));
    show_end(clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
    show_end(clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
    SHOW(clone(NULL, NULL, 0, NULL));
    show_descriptors("after clone");
}

static void spawns(void) {
    char *argv[] = { "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; exit 13", NULL };
    pid_t child;

    int result = posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ);
    show_end(child); /* after what it prints itself */
    SHOW(result);
    SHOW(posix_spawnp(NULL, "true", NULL, NULL, (char *[]){ "true", NULL }, environ));
    SHOW(wait(NULL) > 0);
    SHOW(posix_spawn(&child, "/nowhere", NULL, NULL, argv, environ));
    SHOW(posix_spawnp(&child, "no-such-program", NULL, NULL, argv, environ));
    SHOW(system("exit 3"));
}

static void failing_execs(void) {
    char *argv[] = { "x", NULL };

    SHOW(execv("/nowhere", argv));
    SHOW(execv("/", argv));
    SHOW(execv("/etc/passwd", argv));
    SHOW(execv("/etc/passwd/x", argv));
    SHOW(execve((char *)-1, argv, environ));
    SHOW(execve("/bin/true", (char **)-1, environ));
    SHOW(execvp("no-such-program", argv));
    SHOW(execlp("no-such-program", "x", NULL));
    SHOW(fexecve(-1, argv, environ));
    SHOW(execveat(-1, "nowhere", argv, environ, 0));
    SHOW(syscall(SYS_execve, "/nowhere", argv, environ));
    show_descriptors("after failed execs");
}

/* Cancellation: accept is a point of it, a bare system call is none. */
static int listener;
static void *accepts(void *unused) {
    (void)unused;
    accept(listener, NULL, NULL);
    return NULL;
}
static void *closes_bare(void *fd) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    long result = syscall(SYS_close, (int)(intptr_t)fd);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return (void *)(result + 1);
}
static void *closes(void *fd) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    close((int)(intptr_t)fd);
    return NULL;
}

static void cancels(void) {
    pthread_t thread;
    void *result;
    int fd = tcp();

    SHOW(listen(listener = tcp(), 1));
    SHOW(pthread_create(&thread, NULL, accepts, NULL));
    SHOW(pthread_cancel(thread));
    SHOW(pthread_join(thread, &result));
    SHOW(result == PTHREAD_CANCELED);
    SHOW(pthread_create(&thread, NULL, closes_bare, (void *)(intptr_t)fd));
    SHOW(pthread_join(thread, &result));
    SHOW(result == (void *)1);
    SHOW(fcntl(fd, F_GETFD));
    fd = tcp();
    SHOW(pthread_create(&thread, NULL, closes, (void *)(intptr_t)fd));
    SHOW(pthread_join(thread, &result));
    SHOW(result == PTHREAD_CANCELED);
    show_descriptors("after cancelling");
}

int main(void) {
    close_range(3, ~0u, 0);
    SHOW(tcp());
    SHOW(fcntl(tcp(), F_SETFD, FD_CLOEXEC));
    SHOW(pthread_atfork(on_prepare, on_parent, on_child));
    forks();
    clones();
    spawns();
    failing_execs();
    cancels();
    fflush(NULL);
    execlp("sh", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '", NULL);
    return 1;
}
