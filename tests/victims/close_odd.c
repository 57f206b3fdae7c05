/* One connection closed by this side in a state that is hard to see from outside.
 *
 * close_odd ADDRESS PORT KIND UNREAD
 * UNREAD bytes are waited for, not read. KIND: plain; shut_rd and shut_rdwr: that shutdown first; lowat: with
 * SO_RCVLOWAT 1000; full: after as many sends as go; fin: once the peer's FIN is there */
#include "victim.h"

#include <sys/ioctl.h>

static void wait_unread(int fd, int n) {
    for (int waiting = 0; waiting < n; usleep(1000))
        ioctl(fd, FIONREAD, &waiting);
}

static void fill(int fd) {
    static char chunk[65536];

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (send(fd, chunk, sizeof chunk, MSG_NOSIGNAL) > 0)
        continue;
}

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    int lowat = 1000;

    if (argc != 5)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (strcmp(argv[3], "lowat") == 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
    if (connect(fd, (struct sockaddr *)&to, len) != 0)
        return 1;
    wait_unread(fd, atoi(argv[4]));
    if (strcmp(argv[3], "shut_rd") == 0)
        shutdown(fd, SHUT_RD);
    if (strcmp(argv[3], "shut_rdwr") == 0)
        shutdown(fd, SHUT_RDWR);
    if (strcmp(argv[3], "full") == 0)
        fill(fd);
    if (strcmp(argv[3], "fin") == 0)
        wait_until(fd, POLLRDHUP);
    return close(fd) != 0;
}
