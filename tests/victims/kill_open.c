/* N connections with a payload each, open when the process is killed by SIGKILL.
 *
 * kill_open ADDRESS PORT N BYTES [-e] [-u] [-c] [-f] [-r]
 * -e wait for the peer's end on each first, -u until there is unread data on each, -c it is a child that opens
 * them and is killed, and the parent lives for one connection more, -f a child opens them, and its own child,
 * who outlives it, is killed, -r as many were opened and closed before, and another program was run in between */
#include "victim.h"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct sockaddr_storage to;
static socklen_t to_len;

static int open_one(size_t bytes) {
    int fd = socket(to.ss_family, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, to_len) != 0 || !send_payload(fd, bytes))
        exit(1);
    return fd;
}

static void open_all(int *fds, int n, size_t bytes) {
    for (int i = 0; i < n; i++)
        fds[i] = open_one(bytes);
}

static void open_and_close_all(int *fds, int n, size_t bytes) {
    char *nothing[] = { "true", NULL };
    pid_t pid;

    open_all(fds, n, bytes);
    if (posix_spawnp(&pid, nothing[0], NULL, NULL, nothing, nothing + 1) != 0 || waitpid(pid, NULL, 0) != pid)
        exit(1);
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void die(const int *fds, int n, bool to_end, bool unread) {
    for (int i = 0; i < n; i++)
        if ((to_end && !read_bytes(fds[i], SIZE_MAX)) || (unread && !wait_until(fds[i], POLLIN)))
            exit(1);
    raise(SIGKILL);
}

int main(int argc, char **argv) {
    bool to_end = false, unread = false, child = false, parent_first = false, again = false;
    int fds[1024], alive[2];
    char byte;

    if (argc < 5 || atoi(argv[3]) > 1024 || pipe(alive) != 0)
        return 2;
    for (int i = 5; i < argc; i++) {
        to_end |= strcmp(argv[i], "-e") == 0;
        unread |= strcmp(argv[i], "-u") == 0;
        child |= strcmp(argv[i], "-c") == 0;
        parent_first |= strcmp(argv[i], "-f") == 0;
        again |= strcmp(argv[i], "-r") == 0;
    }
    int n = atoi(argv[3]);
    size_t bytes = (size_t)atol(argv[4]);
    to_len = address_of(argv[1], argv[2], &to);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (again)
        open_and_close_all(fds, n, bytes);
    if (parent_first && fork() != 0) {
        close(alive[1]);
        while (wait(NULL) > 0)
            continue;
        return 0;
    }
    if (!child)
        open_all(fds, n, bytes);
    pid_t pid = child || parent_first ? fork() : 0;
    if (pid == 0) {
        close(alive[1]);
        if (child)
            open_all(fds, n, bytes);
        while (parent_first && read(alive[0], &byte, 1) > 0)
            continue;
        die(fds, n, to_end, unread);
    }
    if (parent_first)
        return 0;
    waitpid(pid, NULL, 0);
    return close(open_one(bytes)) != 0;
}
