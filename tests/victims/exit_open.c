/* N connections with a payload each, all open when the process ends in the way named.
 *
 * exit_open exit|_exit|_Exit|quick_exit|return|sigkill|exec ADDRESS PORT N BYTES
 * exec becomes /bin/true, the descriptors are close-on-exec. */
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 6)
        return 2;
    socklen_t len = address_of(argv[2], argv[3], &to);
    for (int i = 0; i < atoi(argv[4]); i++) {
        int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 || !send_payload(fd, (size_t)atol(argv[5]))) {
            say_result("error", -1);
            return 1;
        }
    }
    return leave(argv[1]);
}
