/* A server of the old kind: a connection of its own, then N - 1 children, one after the other, with one each.
 *
 * fork_many ADDRESS PORT N */
#include "victim.h"

#include <sys/wait.h>

static struct sockaddr_storage to;
static socklen_t to_len;

static int cycle(void) {
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    return fd < 0 || connect(fd, (struct sockaddr *)&to, to_len) != 0 || close(fd) != 0;
}

int main(int argc, char **argv) {
    int failed, status;

    if (argc != 4)
        return 2;
    to_len = address_of(argv[1], argv[2], &to);
    failed = cycle();
    for (int i = 1; i < atoi(argv[3]); i++) {
        if (fork() == 0)
            return cycle();
        wait(&status);
        failed += status != 0;
    }
    return failed != 0;
}
