/* Binds a source address with port 0, then connects, as often as it goes; holds all connections open to the end.
 *
 * bind_many SOURCE ADDRESS EACH PORT...
 * EACH connections to each PORT in turn. */
#include "victim.h"

static const char *one(const char *source, const char *address, const char *port) {
    struct sockaddr_storage from, to;
    socklen_t from_len = address_of(source, "0", &from), to_len = address_of(address, port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);

    if (fd < 0)
        return "socket";
    if (bind(fd, (struct sockaddr *)&from, from_len) != 0)
        return "bind";
    return connect(fd, (struct sockaddr *)&to, to_len) != 0 ? "connect" : NULL;
}

int main(int argc, char **argv) {
    int made = 0, each = argc > 4 ? atoi(argv[3]) : 0;

    for (int p = 4; p < argc; p++) {
        const char *failed = NULL;
        for (int i = 0; i < each && !failed; i++) {
            failed = one(argv[1], argv[2], argv[p]);
            made += !failed;
        }
        if (failed)
            printf("error %s:%s\n", failed, error_name(errno));
    }
    say_number("made", made);
    return 0;
}
