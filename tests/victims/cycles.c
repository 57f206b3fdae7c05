/* N cycles of one kind, each the same system calls: what is counted per cycle is what one of them costs.
 *
 * cycles KIND N [ADDRESS PORT]
 * connect: socket, connect, close. answered: a byte sent and one read in between. shutdown: shutdown(SHUT_WR)
 * before the close. bind: bind(port 0) first. options: the program sets its own. dup: closed twice. listen:
 * socket, listen, close. file, pipe, udp, unix, epoll: descriptors that are no TCP sockets. none: N is ignored,
 * it kills itself. */
#include "victim.h"

#include <sys/epoll.h>

static struct sockaddr_storage to, any;
static socklen_t to_len, any_len;

static bool tcp_cycle(const char *kind) {
    int fd = socket(to.ss_family, SOCK_STREAM, 0), on = 1;
    char byte = 0;

    if (strcmp(kind, "options") == 0)
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (strcmp(kind, "unused") == 0)
        return close(fd) == 0;
    if (strcmp(kind, "listen") == 0)
        return listen(fd, 1) == 0 && close(fd) == 0;
    if (strcmp(kind, "bind") == 0 && bind(fd, (struct sockaddr *)&any, any_len) != 0)
        return false;
    if (connect(fd, (struct sockaddr *)&to, to_len) != 0)
        return false;
    if (strcmp(kind, "answered") == 0 && (send(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1))
        return false;
    if (strcmp(kind, "shutdown") == 0 && shutdown(fd, SHUT_WR) != 0)
        return false;
    if (strcmp(kind, "dup") == 0)
        close(dup(fd));
    return close(fd) == 0;
}

static bool other_cycle(const char *kind) {
    int fd[2] = { -1, -1 };

    if (strcmp(kind, "high") == 0)
        return dup2(0, 1500) == 1500 && close(1500) == 0;
    if (strcmp(kind, "file") == 0)
        fd[0] = open("/dev/null", O_RDONLY);
    else if (strcmp(kind, "pipe") == 0)
        (void)!pipe(fd);
    else if (strcmp(kind, "udp") == 0)
        fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
    else if (strcmp(kind, "unix") == 0)
        (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    else if (strcmp(kind, "epoll") == 0)
        fd[0] = epoll_create1(0);
    if (strcmp(kind, "udp") == 0 &&
        (bind(fd[0], (struct sockaddr *)&any, any_len) != 0 || connect(fd[0], (struct sockaddr *)&to, to_len) != 0))
        return false;
    close(dup(fd[0]));
    fcntl(fd[0], F_SETFD, FD_CLOEXEC);
    return close(fd[0]) == 0 && (fd[1] < 0 || close(fd[1]) == 0);
}

int main(int argc, char **argv) {
    static const char *const of_tcp[] = { "connect", "answered", "shutdown", "bind",
                                          "options", "dup",      "listen",   "unused" };
    bool tcp = false;

    if (argc != 5)
        return 2;
    to_len = address_of(argv[3], argv[4], &to);
    any_len = address_of(argv[3], "0", &any);
    for (size_t i = 0; i < sizeof of_tcp / sizeof *of_tcp; i++)
        tcp |= strcmp(argv[1], of_tcp[i]) == 0;
    if (strcmp(argv[1], "none") == 0)
        raise(SIGKILL);
    for (int i = 0; i < atoi(argv[2]); i++)
        if (!(tcp ? tcp_cycle(argv[1]) : other_cycle(argv[1])))
            return 1;
    return 0;
}
