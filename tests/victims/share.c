/* One connection, held by -d a second descriptor too, -f a child too, until a signal ends the parent.
 *
 * share ADDRESS PORT [-d] [-f] */
#include "victim.h"

#include <sys/prctl.h>

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc < 3)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0)
        return 1;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "-d") == 0 && dup(fd) < 0)
            return 1;
        if (strcmp(argv[i], "-f") == 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                pause();
        }
    }
    say("ready", "now");
    for (;;)
        pause();
}
