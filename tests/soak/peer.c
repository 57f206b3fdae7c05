/* Servers that read to the end before they close, and so never leave a TIME_WAIT; they reset where they are asked
 * to by a byte 'r'. Each connection is booked by the address that it came to. */
#include "tests/harness/harness.h"
#include "tests/soak/soak.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, ROOM = 1 << 16 };

static struct soak_thread *whose[ROOM]; /* by descriptor */

static void end(struct soak_book *book, int fd, bool in_order) {
    struct soak_thread *thread = whose[fd];

    close(fd);
    ++*(in_order ? &thread->ended : &thread->reset);
    book->done++;
}

/* The client may have been killed while it waited for the reset: then its FIN is here, and it is too late. */
static bool has_ended(int fd) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == ST_CLOSE_WAIT;
}

/* False: there is nothing to read yet. */
static bool read_one(struct soak_book *book, int fd) {
    struct linger abort = { 1, 0 };
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n == 1 && !has_ended(fd)) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        end(book, fd, false);
    } else {
        end(book, fd, n >= 0);
    }
    return true;
}

static void accept_one(struct soak_book *book, int listener, int poll) {
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    uint32_t node, thread;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0 || !soak_whose(at.sin_addr, &node, &thread) ||
        thread >= SOAK_THREADS || fd >= ROOM)
        abort();
    whose[fd] = &book->node[node].thread[thread];
    whose[fd]->seen++;
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (!read_one(book, fd))
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

__attribute__((noreturn)) static void serve(struct soak_book *book, int listener) {
    struct epoll_event events[EVENTS] = { { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener } };
    int poll = epoll_create1(EPOLL_CLOEXEC);

    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int n = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_one(book, listener, poll);
            else
                read_one(book, events[i].data.fd);
        }
    }
}

void soak_peers_start(struct soak_book *book, unsigned n) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(SOAK_PORT) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 65535) != 0)
        give_up("peers: %s", strerror(errno));
    const pid_t runner = getpid();
    fflush(NULL);
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != runner)
                _exit(0);
            serve(book, fd);
        }
        if (pid < 0)
            give_up("fork: %s", strerror(errno));
    }
    close(fd);
}
