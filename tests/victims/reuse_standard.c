/* Closes its stdout or stderr, opens a file that gets the number, and makes connections.
 *
 * reuse_standard 1|2 FILE ADDRESS PORT N */
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 6)
        return 2;
    int number = atoi(argv[1]);
    socklen_t len = address_of(argv[3], argv[4], &to);
    close(number);
    if (open(argv[2], O_RDWR | O_CREAT | O_APPEND, 0600) != number || write(number, "mine\n", 5) != 5)
        return 3;
    for (int i = 0; i < atoi(argv[5]); i++) {
        int fd = socket(to.ss_family, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 || close(fd) != 0)
            return 1;
    }
    return 0;
}
