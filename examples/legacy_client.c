/* A client as they were written for decades: it binds its source address, opens a connection a request, and
 * closes first. Unmodified; nothing here knows of afterfin.
 *
 * legacy_client SOURCE ADDRESS PORT REQUESTS
 * With - for SOURCE it does not bind, and leaves the choice of both to connect.
 * Prints how many were asked for, how many succeeded, and the first call that failed with its errno. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NULL, or the call that failed. No address in `from`: not bound. */
static const char *request(int fd, const struct sockaddr_in *from, const struct sockaddr_in *to) {
    static const char question[] = "how are you\n";
    char answer[512];

    if (from->sin_family == AF_INET && bind(fd, (const struct sockaddr *)from, sizeof *from) != 0)
        return "bind";
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
        return "connect";
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) < 0)
        return "send";
    if (recv(fd, answer, sizeof answer, 0) <= 0)
        return "recv";
    return NULL;
}

/* Not every libc has strerrorname_np. */
static const char *name_of(int error) {
    switch (error) {
    case EADDRINUSE: return "EADDRINUSE";
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
    case ECONNREFUSED: return "ECONNREFUSED";
    case ECONNRESET: return "ECONNRESET";
    case EHOSTUNREACH: return "EHOSTUNREACH";
    case EMFILE: return "EMFILE";
    case ENETUNREACH: return "ENETUNREACH";
    case EPERM: return "EPERM";
    case EPIPE: return "EPIPE";
    case ETIMEDOUT: return "ETIMEDOUT";
    default: return strerror(error);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
    const char *first = NULL, *error = "";
    int succeeded = 0;

    if (argc == 5 && strcmp(argv[1], "-") == 0)
        from.sin_family = AF_UNSPEC;
    if (argc != 5 || (from.sin_family == AF_INET && inet_pton(AF_INET, argv[1], &from.sin_addr) != 1) ||
        inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: legacy_client SOURCE ADDRESS PORT REQUESTS\n");
        return 2;
    }
    to.sin_port = htons((unsigned short)atoi(argv[3]));
    int requests = atoi(argv[4]);
    for (int i = 0; i < requests; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        const char *failed = fd < 0 ? "socket" : request(fd, &from, &to);
        if (failed && !first) {
            first = failed;
            error = name_of(errno);
        }
        succeeded += !failed;
        close(fd);
    }
    printf("%d %d %s%s%s\n", requests, succeeded, first ? first : "none", first ? ":" : "", error);
    return succeeded != requests;
}
