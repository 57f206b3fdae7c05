/* report --prometheus --listen: /metrics over HTTP, until SIGTERM or SIGINT.
 *
 * One thread. Whoever is slow is waited for with the others, for a bounded time and in a bounded number of places; where
 * these are taken the one that has been there longest gives its up, so that a new one always gets in. */
#include "cli/report/listen.h"
#include "cli/output/say.h"
#include "policy/policy.h"
#include "cli/report/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST = 128,         /* connections, one request each */
    MOST_S = 10,        /* from its accept to the end of the answer */
    ROOM = 32 * 1024,   /* of each in the kernel, for what is not read yet */
    REQUEST = 8 * 1024, /* and here, for what it asks */
    FRESH_MS = 1000,    /* an answer does for all that ask within a second */
    QUEUE = 128,
};

struct place {
    int fd; /* -1: free */
    int64_t since_ms;
};

struct server {
    struct af_http http;
    const struct af_listen *listen;
    struct place places[MOST];
    struct MHD_Response *metrics; /* NULL: could not be had */
    int64_t at_ms;                /* when it was made */
};

static volatile sig_atomic_t asked_to_end;

static void on_signal(int signal) {
    (void)signal;
    asked_to_end = 1;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- who is there ----------------------------------------------------------------------------------------------- */

/* The server sees an end of it, and closes; what it has not read yet goes. */
static void end(const struct place *place) {
    const struct linger at_once = { .l_onoff = 1 };
    setsockopt(place->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(place->fd, SHUT_RDWR);
}

static void end_the_late(struct server *s) {
    const int64_t now = now_ms();
    for (struct place *p = s->places; p < s->places + MOST; p++)
        if (p->fd >= 0 && now - p->since_ms > MOST_S * 1000)
            end(p);
}

/* A place for a new one, and one more that will be free by the next time. */
static struct place *take_place(struct server *s) {
    struct place *taken = NULL, *longest = NULL;
    unsigned n_free = 0;
    for (struct place *p = s->places; p < s->places + MOST; p++) {
        if (p->fd < 0) {
            taken = p;
            n_free++;
        } else if (!longest || p->since_ms < longest->since_ms) {
            longest = p;
        }
    }
    if (n_free < 2 && longest)
        end(longest);
    return taken;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_ConnectionNotificationCode what) {
    struct server *s = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = s->http.get_connection_info(connection,
                                                                           MHD_CONNECTION_INFO_CONNECTION_FD);
        struct place *place = take_place(s);
        const int room = ROOM;
        *own = place;
        setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        if (place)
            *place = (struct place){ .fd = info->connect_fd, .since_ms = now_ms() };
        else
            shutdown(info->connect_fd, SHUT_RDWR);
    } else if (*own) {
        ((struct place *)*own)->fd = -1;
    }
}

/* ---- what they get ---------------------------------------------------------------------------------------------- */

static void refresh(struct server *s) {
    if (s->metrics && now_ms() - s->at_ms < FRESH_MS)
        return;
    if (s->metrics)
        s->http.destroy_response(s->metrics); /* it goes with the last that reads it */
    char *text = s->listen->metrics(s->listen->context);
    s->metrics = text ? s->http.create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (s->metrics) {
        s->http.add_response_header(s->metrics, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        s->http.add_response_header(s->metrics, "Connection", "close");
    }
    s->at_ms = now_ms();
}

static enum MHD_Result say(struct server *s, struct MHD_Connection *connection, unsigned status, const char *text) {
    char copy[64];
    snprintf(copy, sizeof copy, "%s\n", text);
    struct MHD_Response *response = s->http.create_response_from_buffer(strlen(copy), copy, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        s->http.add_response_header(response, "Allow", "GET, HEAD");
    s->http.add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    s->http.add_response_header(response, "Connection", "close");
    const enum MHD_Result result = s->http.queue_response(connection, status, response);
    s->http.destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body, size_t *body_size,
                                  void **own) {
    struct server *s = context;
    (void)version;
    (void)body;
    (void)body_size;
    (void)own;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return say(s, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only");
    if (strcmp(path, "/metrics") != 0)
        return say(s, connection, MHD_HTTP_NOT_FOUND, "there is only /metrics");
    refresh(s);
    if (!s->metrics)
        return say(s, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the metrics cannot be had now");
    return s->http.queue_response(connection, MHD_HTTP_OK, s->metrics);
}

/* ---- where ------------------------------------------------------------------------------------------------------ */

bool af_listen_parse(const char *text, struct af_listen *listen) {
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    char address[64], *end_of_port;
    const char *colon = strrchr(text, ':');
    const size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len >= sizeof address || colon[1] < '0' || colon[1] > '9')
        return false;
    const unsigned long port = strtoul(colon + 1, &end_of_port, 10);
    const bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    snprintf(address, sizeof address, "%.*s", (int)(bracketed ? len - 2 : len), text + bracketed);
    if (*end_of_port || port > 65535)
        return false;
    v4.sin_port = v6.sin6_port = htons((uint16_t)port);
    listen->size = bracketed ? sizeof v6 : sizeof v4;
    memcpy(&listen->at, bracketed ? (void *)&v6 : (void *)&v4, listen->size);
    if (bracketed)
        return inet_pton(AF_INET6, address, &((struct sockaddr_in6 *)&listen->at)->sin6_addr) == 1;
    return !len || inet_pton(AF_INET, address, &((struct sockaddr_in *)&listen->at)->sin_addr) == 1;
}

static int open_socket(const struct af_listen *l) {
    const int on = 1;
    int fd = socket(l->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&l->at, l->size) == 0 && listen(fd, QUEUE) == 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void tell_where(int fd) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    struct af_addr addr;
    char text[AF_ADDR_TEXT];
    if (getsockname(fd, (struct sockaddr *)&at, &size) == 0 && af_addr_from((struct sockaddr *)&at, size, &addr)) {
        af_addr_text(&addr, text);
        af_tell("report: http://%s/metrics", text);
    }
}

/* ---- until it is ended ------------------------------------------------------------------------------------------- */

static struct MHD_Daemon *start(struct server *s, int fd) {
    return s->http.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
                                MHD_OPTION_CONNECTION_LIMIT, (unsigned)MOST, MHD_OPTION_CONNECTION_TIMEOUT,
                                (unsigned)MOST_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST,
                                MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
}

static void ignore(const char *line) {
    (void)line;
}

bool af_listen(const struct af_listen *listen) {
    static struct server s;
    const struct sigaction ends = { .sa_handler = on_signal };
    s.listen = listen;
    for (size_t i = 0; i < MOST; i++)
        s.places[i].fd = -1;
    if (!af_http_load(&s.http))
        return false;
    const int fd = open_socket(listen);
    struct MHD_Daemon *daemon = fd < 0 ? NULL : start(&s, fd);
    if (!daemon) {
        af_tell("report: --listen: %s", fd < 0 ? strerror(errno) : "the server does not start");
        return false;
    }
    sigaction(SIGTERM, &ends, NULL);
    sigaction(SIGINT, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    refresh(&s); /* what is wrong with the ledgers is said once, now */
    tell_where(fd);
    af_tell_to(ignore);
    while (!asked_to_end) {
        s.http.run_wait(daemon, 1000);
        end_the_late(&s);
    }
    af_tell_to(NULL);
    s.http.stop_daemon(daemon);
    if (s.metrics)
        s.http.destroy_response(s.metrics);
    return true;
}
