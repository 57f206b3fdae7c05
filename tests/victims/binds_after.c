/* A socket whose connection did not come to be, or is no more, is bound to a port of the kernel's choice, while PORT is taken.
 *
 * binds_after refused|later|gone bind|listen ADDRESS PEER PORT */
#include "way.h"

#include <poll.h>

int main(int argc, char **argv) {
    MUST(argc == 6);
    struct sockaddr_storage to, here;
    const socklen_t len = address_of(argv[3], argv[4], &to);
    const int later = strcmp(argv[1], "later") == 0, gone = strcmp(argv[1], "gone") == 0;
    const int fd = socket(to.ss_family, SOCK_STREAM | (later ? SOCK_NONBLOCK : 0), 0);
    const int taken = socket(to.ss_family, SOCK_STREAM, 0);
    MUST(connect(fd, (struct sockaddr *)&to, len) == (gone ? 0 : -1));
    if (later)
        MUST(errno == EINPROGRESS && poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1) == 1 &&
             connect(fd, (struct sockaddr *)&to, len) == -1 && errno == ECONNREFUSED);
    if (gone)
        MUST(connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)) == 0);
    address_of(argv[3], argv[5], &here);
    MUST(bind(taken, (struct sockaddr *)&here, len) == 0);
    address_of(argv[3], "0", &here);
    if (strcmp(argv[2], "bind") == 0)
        MUST(bind(fd, (struct sockaddr *)&here, len) == 0);
    MUST(listen(fd, 1) == 0);
    return 0;
}
