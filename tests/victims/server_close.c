/* A server that answers each of N connections with a payload and closes first.
 *
 * server_close ADDRESS PORT [-n N] [-q BYTES] [-b BYTES] [-N] [-u] [-o OPTION]... [-O OPTION]... [-x HOW]
 * -q read a request first, -N non-blocking listener and connections, -u listen without a bind, -o set on the
 * listener, -O on what it accepted, -x accept all, answer all, then leave as exit_open does, with all open */
#include "victim.h"

static struct {
    struct sockaddr_storage at;
    socklen_t at_len;
    int n;
    size_t request, bytes;
    bool nonblocking, unbound;
    const char *how;
    const char *before[8], *after[8];
    int n_before, n_after;
} ask = { .n = 1 };

static void read_arguments(int argc, char **argv) {
    for (int c; (c = next_option(argc, argv, "n:q:b:Nuo:O:x:")) != -1;) {
        if (c == 'n')
            ask.n = atoi(optarg);
        else if (c == 'q')
            ask.request = (size_t)atol(optarg);
        else if (c == 'b')
            ask.bytes = (size_t)atol(optarg);
        else if (c == 'N')
            ask.nonblocking = true;
        else if (c == 'u')
            ask.unbound = true;
        else if (c == 'o')
            ask.before[ask.n_before++] = optarg;
        else if (c == 'O')
            ask.after[ask.n_after++] = optarg;
        else if (c == 'x')
            ask.how = optarg;
        else
            exit(2);
    }
    if (optind + 2 > argc)
        exit(2);
    ask.at_len = address_of(argv[optind], argv[optind + 1], &ask.at);
}

static int fail(const char *call) {
    printf("error %s:%s\n", call, error_name(errno));
    return 1;
}

static bool serve_one(int listener) {
    if (ask.nonblocking && !wait_until(listener, POLLIN))
        return false;
    int fd = accept4(listener, NULL, NULL, ask.nonblocking ? SOCK_NONBLOCK : 0);

    if (fd < 0)
        return false;
    for (int i = 0; i < ask.n_after; i++)
        set_option(fd, ask.after[i]);
    bool sent = read_bytes(fd, ask.request) && send_payload(fd, ask.bytes);
    return (ask.how || close(fd) == 0) && sent;
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    int listener = socket(ask.at.ss_family, SOCK_STREAM | (ask.nonblocking ? SOCK_NONBLOCK : 0), 0);

    if (listener < 0)
        return fail("socket");
    for (int i = 0; i < ask.n_before; i++)
        set_option(listener, ask.before[i]);
    if (!ask.unbound && bind(listener, (struct sockaddr *)&ask.at, ask.at_len) != 0)
        return fail("bind");
    if (listen(listener, 4096) != 0)
        return fail("listen");
    say_number("port", port_of(listener));
    for (int i = 0; i < ask.n; i++)
        if (!serve_one(listener))
            return fail("serve");
    if (ask.how)
        return leave(ask.how);
    say_number("served", ask.n);
    return close(listener) != 0;
}
