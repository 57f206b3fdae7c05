/* Does with its arguments and environment what setproctitle does, and worse, before it opens its first socket.
 *
 * overwrites ADDRESS PORT N */
#include "way.h"

extern char **environ;

int main(int argc, char **argv) {
    struct sockaddr_storage to;
    char *first = argv[0], *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

    if (argc != 4)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int n = atoi(argv[3]);
    for (char **e = environ; *e; e++)
        end = *e + strlen(*e) + 1;
    memset(first, '#', (size_t)(end - first - 1));
    for (int i = 0; i < argc; i++)
        argv[i] = NULL;
    environ = NULL;
    for (int i = 0; i < n; i++) {
        int fd = socket(to.ss_family, SOCK_STREAM, 0);
        MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, len) == 0 && close(fd) == 0);
    }
    execlp("no-such-program", "x", NULL);
    return errno != ENOENT;
}
