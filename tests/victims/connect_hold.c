/* One connection, held until the peer or an error ends it; says what ended it.
 *
 * connect_hold ADDRESS PORT [-N] [-t] [-E] [-o OPTION]... [-O OPTION]...
 * -N non-blocking, -t send a byte now and then, -o set before connect, -O after it, -E overwrite the environment first,
 * and with -t open and close a socket each time */
#include "victim.h"

extern char **environ;

/* As setproctitle does, which /proc/PID/environ then shows. */
static void overwrite_environment(void) {
    for (char **e = environ; *e; e++)
        memset(*e, 0, strlen(*e));
    environ = NULL;
}

/* recv's end: 0 at EOF, -1 with errno. */
static int hold(int fd, bool talks, bool opens) {
    for (;;) {
        char chunk[256];
        if (talks && send(fd, "", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            return -1;
        if (talks && opens)
            close(socket(AF_INET, SOCK_STREAM, 0));
        ssize_t n = recv(fd, chunk, sizeof chunk, talks ? MSG_DONTWAIT : 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return (int)n;
        if (n < 0)
            poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, talks ? 50 : -1);
    }
}

int main(int argc, char **argv) {
    const char *before[8], *after[8];
    int n_before = 0, n_after = 0, type = SOCK_STREAM;
    bool talks = false;
    struct sockaddr_storage to;

    for (int c; (c = next_option(argc, argv, "NtEo:O:")) != -1;) {
        if (c == 'N')
            type |= SOCK_NONBLOCK;
        else if (c == 't')
            talks = true;
        else if (c == 'E')
            overwrite_environment();
        else if (c == 'o' && n_before < 8)
            before[n_before++] = optarg;
        else if (c == 'O' && n_after < 8)
            after[n_after++] = optarg;
        else
            return 2;
    }
    if (optind + 2 != argc)
        return 2;
    socklen_t len = address_of(argv[optind], argv[optind + 1], &to);
    int fd = socket(to.ss_family, type, 0);
    for (int i = 0; i < n_before; i++)
        set_option(fd, before[i]);
    int connected = connect_wait(fd, &to, len);
    for (int i = 0; i < n_after; i++)
        set_option(fd, after[i]);
    say_result("open", connected);
    say_result("end", hold(fd, talks, !environ));
    return close(fd) != 0;
}
