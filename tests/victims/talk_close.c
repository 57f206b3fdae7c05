/* N connections, one after the other: TALK bytes each way, one by one, then shutdown, what comes to its end, and close.
 *
 * talk_close ADDRESS PORT N TALK */
#include "way.h"

int main(int argc, char **argv) {
    char byte = 'x';

    MUST(argc == 5);
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = connected(argv[1], argv[2]);
        for (int k = 0; k < atoi(argv[4]); k++)
            MUST(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1);
        MUST(shutdown(fd, SHUT_WR) == 0 && read_bytes(fd, SIZE_MAX) && close(fd) == 0);
    }
    return 0;
}
