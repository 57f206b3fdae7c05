/* Runs CMD with its stderr, and stdout, as WHAT says; ends as it ends.
 *
 * into WHAT CMD...    unix      a Unix stream socket: what came is printed
 *                     datagram  a Unix datagram socket, as the journal's: the same
 *                     pipe      a pipe that is full
 *                     terminal  one that is stopped
 *                     tcp:PORT  a connection to 127.0.0.1:PORT, also as stdin */
#include "way.h"

#include <pty.h>
#include <sys/wait.h>
#include <termios.h>

static int read_end = -1, print_what_came;

static int stopped_terminal(void) {
    int other, fd;

    MUST(openpty(&read_end, &other, NULL, NULL, NULL) == 0);
    fd = open(ttyname(other), O_RDWR | O_NOCTTY);
    MUST(tcflow(other, TCOOFF) == 0);
    return fd;
}

static int full_pipe(void) {
    int ends[2], flags;
    char some[4096] = { 0 };

    MUST(pipe(ends) == 0);
    flags = fcntl(ends[1], F_GETFL);
    fcntl(ends[1], F_SETFL, flags | O_NONBLOCK);
    while (write(ends[1], some, sizeof some) > 0)
        ;
    fcntl(ends[1], F_SETFL, flags); /* the description that CMD gets is an ordinary one */
    read_end = ends[0];
    return ends[1];
}

static int unix_socket(int type) {
    int pair[2];

    MUST(socketpair(AF_UNIX, type, 0, pair) == 0);
    read_end = pair[0];
    print_what_came = 1;
    return pair[1];
}

int main(int argc, char **argv) {
    const char *what = argc > 2 ? argv[1] : "";
    int fd = !strcmp(what, "unix")       ? unix_socket(SOCK_STREAM)
             : !strcmp(what, "datagram") ? unix_socket(SOCK_DGRAM)
             : !strcmp(what, "pipe")     ? full_pipe()
             : !strcmp(what, "terminal") ? stopped_terminal()
                                         : connected("127.0.0.1", what + 4);
    int status = 0;
    char got[8192];

    pid_t child = fork();
    if (child == 0) {
        for (int to = !strncmp(what, "tcp", 3) ? 0 : 1; to <= 2; to++)
            dup2(fd, to);
        for (int i = 3; i < 20; i++)
            close(i);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    close(fd);
    printf("child %d\n", (int)child);
    fflush(stdout);
    MUST(waitpid(child, &status, 0) == child);
    for (ssize_t n; print_what_came && (n = recv(read_end, got, sizeof got, MSG_DONTWAIT)) > 0;)
        fwrite(got, 1, (size_t)n, stdout);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
