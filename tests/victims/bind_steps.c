/* Calls on one socket in the order asked for, the outcome of each said.
 *
 * bind_steps ADDRESS STEP...
 * bind (port 0), bind:PORT, bind:short and bind:family (bad ones), bind@ADDRESS (port 0), unspec:PORT (to 0.0.0.0 of
 * AF_UNSPEC), resvport (bindresvport), name (getsockname),
 * listen, serve (accept one and read it to its end), connect:PORT, connect:PORT@ADDRESS, v6only (set it), reuse,
 * freebind, device (lo's), address (what getsockname says of it), reuse?, v6only? and no_port? (what they read), nonblock,
 * wait (until connect is done, and its SO_ERROR), unspec (connect to AF_UNSPEC) */
#include "victim.h"

static const char *address;
static unsigned last_port;

static void step_bind(int fd, const char *how) {
    struct sockaddr_storage at;
    socklen_t len = address_of(*how == '@' ? how + 1 : address, *how == ':' ? how + 1 : "0", &at);

    if (strcmp(how, ":short") == 0)
        len = 8;
    if (strcmp(how, ":family") == 0)
        at.ss_family = AF_APPLETALK;
    say_result("bind", bind(fd, (struct sockaddr *)&at, len));
}

static void step_bind_unspec(int fd, const char *port) {
    struct sockaddr_in at = { .sin_family = AF_UNSPEC, .sin_port = htons((uint16_t)atoi(port)) };

    say_result("bind", bind(fd, (struct sockaddr *)&at, sizeof at));
}

/* The number itself differs from run to run. */
static void step_name(int fd) {
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at;
    int result = getsockname(fd, (struct sockaddr *)&at, &len);
    unsigned port = ntohs(((struct sockaddr_in *)&at)->sin_port);

    say_result("name", result);
    if (result != 0)
        return;
    say("port", port == 0 ? "zero" : port == last_port ? "same" : "new");
    last_port = port;
}

static void step_serve(int listener) {
    say_number("serving", (long)port_of(listener));
    int fd = accept(listener, NULL, NULL);
    say("served", read_bytes(fd, SIZE_MAX) ? "0" : error_name(errno));
    close(fd);
}

static void step_connect(int fd, const char *how) {
    struct sockaddr_storage to;
    char port[8];
    const size_t digits = strspn(how, "0123456789");

    snprintf(port, sizeof port, "%.*s", (int)digits, how);
    const socklen_t len = address_of(how[digits] == '@' ? how + digits + 1 : address, port, &to);
    say_result("connect", connect(fd, (struct sockaddr *)&to, len));
}

static void step_address(int fd) {
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at;
    char text[64];

    getsockname(fd, (struct sockaddr *)&at, &len);
    say("address", inet_ntop(at.ss_family,
                             at.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&at)->sin6_addr
                                                      : (void *)&((struct sockaddr_in *)&at)->sin_addr,
                             text, sizeof text));
}

static void step_read(int fd, const char *name, int level, int option) {
    int value = -1;
    socklen_t size = sizeof value;

    getsockopt(fd, level, option, &value, &size);
    say_number(name, value);
}

static void step(int fd, const char *what) {
    int on = 1;

    if (strncmp(what, "bind", 4) == 0)
        step_bind(fd, what + 4);
    else if (strncmp(what, "unspec:", 7) == 0)
        step_bind_unspec(fd, what + 7);
    else if (strcmp(what, "resvport") == 0)
        say_result("resvport", bindresvport(fd, NULL));
    else if (strcmp(what, "name") == 0)
        step_name(fd);
    else if (strcmp(what, "listen") == 0)
        say_result("listen", listen(fd, 16));
    else if (strcmp(what, "serve") == 0)
        step_serve(fd);
    else if (strcmp(what, "v6only") == 0)
        say_result("v6only", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    else if (strcmp(what, "reuse") == 0)
        say_result("reuse", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    else if (strncmp(what, "connect:", 8) == 0)
        step_connect(fd, what + 8);
    else if (strcmp(what, "freebind") == 0)
        say_result("freebind", setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on));
    else if (strcmp(what, "device") == 0)
        say_result("device", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    else if (strcmp(what, "address") == 0)
        step_address(fd);
    else if (strcmp(what, "reuse?") == 0)
        step_read(fd, "reuse", SOL_SOCKET, SO_REUSEADDR);
    else if (strcmp(what, "v6only?") == 0)
        step_read(fd, "v6only", IPPROTO_IPV6, IPV6_V6ONLY);
    else if (strcmp(what, "no_port?") == 0)
        step_read(fd, "no_port", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    else if (strcmp(what, "nonblock") == 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    else if (strcmp(what, "wait") == 0 && wait_until(fd, POLLOUT))
        step_read(fd, "error", SOL_SOCKET, SO_ERROR);
    else if (strcmp(what, "unspec") == 0)
        say_result("unspec", connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    else
        exit(2);
}

int main(int argc, char **argv) {
    struct sockaddr_storage any;

    if (argc < 3)
        return 2;
    address = argv[1];
    address_of(address, "0", &any);
    int fd = socket(any.ss_family, SOCK_STREAM, 0);
    for (int i = 2; i < argc; i++)
        step(fd, argv[i]);
    return close(fd) != 0;
}
