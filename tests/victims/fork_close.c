/* The parent connects, forks, closes and ends; the child, who has the connection still, then sends the payload
 * and is killed.
 *
 * fork_close ADDRESS PORT BYTES */
#include "victim.h"

#include <sys/wait.h>

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    int parent_lives[2];
    char byte;

    if (argc != 4 || pipe(parent_lives) != 0)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0)
        return 1;
    if (fork() == 0) {
        close(parent_lives[1]);
        while (read(parent_lives[0], &byte, 1) > 0)
            continue;
        send_payload(fd, (size_t)atol(argv[3]));
        raise(SIGKILL);
    }
    close(parent_lives[0]);
    return close(fd) != 0;
}
