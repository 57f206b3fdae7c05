/* Closes what it never had: negative numbers, and streams that have no descriptor. Its connection is descriptor 0, as
 * a daemon's may be, and the number that stands in the memory of such a stream.
 *
 * streams ADDRESS PORT    connects, closes all that, says "ready"; at SIGUSR1 sends a byte, reads to the end,
 *                         closes */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static FILE *streams_of_no_descriptor(int i) {
    static char *text, room[100];
    static size_t size;
    cookie_io_functions_t none = { 0 };

    return i == 0   ? open_memstream(&text, &size)
           : i == 1 ? fmemopen(room, sizeof room, "w+")
                    : fopencookie(NULL, "w", none);
}

int main(int argc, char **argv) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 2 ? argv[2] : "0")) };
    char byte = 0;
    sigset_t go;

    sigemptyset(&go);
    sigaddset(&go, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go, NULL);
    inet_pton(AF_INET, argc > 1 ? argv[1] : "", &to.sin_addr);
    close(0);
    if (socket(AF_INET, SOCK_STREAM, 0) != 0 || connect(0, (struct sockaddr *)&to, sizeof to) != 0)
        return 1;
    for (int round = 0; round < 5; round++) {
        close(-1);
        close(-2);
        close(INT_MIN);
        for (int i = 0; i < 3; i++) {
            FILE *stream = streams_of_no_descriptor(i);
#ifdef __GLIBC__ /* which leaves there what was in the memory before */
            if (i == 0)
                stream->_fileno = 0;
#endif
            fputs("x", stream);
            fclose(stream);
        }
    }
    puts("ready");
    fflush(stdout);
    sigwaitinfo(&go, NULL);
    if (write(0, &byte, 1) != 1)
        return 1;
    while (read(0, &byte, 1) > 0)
        ;
    close(0);
    return 0;
}
