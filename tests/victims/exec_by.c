/* N connections, then this program again by the way of exec that is named. The new image closes what it has
 * inherited; with "cloexec" that is nothing. With "copied", for ways that fail: each has a second descriptor, which
 * is closed first, and then the peer's FIN is waited for.
 *
 * exec_by WAY ADDRESS PORT N keep|cloexec|copied */
#include "way.h"

extern char **environ;

static char *image[] = { "exec_by", "close", NULL, NULL, NULL };
static char path[4096];
static bool fails;

/* Of the new image: argv[0] "exec_by", "close", first and last descriptor; the script that it came by, if any. */
static int close_inherited(char **argv) {
    MUST(!argv[4] || unlink(argv[4]) == 0);
    for (int fd = atoi(argv[2]); fd <= atoi(argv[3]); fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
    return 0;
}

static void by_execl(int fd) {
    (void)fd, execl(path, image[0], image[1], image[2], image[3], NULL);
}
static void by_execlp(int fd) {
    (void)fd, execlp(image[0], image[0], image[1], image[2], image[3], NULL);
}
static void by_execle(int fd) {
    (void)fd, execle(path, image[0], image[1], image[2], image[3], NULL, environ);
}
static void by_execv(int fd) {
    (void)fd, execv(path, image);
}
static void by_execve(int fd) {
    (void)fd, execve(path, image, environ);
}
static void by_execvp(int fd) {
    (void)fd, execvp(image[0], image);
}
static void by_execvpe(int fd) {
    (void)fd, execvpe(image[0], image, environ);
}
static void by_fexecve(int fd) {
    (void)fd, fexecve(open(path, O_RDONLY | O_CLOEXEC), image, environ);
}
static void by_execveat(int fd) {
    (void)fd, execveat(AT_FDCWD, path, image, environ, 0);
}
static void by_execveat_empty(int fd) {
    (void)fd, execveat(open(path, O_PATH | O_CLOEXEC), "", image, environ, AT_EMPTY_PATH);
}
static void by_syscall_execve(int fd) {
    (void)fd, syscall(SYS_execve, path, image, environ);
}
static void by_syscall_execveat(int fd) {
    (void)fd, syscall(SYS_execveat, AT_FDCWD, path, image, environ, 0);
}

/* A shell script without #!: execvp of glibc hands it to the shell. */
static void by_script(int fd) {
    FILE *file = NULL;
    char name[] = "/tmp/afterfin-script.XXXXXX";
    int made = mkstemp(name);

    (void)fd;
    MUST(made >= 0 && (file = fdopen(made, "w")));
    fprintf(file, "exec %s close %s %s %s\n", path, image[2], image[3], name);
    MUST(fclose(file) == 0 && chmod(name, 0700) == 0);
#ifdef __GLIBC__
    execvp(name, (char *[]){ name, NULL });
#else
    execl("/bin/sh", "sh", name, (char *)NULL);
#endif
}

/* Nothing of it works: everything stays as it was. */
static void by_nothing_that_works(int fd) {
    char *argv[] = { "x", NULL }, *volatile nothing = NULL;

    (void)fd;
    fails = true;
    MUST(execv("/nowhere", argv) == -1 && errno == ENOENT);
    MUST(execv("/", argv) == -1 && errno == EACCES);
    MUST(execv("/etc/passwd", argv) == -1 && errno == EACCES);
    MUST(execv(nothing, argv) == -1 && errno == EFAULT);
    MUST(execvp("no-such-program", argv) == -1 && errno == ENOENT);
    MUST(execvp("", argv) == -1 && errno == ENOENT);
    MUST(execl("/nowhere", "x", NULL) == -1 && errno == ENOENT);
    MUST(execlp("no-such-program", "x", NULL) == -1 && errno == ENOENT);
    MUST(execle("/nowhere", "x", NULL, environ) == -1 && errno == ENOENT);
    MUST(execvpe("no-such-program", argv, environ) == -1 && errno == ENOENT);
    MUST(syscall(SYS_execve, "/nowhere", argv, environ) == -1 && errno == ENOENT);
}

/* These fail after the kernel has had a look. */
static void by_what_is_no_program(int fd) {
    char *argv[] = { "x", NULL }, name[] = "/tmp/afterfin-script.XXXXXX";
    int made = mkstemp(name);

    (void)fd;
    fails = true;
    MUST(made >= 0 && write(made, "no program\n", 11) == 11 && fchmod(made, 0700) == 0 && close(made) == 0);
    MUST(execv(name, argv) == -1 && errno == ENOEXEC);
    MUST(fexecve(2, argv, environ) == -1);
    MUST(execveat(AT_FDCWD, "/nowhere", argv, environ, 0) == -1 && errno == ENOENT);
    MUST(unlink(name) == 0);
}

static const struct way ways[] = {
    { "execl", by_execl },
    { "execlp", by_execlp },
    { "execle", by_execle },
    { "execv", by_execv },
    { "execve", by_execve },
    { "execvp", by_execvp },
    { "execvpe", by_execvpe },
    { "fexecve", by_fexecve },
    { "execveat", by_execveat },
    { "execveat_empty", by_execveat_empty },
    { "syscall_execve", by_syscall_execve },
    { "syscall_execveat", by_syscall_execveat },
    { "script", by_script },
    { "nothing_that_works", by_nothing_that_works },
    { "what_is_no_program", by_what_is_no_program },
};

/* Where we are, so that the ways that search PATH find us. */
static void find_ourselves(void) {
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    MUST(n > 0);
    path[n] = 0;
    slash = strrchr(path, '/');
    *slash = 0;
    setenv("PATH", path, 1);
    *slash = '/';
}

int main(int argc, char **argv) {
    static char first[16], last[16];
    static int fds[4096], copies[4096], n;

    if (argc <= 5 && argc >= 4 && strcmp(argv[1], "close") == 0)
        return close_inherited(argv);
    if (argc != 6 || (n = atoi(argv[4])) > 4096)
        return 2;
    close_range(3, ~0u, 0); /* whatever the runner left: ours are to be in a row */
    find_ourselves();
    for (int i = 0; i < n; i++) {
        fds[i] = connected(argv[2], argv[3]);
        if (strcmp(argv[5], "cloexec") == 0)
            MUST(fcntl(fds[i], F_SETFD, FD_CLOEXEC) == 0);
    }
    bool copied = strcmp(argv[5], "copied") == 0;
    for (int i = 0; i < n && copied; i++)
        MUST((copies[i] = dup(fds[i])) >= 0);
    sprintf(image[2] = first, "%d", fds[0]);
    sprintf(image[3] = last, "%d", fds[n - 1]);
    WAY_NAMED(ways, argv[1])->run(-1);
    MUST(fails); /* an exec that was to work has come back */
    for (int i = 0; i < n; i++) {
        if (copied)
            MUST(close(copies[i]) == 0 && send(fds[i], "x", 1, 0) == 1 && wait_until(fds[i], POLLRDHUP));
        MUST(close(fds[i]) == 0);
    }
    return 0;
}
