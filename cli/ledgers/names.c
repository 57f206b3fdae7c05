/* See names.h. */
#include "cli/ledgers/names.h"

#include <stdio.h>
#include <string.h>

const char *af_call_name(uint32_t call) {
    static const char *const names[AF_CALLS] = {
        [AF_CALL_socket] = "socket",   [AF_CALL_bind] = "bind",     [AF_CALL_listen] = "listen",
        [AF_CALL_connect] = "connect", [AF_CALL_accept] = "accept",
    };
    return call < AF_CALLS ? names[call] : "unknown";
}

const char *af_errno_name(uint32_t error) {
    const char *name = error ? strerrorname_np((int)error) : NULL;
    return name ? name : "unknown";
}

const char *af_fate_name(enum af_fate fate) {
    static const char *const names[] = {
        [AF_FATE_EXIT] = "exit",
        [AF_FATE_SIGNAL] = "signal",
        [AF_FATE_EXEC] = "exec",
        [AF_FATE_RUNNING] = "running",
    };
    return names[fate];
}

void af_endpoint_text(const struct af_endpoint *endpoint, char out[AF_ADDR_TEXT]) {
    if (endpoint->accepted)
        snprintf(out, AF_ADDR_TEXT, ":%u", endpoint->addr.port);
    else
        af_addr_text(&endpoint->addr, out);
}
