/* As the first process of a pid namespace: a connection; a child by vfork in a namespace of its own, whose pid is 1
 * too, closes what it has; the connection is used and closed, and another one made.
 *
 * new_namespace ADDRESS PORT */
#include "way.h"

#include <sched.h>
#include <sys/wait.h>

static int first_process(const char *address, const char *port) {
    int fd = connected(address, port), status;

    MUST(getpid() == 1 && unshare(CLONE_NEWPID) == 0);
    pid_t child = vfork();
    if (child == 0) {
        close(fd);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(send(fd, "x", 1, 0) == 1);
    int other = connected(address, port);
    MUST(close(other) == 0 && close(fd) == 0);
    return 0;
}

int main(int argc, char **argv) {
    int status;

    if (argc != 3)
        return 2;
    MUST(unshare(CLONE_NEWPID) == 0);
    pid_t child = fork();
    if (child == 0)
        return first_process(argv[1], argv[2]);
    MUST(waitpid(child, &status, 0) == child);
    return WEXITSTATUS(status);
}
