/* N connections, one after the other, each with a payload, each closed first by this side.
 *
 * connect_close ADDRESS PORT [-n N] [-b BYTES] [-N] [-s SOURCE] [-o OPTION]... [-O OPTION]... [-r BYTES]
 *               [-i MS] [-v] [-m]
 * -N non-blocking, -s bind SOURCE port 0 first, -o set before connect, -O after it, -r read an answer before
 * the close (-1: to its end), -i pause between two, -v say each local port, -m MPTCP */
#include "victim.h"

static struct {
    struct sockaddr_storage to, source;
    socklen_t to_len, source_len;
    int n, pause_ms, protocol;
    size_t bytes, answer;
    bool nonblocking, say_ports;
    const char *before[8], *after[8];
    int n_before, n_after;
} ask = { .n = 1 };

static const char *one(void) {
    int fd = socket(ask.to.ss_family, SOCK_STREAM | (ask.nonblocking ? SOCK_NONBLOCK : 0), ask.protocol);

    if (fd < 0)
        return "socket";
    for (int i = 0; i < ask.n_before; i++)
        set_option(fd, ask.before[i]);
    const char *failed = NULL;
    if (ask.source_len && bind(fd, (struct sockaddr *)&ask.source, ask.source_len) != 0)
        failed = "bind";
    else if (connect_wait(fd, &ask.to, ask.to_len) != 0)
        failed = "connect";
    else if (!send_payload(fd, ask.bytes))
        failed = "send";
    else if (!read_bytes(fd, ask.answer))
        failed = "recv";
    int error = errno;
    for (int i = 0; i < ask.n_after && !failed; i++)
        set_option(fd, ask.after[i]);
    if (ask.say_ports && !failed)
        say_number("port", port_of(fd));
    if (close(fd) != 0 && !failed)
        failed = "close";
    else
        errno = error;
    return failed;
}

static void read_arguments(int argc, char **argv) {
    for (int c; (c = next_option(argc, argv, "n:b:Ns:o:O:r:i:vm")) != -1;) {
        if (c == 'n')
            ask.n = atoi(optarg);
        else if (c == 'b')
            ask.bytes = (size_t)atol(optarg);
        else if (c == 'N')
            ask.nonblocking = true;
        else if (c == 's')
            ask.source_len = address_of(optarg, "0", &ask.source);
        else if (c == 'o')
            ask.before[ask.n_before++] = optarg;
        else if (c == 'O')
            ask.after[ask.n_after++] = optarg;
        else if (c == 'r')
            ask.answer = (size_t)atol(optarg);
        else if (c == 'i')
            ask.pause_ms = atoi(optarg);
        else if (c == 'v')
            ask.say_ports = true;
        else if (c == 'm')
            ask.protocol = IPPROTO_MPTCP;
        else
            exit(2);
    }
    if (optind + 2 > argc)
        exit(2);
    ask.to_len = address_of(argv[optind], argv[optind + 1], &ask.to);
}

int main(int argc, char **argv) {
    int made = 0;
    bool said = false;

    read_arguments(argc, argv);
    for (int i = 0; i < ask.n; i++) {
        const char *failed = one();
        made += !failed;
        if (failed && !said)
            printf("error %s:%s\n", failed, error_name(errno));
        said |= failed != NULL;
        if (ask.pause_ms)
            poll(NULL, 0, ask.pause_ms);
    }
    say_number("made", made);
    return made != ask.n;
}
