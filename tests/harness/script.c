/* Peers that do to a connection what a script says, step by step. */
#include "tests/harness/counts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_to_end(int fd) {
    char chunk[4096];
    while (recv(fd, chunk, sizeof chunk, 0) > 0)
        continue;
}

static void step(int fd, char letter) {
    struct linger abort = { 1, 0 };
    char byte = 0;

    switch (letter) {
    case 'e': read_to_end(fd); break;
    case 'b': recv(fd, &byte, 1, 0); break;
    case 's': send(fd, &byte, 1, MSG_NOSIGNAL); break;
    case 'f': shutdown(fd, SHUT_WR); break;
    case 'r':
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        close(fd);
        break;
    case 'c': close(fd); break;
    case 'k': break;
    default: _exit(2);
    }
}

static void follow(int fd, const char *script) {
    for (; *script; script++)
        step(fd, *script);
}

static int listen_at(uint16_t port, int protocol) {
    struct sockaddr_storage at;
    socklen_t len = to_sockaddr("::", port, &at);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, protocol), on = 1, off = 0;

    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 4096) != 0)
        give_up("scripted peer: %s", strerror(errno));
    return fd;
}

struct peer script_start(const char *script, uint16_t port) {
    static uint16_t next = 12000;
    struct peer p = { .port = port ? port : next++ };
    const bool multipath = *script == 'm';
    int listener = listen_at(p.port, multipath ? IPPROTO_MPTCP : 0);

    fflush(NULL);
    p.pid = fork();
    if (p.pid < 0)
        give_up("fork: %s", strerror(errno));
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
            follow(fd, script + multipath);
        _exit(0);
    }
    close(listener);
    return p;
}

void script_client(const char *script, uint16_t port, unsigned n) {
    struct sockaddr_storage to, from;
    socklen_t len = to_sockaddr("127.0.0.1", port, &to);
    const bool multipath = *script == 'm';

    cr_assert_lt(n, 40000);
    for (unsigned i = 0; i < n; i++) {
        /* From a port that it uses once: the SYN of a second time would end the TIME_WAIT of the accepting side. */
        to_sockaddr("127.0.0.1", (uint16_t)(20000 + i), &from);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, multipath ? IPPROTO_MPTCP : 0);
        /* A server that closes at once with a reset (rst; ack too, if its RST is quick) may be done before connect is:
         * there was a connection all the same. */
        if (fd < 0 || bind(fd, (struct sockaddr *)&from, len) != 0 ||
            (connect(fd, (struct sockaddr *)&to, len) != 0 && errno != ECONNRESET && errno != EPIPE))
            give_up("scripted client: %s", strerror(errno));
        follow(fd, script + multipath);
    }
}
