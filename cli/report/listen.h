/* report --prometheus --listen: the metrics over HTTP. */
#ifndef AFTERFIN_CLI_REPORT_LISTEN_H
#define AFTERFIN_CLI_REPORT_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

struct af_listen {
    struct sockaddr_storage at;
    socklen_t size;
    char *(*metrics)(void *context); /* as they are now, from malloc; NULL: they cannot be had */
    void *context;
};

/* "127.0.0.1:9642", "[::1]:9642", ":9642" (127.0.0.1). False: it is none of these. */
bool af_listen_parse(const char *text, struct af_listen *listen);

/* Serve them until SIGTERM or SIGINT; where, is said on stderr. False: it has been said why it did not begin. */
bool af_listen(const struct af_listen *listen);

#endif
