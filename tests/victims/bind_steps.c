/* Calls on one socket in the order asked for, the outcome of each said.
 *
 * bind_steps ADDRESS STEP...
 * bind (port 0), bind:PORT, bind:short and bind:family (bad ones), bind@ADDRESS (port 0), name (getsockname),
 * listen, serve (accept one and read it to its end), connect:PORT (to ADDRESS), v6only (set it), reuse */
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

static void step(int fd, const char *what) {
    int on = 1;
    struct sockaddr_storage to;

    if (strncmp(what, "bind", 4) == 0)
        step_bind(fd, what + 4);
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
        say_result("connect", connect(fd, (struct sockaddr *)&to, address_of(address, what + 8, &to)));
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
