/* Connections from the test itself: towards server-side victims, and to fill a port range for others. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

const struct family families[FAMILIES] = {
    { "IPv4", "127.0.0.1", "127.0.0.1" },
    { "IPv6", "::1", "::1" },
    { "v4-mapped", "::", "::ffff:127.0.0.1" },
};

enum { CYCLE = 251, CHUNK = 64 * 1024 };

static bool send_bytes(int fd, size_t n) {
    unsigned char byte[CYCLE];

    for (size_t i = 0; i < CYCLE; i++)
        byte[i] = (unsigned char)i;
    for (size_t sent = 0; sent < n;) {
        size_t now = n - sent < CYCLE ? n - sent : CYCLE;
        if (send(fd, byte, now, MSG_NOSIGNAL) != (ssize_t)now)
            return false;
        sent += now;
    }
    return true;
}

/* Reads to the end. 0: clean EOF and every byte as it should be; else an errno. */
static int read_all(int fd, uint64_t *bytes) {
    static unsigned char chunk[CHUNK];
    uint64_t at = 0;
    ssize_t n;

    while ((n = recv(fd, chunk, CHUNK, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (chunk[i] != (at + (uint64_t)i) % CYCLE)
                return EBADMSG;
        at += (uint64_t)n;
        *bytes += (uint64_t)n;
    }
    return n == 0 ? 0 : errno;
}

static void note(struct client_result *r, int error) {
    if (!r->error)
        r->error = error;
}

static int open_one(const struct client_options *o, struct client_result *r) {
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr(o->address ? o->address : "127.0.0.1", o->port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0) {
        note(r, errno);
        return fd;
    }
    r->connected++;
    if (o->send && !send_bytes(fd, o->send))
        note(r, errno);
    return fd;
}

static void finish_one(const struct client_options *o, int fd, struct client_result *r) {
    int error = o->closes_first ? 0 : read_all(fd, &r->bytes);

    note(r, error);
    r->clean += error == 0;
    if (fd >= 0)
        close(fd);
}

struct client_result client_run(const struct client_options *o) {
    struct client_result r = { 0 };
    int *fds = malloc((o->n + 1) * sizeof *fds);

    for (unsigned i = 0; i < o->n; i++) {
        fds[i] = open_one(o, &r);
        if (!o->together)
            finish_one(o, fds[i], &r);
    }
    for (unsigned i = 0; i < o->n && o->together; i++)
        finish_one(o, fds[i], &r);
    free(fds);
    return r;
}

void fill_time_wait(const char *address, uint16_t port, unsigned low, unsigned high) {
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr(address, port, &to);

    for (unsigned p = low; p <= high; p++) {
        unsigned window = p << 16 | p;
        int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &window, sizeof window) != 0)
            cr_skip_test("IP_LOCAL_PORT_RANGE: %s (Linux 6.3 has it)", strerror(errno));
        if (connect(fd, (struct sockaddr *)&to, len) != 0)
            give_up("filling port %u: %s", p, strerror(errno));
        close(fd);
    }
}
