/* Prints the outcome of many calls on sockets, right and wrong ones, talking to itself over loopback.
 *
 * show_sockets PORT    PORT is free, and so is PORT + 1 */
#include "show.h"

#include <netinet/udp.h>
#include <sys/un.h>

static struct sockaddr_in at, nowhere;
static struct sockaddr_in6 at6;
#define AT (struct sockaddr *)&at, sizeof at
#define BAD ((void *)-1)

static void *volatile null;

static void wrong_sockets(void) {
    SHOW(socket(-1, SOCK_STREAM, 0));
    SHOW(socket(AF_INET, -1, 0));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_STREAM | 1 << 20, 0));
    SHOW(socket(AF_INET6, SOCK_STREAM, 9999));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(socket(AF_INET, SOCK_DGRAM, 0));
    SHOW(close(3));
    SHOW(close(4));
}

static void wrong_descriptors(void) {
    static const int bad[] = { -1, 999, 1 << 30, 0x7fffffff, (int)0x80000000 };
    socklen_t len = sizeof at;
    int value = 0;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = bad[i];
        printf("descriptor %d\n", fd);
        SHOW(connect(fd, AT));
        SHOW(bind(fd, AT));
        SHOW(listen(fd, 1));
        SHOW(accept(fd, null, null));
        SHOW(accept4(fd, null, null, 0));
        SHOW(shutdown(fd, SHUT_RDWR));
        SHOW(getsockname(fd, (struct sockaddr *)&at, &len));
        SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
        SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
        SHOW(dup(fd));
        SHOW(dup2(fd, 50));
        SHOW(dup3(fd, 50, 0));
        SHOW(fcntl(fd, F_DUPFD, 50));
        SHOW(fcntl(fd, F_GETFD));
        SHOW(syscall(SYS_close, fd));
        SHOW(close(fd));
        SHOW(close_range((unsigned)fd, (unsigned)fd, 0));
    }
}

/* Files, pipes and Unix sockets: none of it is ours to touch. */
static void what_is_no_socket(void) {
    int pair[2], fd = open("/dev/null", O_RDWR);
    socklen_t len = sizeof at;

    SHOW(connect(fd, AT));
    SHOW(bind(fd, AT));
    SHOW(listen(fd, 1));
    SHOW(accept(fd, null, null));
    SHOW(shutdown(fd, SHUT_RD));
    SHOW(getsockname(fd, (struct sockaddr *)&at, &len));
    SHOW(dup2(fd, 40));
    SHOW(close(40));
    SHOW(close(fd));
    SHOW(close(fd));
    SHOW(pipe(pair));
    SHOW(close(pair[0]));
    SHOW(close(pair[1]));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(close(pair[0]));
    SHOW(close(pair[1]));
}

static void wrong_connects(int fd) {
    SHOW(connect(fd, null, 16));
    SHOW(connect(fd, BAD, 16));
    SHOW(connect(fd, (struct sockaddr *)&at, 0));
    SHOW(connect(fd, (struct sockaddr *)&at, 15));
    SHOW(connect(fd, (struct sockaddr *)&at, 1000));
    SHOW(connect(fd, (struct sockaddr *)&at, (socklen_t)-1));
    SHOW(connect(fd, (struct sockaddr *)&at6, sizeof at6));
    SHOW(connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere));
    SHOW(connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere));
}

static void wrong_options(int fd) {
    int value = 1;
    socklen_t len = sizeof value, huge = (socklen_t)-1;
    struct linger linger = { 0, 0 };

    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, null, sizeof linger));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, BAD, sizeof linger));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, (socklen_t)-1));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &value, 1));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, BAD, sizeof value));
    SHOW(setsockopt(fd, IPPROTO_TCP, 9999, &value, sizeof value));
    SHOW(setsockopt(fd, 9999, 1, &value, sizeof value));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, null, sizeof value));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, null, &len));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, BAD, &len));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, null));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, BAD));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &huge));
    len = 0;
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
    len = 2;
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
    SHOW(len);
    len = sizeof value;
    SHOW(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &len));
    SHOW(value);
}

static void wrong_names(int fd) {
    struct sockaddr_in name;
    socklen_t len = sizeof name, huge = (socklen_t)-1;

    SHOW(getsockname(fd, null, &len));
    SHOW(getsockname(fd, BAD, &len));
    SHOW(getsockname(fd, (struct sockaddr *)&name, null));
    SHOW(getsockname(fd, (struct sockaddr *)&name, BAD));
    SHOW(getsockname(fd, (struct sockaddr *)&name, &huge));
    len = 4;
    SHOW(getsockname(fd, (struct sockaddr *)&name, &len));
    SHOW(len);
}

static void server_s_mistakes(int fd) {
    struct sockaddr_in name;
    socklen_t len = sizeof name, huge = (socklen_t)-1;

    SHOW(accept(fd, null, null)); /* does not listen */
    SHOW(bind(fd, null, 16));
    SHOW(bind(fd, BAD, 16));
    SHOW(bind(fd, (struct sockaddr *)&at, 2));
    SHOW(bind(fd, (struct sockaddr *)&at6, sizeof at6));
    SHOW(bind(fd, AT));
    SHOW(bind(fd, AT));
    SHOW(listen(fd, 10));
    SHOW(listen(fd, 20));
    SHOW(bind(fd, AT));
    SHOW(connect(fd, AT));
    SHOW(accept4_odd(fd, 3));
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
    SHOW(accept(fd, null, null));
    SHOW(accept(fd, (struct sockaddr *)&name, &len));
    SHOW(accept(fd, BAD, &huge));
    SHOW(accept(fd, (struct sockaddr *)&name, null));
    SHOW(getsockname(fd, (struct sockaddr *)&name, &len));
    SHOW(ntohs(name.sin_port) == ntohs(at.sin_port));
}

static void connection(int listener) {
    struct sockaddr_in from = { 0 };
    socklen_t len = sizeof from;
    int fd, other;

    SHOW(fd = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(fd, AT));
    SHOW(connect(fd, AT));
    SHOW(bind(fd, AT));
    SHOW(listen(fd, 1));
    SHOW(other = accept(listener, (struct sockaddr *)&from, &len));
    SHOW(len);
    SHOW(from.sin_port == htons((uint16_t)port_of(fd)));
    SHOW(send(fd, "hello", 5, 0));
    SHOW(shutdown(fd, 99));
    SHOW(shutdown(fd, SHUT_WR));
    SHOW(shutdown(fd, SHUT_WR));
    SHOW(recv(other, (char[8]){ 0 }, 8, MSG_WAITALL));
    SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
    SHOW(close(other));
    SHOW(recv(fd, (char[8]){ 0 }, 8, 0));
    SHOW(shutdown(fd, SHUT_RDWR));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &(int){ 0 }, &(socklen_t){ sizeof(int) }));
    SHOW(close(fd));
    SHOW(close(fd));
}

static void bad_accept_addresses(int listener) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof at;

    SHOW(connect(fd, AT));
    SHOW(accept(listener, BAD, &len)); /* the connection is lost, as in bare life */
    SHOW(close(fd));
}

static void later_binds(void) {
    struct sockaddr_in any = { .sin_family = AF_INET };
    int fd;

    SHOW(fd = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(bind(fd, (struct sockaddr *)&any, sizeof any));
    SHOW(port_of(fd) != 0);
    SHOW(bind(fd, (struct sockaddr *)&any, sizeof any));
    SHOW(port_of(fd) != 0);
    SHOW(listen(fd, 1));
    SHOW(close(fd));
    SHOW(fd = socket(AF_INET6, SOCK_STREAM, 0));
    SHOW(bind(fd, (struct sockaddr *)&at6, sizeof at6));
    SHOW(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int)));
    SHOW(port_of(fd) != 0);
    SHOW(close(fd));
    SHOW(fd = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(bind(fd, (struct sockaddr *)&any, sizeof any));
    SHOW(syscall(SYS_getsockname, fd, &any, &(socklen_t){ sizeof any }));
    SHOW(any.sin_port != 0);
    SHOW(close(fd));
}

int main(int argc, char **argv) {
    int fd;

    if (argc != 2)
        return 2;
    close_range(3, ~0u, 0);
    at.sin_family = nowhere.sin_family = AF_INET;
    at.sin_addr.s_addr = nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    nowhere.sin_port = htons((uint16_t)(atoi(argv[1]) + 1));
    at6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
    show_descriptors("at start");
    wrong_sockets();
    wrong_descriptors();
    what_is_no_socket();
    SHOW(fd = socket(AF_INET, SOCK_STREAM, 0));
    wrong_connects(fd);
    wrong_options(fd);
    wrong_names(fd);
    server_s_mistakes(fd);
    connection(fd);
    connection(fd);
    bad_accept_addresses(fd);
    later_binds();
    show_descriptors("before the last close");
    SHOW(close(fd));
    show_descriptors("at the end");
    return 7;
}
