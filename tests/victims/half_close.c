/* A request, shutdown of this direction, and the answer read to its end before the close.
 *
 * half_close ADDRESS PORT BYTES ANSWER */
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 5)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);

    say_result("connect", connect(fd, (struct sockaddr *)&to, len));
    say("sent", send_payload(fd, (size_t)atol(argv[3])) ? "all" : "less");
    say_result("shutdown", shutdown(fd, SHUT_WR));
    say("answer", read_bytes(fd, (size_t)atol(argv[4])) ? "whole" : "less");
    say("then", read_bytes(fd, SIZE_MAX) ? "end" : "error");
    say_result("close", close(fd));
    return 0;
}
