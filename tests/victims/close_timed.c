/* Connects, sends a payload, and says when its close has returned (CLOCK_MONOTONIC, ns).
 *
 * close_timed ADDRESS PORT BYTES [-N] */
#include "victim.h"

#include <time.h>

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    struct timespec now;

    if (argc < 4)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 || !send_payload(fd, (size_t)atol(argv[3])))
        return 1;
    if (argc == 5)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    say("now", "closing");
    int result = close(fd);
    clock_gettime(CLOCK_MONOTONIC, &now);
    say_result("close", result);
    say_number("closed", now.tv_sec * 1000000000LL + now.tv_nsec);
    return 0;
}
