/* What the victims share: plain socket programs that know nothing of the library and of the tests. Each prints
 * lines of "name value", and ends with 0 where all went well. What they send is byte i = i % 251. */
#ifndef VICTIM_H
#define VICTIM_H

#include "libc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static inline void say(const char *name, const char *value) {
    printf("%s %s\n", name, value);
    fflush(stdout);
}

static inline void say_number(const char *name, long long value) {
    printf("%s %lld\n", name, value);
    fflush(stdout);
}

/* The outcome of a call: 0, or the name of its errno. */
static inline void say_result(const char *name, int result) {
    say(name, result < 0 ? error_name(errno) : "0");
}

static inline socklen_t address_of(const char *text, const char *port, struct sockaddr_storage *out) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)atoi(port));
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
        fprintf(stderr, "no address: %s\n", text);
        exit(2);
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)atoi(port));
    return sizeof *v6;
}

static inline unsigned port_of(int fd) {
    struct sockaddr_storage name = { 0 };
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return 0;
    return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

static inline bool wait_until(int fd, short events) {
    struct pollfd p = { .fd = fd, .events = events };
    return poll(&p, 1, -1) == 1;
}

/* True once all are handed to the kernel, on blocking and non-blocking sockets. */
static inline bool send_payload(int fd, size_t n) {
    static unsigned char cycle[251 * 256];
    size_t sent = 0;

    for (size_t i = 0; i < sizeof cycle; i++)
        cycle[i] = (unsigned char)(i % 251);
    while (sent < n) {
        size_t at = sent % 251, room = sizeof cycle - at;
        ssize_t now = send(fd, cycle + at, n - sent < room ? n - sent : room, MSG_NOSIGNAL);
        if (now < 0 && errno == EAGAIN && wait_until(fd, POLLOUT))
            continue;
        if (now < 0)
            return false;
        sent += (size_t)now;
    }
    return true;
}

/* Read n bytes, or to EOF with n = SIZE_MAX. */
static inline bool read_bytes(int fd, size_t n) {
    char chunk[4096];

    while (n > 0) {
        ssize_t now = recv(fd, chunk, n < sizeof chunk ? n : sizeof chunk, 0);
        if (now < 0 && errno == EAGAIN && wait_until(fd, POLLIN))
            continue;
        if (now <= 0)
            return now == 0 && n > SIZE_MAX / 2;
        n -= (size_t)now;
    }
    return true;
}

/* connect, and on a non-blocking socket wait for its outcome as poll(2) programs do. */
static inline int connect_wait(int fd, const struct sockaddr_storage *to, socklen_t len) {
    int error = 0;
    socklen_t size = sizeof error;

    if (connect(fd, (const struct sockaddr *)to, len) == 0)
        return 0;
    if (errno != EINPROGRESS || !wait_until(fd, POLLOUT))
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -1;
    errno = error;
    return error ? -1 : 0;
}

/* An option as on the command line: "linger:ONOFF:SECONDS", "NAME:NUMBER". Says how the call went. */
static inline void set_option(int fd, const char *text) {
    static const struct {
        const char *name;
        int level, option;
    } names[] = {
        { "linger2", IPPROTO_TCP, TCP_LINGER2 },           { "reuseaddr", SOL_SOCKET, SO_REUSEADDR },
        { "keepalive", SOL_SOCKET, SO_KEEPALIVE },         { "keepidle", IPPROTO_TCP, TCP_KEEPIDLE },
        { "user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT }, { "syncnt", IPPROTO_TCP, TCP_SYNCNT },
        { "port_range", IPPROTO_IP, IP_LOCAL_PORT_RANGE }, { "bind_no_port", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
    };
    struct linger linger;
    int number = 0;

    if (sscanf(text, "linger:%d:%d", &linger.l_onoff, &linger.l_linger) == 2) {
        say_result("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i].name);
        if (strncmp(text, names[i].name, len) != 0 || text[len] != ':')
            continue;
        number = (int)strtoll(text + len + 1, NULL, 0);
        say_result("set", setsockopt(fd, names[i].level, names[i].option, &number, sizeof number));
    }
}

/* Leave the process in the way named. */
static inline int leave(const char *how) {
    if (strcmp(how, "exit") == 0)
        exit(0);
    if (strcmp(how, "_exit") == 0)
        _exit(0);
    if (strcmp(how, "_Exit") == 0)
        _Exit(0);
    if (strcmp(how, "quick_exit") == 0)
        quick_exit(0);
    if (strcmp(how, "sigkill") == 0)
        raise(SIGKILL);
    if (strcmp(how, "exec") == 0)
        execlp("true", "true", (char *)NULL);
    return strcmp(how, "return") != 0;
}

#endif
