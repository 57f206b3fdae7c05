/* A server in a process of its own that records what each connection brought and how it ended. */
#include "tests/harness/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CYCLE = 251, CHUNK = 64 * 1024, EVENTS = 256 };

/* The server's own state, in its process. */
struct server {
    struct peer_options options;
    struct peer_book *book;
    int listener, poll;
    unsigned char chunk[CHUNK];
};

/* What epoll carries for a connection. */
union tag {
    uint64_t u64;
    struct {
        uint32_t fd, index;
    };
};
static const uint32_t LISTENER = UINT32_MAX;

socklen_t to_sockaddr(const char *address, uint16_t port, struct sockaddr_storage *out) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
        give_up("no address: %s", address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
}

static void watch(struct server *s, int op, int fd, uint32_t index, uint32_t events) {
    union tag tag = { .fd = (uint32_t)fd, .index = index };
    struct epoll_event event = { .events = events, .data.u64 = tag.u64 };
    epoll_ctl(s->poll, op, fd, &event);
}

/* Sent in one blocking go: answers are small. True: this connection is done with. */
static bool answer(struct server *s, int fd) {
    unsigned char byte[CYCLE];

    for (size_t sent = 0; sent < s->options.answer;) {
        size_t n = s->options.answer - sent;
        if (n > CYCLE)
            n = CYCLE;
        for (size_t i = 0; i < n; i++)
            byte[i] = (unsigned char)((sent + i) % CYCLE);
        if (send(fd, byte, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        sent += n;
    }
    return s->options.closes_first;
}

static void end(struct server *s, int fd, uint32_t index, int error) {
    struct peer_conn *conn = &s->book->conn[index];

    conn->error = error;
    conn->ended = 1;
    epoll_ctl(s->poll, EPOLL_CTL_DEL, fd, NULL);
    /* Closed before it is reported: who waits for the end may then look at the kernel's books. */
    if (!s->options.holds)
        close(fd);
    s->book->ended++;
}

static uint16_t port_of(const struct sockaddr_storage *address) {
    return ntohs(((const struct sockaddr_in *)address)->sin_port); /* at the same place in sockaddr_in6 */
}

static void accept_one(struct server *s) {
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    int fd = accept4(s->listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
    unsigned index = s->book->accepted;

    if (fd < 0 || index >= PEER_ROOM)
        return;
    s->book->conn[index].from = port_of(&from);
    s->book->accepted++;
    if (s->options.answer_after == 0 && answer(s, fd)) {
        end(s, fd, index, 0);
        return;
    }
    if (!s->options.waits) /* else picked up by release() */
        watch(s, EPOLL_CTL_ADD, fd, index, EPOLLIN);
}

static void record(struct server *s, struct peer_conn *conn, ssize_t n) {
    for (ssize_t i = 0; i < n && !s->options.raw; i++)
        conn->wrong |= s->chunk[i] != (conn->bytes + (uint64_t)i) % CYCLE;
    conn->bytes += (uint64_t)n;
}

static void read_one(struct server *s, int fd, uint32_t index) {
    struct peer_conn *conn = &s->book->conn[index];
    ssize_t n = recv(fd, s->chunk, CHUNK, MSG_DONTWAIT);
    uint64_t before = conn->bytes, after = s->options.answer_after;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end(s, fd, index, n == 0 ? 0 : errno);
        return;
    }
    record(s, conn, n);
    if (after && before < after && conn->bytes >= after && answer(s, fd))
        end(s, fd, index, 0);
}

/* Its descriptors are consecutive from here: nothing was closed while it waited. */
static void release(struct server *s) {
    int fd = s->poll + 1;

    s->options.waits = false;
    for (unsigned i = 0; i < s->book->accepted; i++)
        watch(s, EPOLL_CTL_ADD, fd++, i, EPOLLIN);
}

static void serve(struct server *s) {
    struct epoll_event events[EVENTS];

    s->poll = epoll_create1(EPOLL_CLOEXEC);
    watch(s, EPOLL_CTL_ADD, s->listener, LISTENER, EPOLLIN);
    for (;;) {
        int n = epoll_wait(s->poll, events, EVENTS, s->options.waits ? 10 : -1);
        for (int i = 0; i < n; i++) {
            union tag tag = { .u64 = events[i].data.u64 };
            if (tag.index == LISTENER)
                accept_one(s);
            else
                read_one(s, (int)tag.fd, tag.index);
        }
        if (s->options.waits && s->book->released)
            release(s);
    }
}

/* Ports that nobody chose lie outside every range that a test gives to its victims. */
static int listen_on(const struct peer_options *options, uint16_t *port) {
    static uint16_t next = 10000;
    struct sockaddr_storage address;
    *port = options->port ? options->port : next++;
    socklen_t len = to_sockaddr(options->address ? options->address : "127.0.0.1", *port, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0, on = 1;

    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0)
        give_up("peer: %s", strerror(errno));
    return fd;
}

struct peer peer_start(const struct peer_options *options) {
    static struct server server;
    struct peer p = { 0 };

    server.options = *options;
    server.listener = listen_on(options, &p.port);
    p.book = mmap(NULL, sizeof *p.book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.book == MAP_FAILED)
        give_up("peer: %s", strerror(errno));
    server.book = p.book;
    fflush(NULL);
    p.pid = fork();
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Only the listener: release() counts on the numbers that follow. */
        dup2(server.listener, 3);
        server.listener = 3;
        close_range(4, ~0u, 0);
        serve(&server);
        _exit(0);
    }
    if (p.pid < 0)
        give_up("fork: %s", strerror(errno));
    close(server.listener);
    return p;
}

void peer_release(struct peer *p) {
    p->book->released = 1;
}

void peer_stop(struct peer *p) {
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
}

static void wait_for(const struct peer *p, const _Atomic unsigned *count, unsigned n, const char *what) {
    time_t deadline = time(NULL) + 90;

    while (*count < n) {
        cr_assert(time(NULL) < deadline, "peer: %u of %u %s (accepted %u)", *count, n, what, p->book->accepted);
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
}

void peer_wait_accepted(struct peer *p, unsigned n) {
    wait_for(p, &p->book->accepted, n, "accepted");
}

void peer_wait_ended(struct peer *p, unsigned n) {
    wait_for(p, &p->book->ended, n, "ended");
}

unsigned peer_count(const struct peer *p, unsigned since, int error) {
    unsigned found = 0;

    for (unsigned i = since; i < p->book->accepted; i++)
        found += p->book->conn[i].ended && p->book->conn[i].error == error;
    return found;
}

void peer_expect_clean(struct peer *p, unsigned since, unsigned n, uint64_t bytes, const char *what) {
    peer_wait_ended(p, since + n);
    cr_assert_eq(p->book->accepted, since + n, "%s: %u connections, not %u", what, p->book->accepted - since, n);
    for (unsigned i = since; i < since + n; i++) {
        const struct peer_conn *conn = &p->book->conn[i];
        cr_assert_eq(conn->error, 0, "%s: connection %u ended in %s", what, i - since, strerror(conn->error));
        cr_assert_eq(conn->bytes, bytes, "%s: connection %u brought %ju bytes of %ju", what, i - since,
                     (uintmax_t)conn->bytes, (uintmax_t)bytes);
        cr_assert(!conn->wrong, "%s: connection %u brought wrong bytes", what, i - since);
    }
}
