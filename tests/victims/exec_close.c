/* Connects, sends a payload and execs itself anew; the new image closes what it inherited.
 *
 * exec_close ADDRESS PORT BYTES */
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    char number[16];

    if (argc == 2)
        return close(atoi(argv[1])) != 0;
    if (argc != 4)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 || !send_payload(fd, (size_t)atol(argv[3])))
        return 1;
    snprintf(number, sizeof number, "%d", fd);
    execl("/proc/self/exe", "exec_close", number, (char *)NULL);
    return 1;
}
