/* A small server: one answer a connection, then it waits for the client to close.
 *
 * server ADDRESS PORT
 * Runs until it is killed. It never closes first, so what is left in TIME_WAIT is the client's. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int fd) {
    static const char answer[] = "hello\n";
    char chunk[512];
    ssize_t n = recv(fd, chunk, sizeof chunk, 0);

    if (n > 0 && send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0)
        while (recv(fd, chunk, sizeof chunk, 0) > 0)
            continue;
    close(fd);
}

int main(int argc, char **argv) {
    struct sockaddr_in at = { .sin_family = AF_INET };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    if (argc != 3 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
        fprintf(stderr, "usage: server ADDRESS PORT\n");
        return 2;
    }
    at.sin_port = htons((unsigned short)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0) {
        perror("server");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            serve(fd);
    }
}
