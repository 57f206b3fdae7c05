/* See names.h. */
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *af_call_name(uint32_t call) {
    static const char *const names[AF_CALLS] = {
        [AF_CALL_socket] = "socket",   [AF_CALL_bind] = "bind",     [AF_CALL_listen] = "listen",
        [AF_CALL_connect] = "connect", [AF_CALL_accept] = "accept",
    };
    return call < AF_CALLS ? names[call] : "unknown";
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

/* Asked for each of many sockets in turn, which are ordered by process: the last answer mostly does again. */
char *af_user_name(uint32_t uid) {
    static uint32_t last;
    static const struct passwd *user;
    if (uid == geteuid())
        return af_format("%s", "");
    if (uid != last || !user)
        user = getpwuid(uid);
    last = uid;
    return user ? af_format("%s", user->pw_name) : af_format("%u", uid);
}

void af_endpoint_text(const struct af_endpoint *endpoint, char out[AF_ADDR_TEXT]) {
    if (endpoint->accepted)
        snprintf(out, AF_ADDR_TEXT, ":%u", endpoint->addr.port);
    else
        af_addr_text(&endpoint->addr, out);
}
