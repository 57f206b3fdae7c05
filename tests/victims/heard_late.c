/* N connections, towards the end of the program as it seems; then it goes on, is spoken to over each, and closes it.
 *
 * heard_late exec_fails|closes_stderr ADDRESS PORT N */
#include "way.h"

static void exec_fails(int fd) {
    char *argv[] = { "x", NULL };

    (void)fd;
    MUST(execveat(AT_FDCWD, "/nowhere", argv, environ, 0) == -1 && errno == ENOENT);
}

static void closes_stderr(int fd) {
    (void)fd;
    MUST(fclose(stderr) == 0);
}

static const struct way ways[] = { { "exec_fails", exec_fails }, { "closes_stderr", closes_stderr } };

int main(int argc, char **argv) {
    int fd[100], n = argc == 5 ? atoi(argv[4]) : 0;

    if (n < 1 || n > 100)
        return 2;
    for (int i = 0; i < n; i++) {
        fd[i] = connected(argv[2], argv[3]);
        MUST(fcntl(fd[i], F_SETFD, FD_CLOEXEC) == 0);
    }
    WAY_NAMED(ways, argv[1])->run(-1);
    for (int i = 0; i < n; i++) {
        char byte = 0;
        MUST(send(fd[i], &byte, 1, 0) == 1);
        MUST(recv(fd[i], &byte, 1, 0) == 1);
        MUST(close(fd[i]) == 0);
    }
    return 0;
}
