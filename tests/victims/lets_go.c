/* Has one TCP socket, and closes its stderr N times, each time after a copy of it has been kept: whoever logs there has
 * something to say each time.
 *
 * lets_go N */
#include "way.h"

int main(int argc, char **argv) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), kept = dup(2);

    for (int i = 0; i < atoi(argc > 1 ? argv[1] : "0"); i++) {
        close(2);
        dup2(kept, 2);
    }
    close(kept);
    return fd < 0;
}
