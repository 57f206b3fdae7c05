/* Accepts one connection and holds it until the peer or an error ends it; says what ended it.
 *
 * accept_hold ADDRESS PORT [-N] [-o OPTION]... [-O OPTION]...
 * -N non-blocking, -o set on the listener, -O on what it accepted */
#include "victim.h"

int main(int argc, char **argv) {
    const char *before[8], *after[8];
    int n_before = 0, n_after = 0, flag = 0;
    struct sockaddr_storage at;

    for (int c; (c = next_option(argc, argv, "No:O:")) != -1;) {
        if (c == 'N')
            flag = SOCK_NONBLOCK;
        else if (c == 'o' && n_before < 8)
            before[n_before++] = optarg;
        else if (c == 'O' && n_after < 8)
            after[n_after++] = optarg;
        else
            return 2;
    }
    if (optind + 2 != argc)
        return 2;
    socklen_t len = address_of(argv[optind], argv[optind + 1], &at);
    int listener = socket(at.ss_family, SOCK_STREAM | flag, 0);
    for (int i = 0; i < n_before; i++)
        set_option(listener, before[i]);
    if (bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 16) != 0)
        return 1;
    wait_until(listener, POLLIN);
    int fd = accept4(listener, NULL, NULL, flag);
    close(listener);
    for (int i = 0; i < n_after; i++)
        set_option(fd, after[i]);
    say_result("open", fd);
    say("end", read_bytes(fd, SIZE_MAX) ? "0" : error_name(errno));
    return close(fd) != 0;
}
