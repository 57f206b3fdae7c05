/* Connects and ends by the bare system call, as runtimes without libc do.
 *
 * raw_exit ADDRESS PORT STATUS */
#include "instruction.h"
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 4)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0)
        return 1;
    instruction(SYS_exit_group, atoi(argv[3]), 0, 0);
    return 1;
}
