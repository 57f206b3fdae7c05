/* Makes its calls by syscall() (WAY number) or by libc's functions (WAY name), both over the same ground: a listener, a
 * connection to it and to ADDRESS:PORT, copies, options, messages, closes.
 *
 * by_number WAY ADDRESS PORT N */
#include "way.h"

static bool numbers;
/* Most of libc's functions return int. */
#define DO(name, ...) (numbers ? (int)syscall(SYS_##name, __VA_ARGS__) : (int)(name)(__VA_ARGS__))

#define CHECKED(call) \
    ({ \
        int result_ = (call); \
        if (result_ < 0) \
            failed(#call, __FILE__, __LINE__); \
        result_; \
    })

static int opened(struct sockaddr_in *to) {
    int on = 1, fd = CHECKED(DO(socket, AF_INET, SOCK_STREAM, 0));

    CHECKED(DO(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    CHECKED(DO(connect, fd, (struct sockaddr *)to, sizeof *to));
    return fd;
}

int main(int argc, char **argv) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 4 ? argv[3] : "0")) };
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof here;
    char byte = 0;

    numbers = argc > 4 && !strcmp(argv[1], "number");
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    int listener = CHECKED(DO(socket, AF_INET, SOCK_STREAM, 0));
    CHECKED(DO(bind, listener, (struct sockaddr *)&here, sizeof here));
    CHECKED(DO(listen, listener, 5));
    CHECKED(DO(getsockname, listener, (struct sockaddr *)&here, &len));
    for (int i = 0; i < atoi(argv[4]); i++) {
        struct iovec one = { &byte, 1 };
        struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1 };
        int fd = opened(&to), own = opened(&here), error = 0;
        int accepted = CHECKED(DO(accept4, listener, NULL, NULL, SOCK_CLOEXEC));
        len = sizeof error;
        CHECKED(DO(getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &len));
        CHECKED(DO(sendmsg, fd, &message, 0));
        CHECKED(DO(recvmsg, fd, &message, 0));
        int copy = CHECKED(DO(dup, fd));
        CHECKED(DO(dup3, fd, copy, O_CLOEXEC));
        CHECKED(DO(sendto, own, &byte, 1, 0, NULL, 0)); /* unread: a reset */
        CHECKED(DO(close, copy));
        CHECKED(DO(shutdown, fd, SHUT_RD));
        CHECKED(DO(close, fd));
        CHECKED(DO(close, accepted));
        CHECKED(DO(close, own));
    }
    CHECKED(DO(close, listener));
    return 0;
}
