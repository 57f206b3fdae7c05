/* N connections at once towards a port from which nothing comes: never any answer, or none from a signal on, for
 * which it asks with "ready". Each comes to its end in the way named.
 *
 * cut_off WAY ADDRESS PORT N */
#include "way.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>

static union {
    struct sockaddr_storage storage;
    struct sockaddr any;
} to;
static socklen_t to_len;
static int fds[4096], n;

static void option(int fd, int level, int name, int value) {
    MUST(setsockopt(fd, level, name, &value, sizeof value) == 0);
}
static int error_of(int fd) {
    int error = -1;
    socklen_t size = sizeof error;
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    return error;
}
static int unconnected(void) {
    int fd = socket(to.storage.ss_family, SOCK_STREAM, 0);
    MUST(fd >= 0);
    return fd;
}

/* TCP_USER_TIMEOUT holds for the SYN too, but the kernel looks only when that is due again, after a second. */
static int impatient(void) {
    int fd = unconnected();
    option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 100);
    return fd;
}

static void begin(int fd) {
    int on = 1;
    MUST(ioctl(fd, FIONBIO, &on) == 0);
    MUST(connect(fd, &to.any, to_len) == -1 && errno == EINPROGRESS);
}

static void close_all(void) {
    for (int i = 0; i < n; i++)
        MUST(close(fds[i]) == 0);
}

/* ---- never any answer ------------------------------------------------------------------------------- */

/* Closed while it waits for one. */
static void giving_up(void) {
    for (int i = 0; i < n; i++) {
        begin(fds[i] = unconnected());
        MUST(connect(fds[i], &to.any, to_len) == -1 && errno == EALREADY);
    }
    close_all();
}

static void nothing(int number) {
    (void)number;
}

static void interrupted(void) {
    struct sigaction action = { .sa_handler = nothing };
    struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };

    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < n; i++) {
        fds[i] = unconnected();
        setitimer(ITIMER_REAL, &often, NULL);
        MUST(connect(fds[i], &to.any, to_len) == -1 && errno == EINTR);
        setitimer(ITIMER_REAL, &never, NULL);
    }
    close_all();
}

static void *connects(void *fd) {
    MUST(connect(*(int *)fd, &to.any, to_len) == -1 && errno == ETIMEDOUT);
    return NULL;
}
static void *sends(void *fd) {
    MUST(sendto(*(int *)fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &to.any, to_len) == -1 && errno == ETIMEDOUT);
    return NULL;
}

/* A thread for each, since each of them waits. */
static void all_wait(void *(*run)(void *)) {
    static pthread_t threads[sizeof fds / sizeof *fds];

    for (int i = 0; i < n; i++) {
        fds[i] = impatient();
        MUST(pthread_create(&threads[i], NULL, run, &fds[i]) == 0);
    }
    for (int i = 0; i < n; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    close_all();
}
static void timeout(void) {
    all_wait(connects);
}
static void timeout_sendto(void) {
    all_wait(sends);
}

static void begin_all(void) {
    for (int i = 0; i < n; i++)
        begin(fds[i] = impatient());
    for (int i = 0; i < n; i++)
        MUST(wait_until(fds[i], POLLOUT));
}
static void timeout_unlooked(void) {
    begin_all();
    close_all();
}
static void timeout_and_looking(void) {
    begin_all();
    for (int i = 0; i < n; i++)
        MUST(error_of(fds[i]) == ETIMEDOUT && error_of(fds[i]) == 0);
    close_all();
}
static void timeout_and_sending(void) {
    begin_all();
    for (int i = 0; i < n; i++)
        MUST(send(fds[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == ETIMEDOUT);
    close_all();
}

/* ---- none any more ---------------------------------------------------------------------------------- */

static void connect_all(void) {
    for (int i = 0; i < n; i++) {
        fds[i] = unconnected();
        MUST(connect(fds[i], &to.any, to_len) == 0);
    }
}

static void await_errors(void) {
    for (int i = 0; i < n; i++) {
        struct pollfd p = { .fd = fds[i] };
        MUST(poll(&p, 1, -1) == 1 && p.revents & POLLERR);
    }
}

/* What is sent is not acknowledged in time. */
static void send_in_vain(bool and_shut) {
    connect_all();
    await_signal();
    for (int i = 0; i < n; i++) {
        option(fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT, 50);
        MUST(send(fds[i], "x", 1, MSG_NOSIGNAL) == 1);
        MUST(!and_shut || shutdown(fds[i], SHUT_WR) == 0);
    }
    await_errors();
}
static void timed_out(void) {
    send_in_vain(false);
    close_all();
}
static void timed_out_after_shut(void) {
    send_in_vain(true);
    close_all();
}
static void timed_out_and_read(void) {
    send_in_vain(false);
    for (int i = 0; i < n; i++)
        MUST(recv(fds[i], &(char){ 0 }, 1, 0) == -1 && errno == ETIMEDOUT);
    close_all();
}
static void timed_out_and_looked_at(void) {
    send_in_vain(false);
    for (int i = 0; i < n; i++)
        MUST(error_of(fds[i]) == ETIMEDOUT);
    close_all();
}
/* The peer is gone, and only keepalive finds out. */
static void timed_out_idle(void) {
    connect_all();
    for (int i = 0; i < n; i++) {
        option(fds[i], SOL_SOCKET, SO_KEEPALIVE, 1);
        option(fds[i], IPPROTO_TCP, TCP_KEEPIDLE, 1);
        option(fds[i], IPPROTO_TCP, TCP_KEEPINTVL, 1);
        option(fds[i], IPPROTO_TCP, TCP_KEEPCNT, 1);
    }
    await_signal();
    await_errors();
    close_all();
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    { "giving_up", giving_up },
    { "interrupted", interrupted },
    { "timeout", timeout },
    { "timeout_sendto", timeout_sendto },
    { "timeout_unlooked", timeout_unlooked },
    { "timeout_and_looking", timeout_and_looking },
    { "timeout_and_sending", timeout_and_sending },
    { "timed_out", timed_out },
    { "timed_out_after_shut", timed_out_after_shut },
    { "timed_out_and_read", timed_out_and_read },
    { "timed_out_and_looked_at", timed_out_and_looked_at },
    { "timed_out_idle", timed_out_idle },
};

int main(int argc, char **argv) {
    if (argc != 5 || (n = atoi(argv[4])) > (int)(sizeof fds / sizeof *fds))
        return 2;
    to_len = address_of(argv[2], argv[3], &to.storage);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].name, argv[1]) == 0) {
            ways[i].run();
            return 0;
        }
    return 2;
}
