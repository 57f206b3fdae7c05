/* What the tests of set have in common. */
#ifndef AFTERFIN_TESTS_CLI_SET_SET_H
#define AFTERFIN_TESTS_CLI_SET_SET_H

#include "tests/harness/command.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* `afterfin set --json --pid PID ONE [TWO]`, which ends with this status. */
static inline json_t *set_json(int status, pid_t pid, const char *one, const char *two, ...) {
    json_error_t error;
    char number[16];
    snprintf(number, sizeof number, "%d", (int)pid);
    struct ended e = command(NULL, "set", "--json", "--pid", number, one, two, NULL);
    cr_expect_eq(e.status, status, "%s %s: %d: %s", one, two ? two : "", e.status, e.err);
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, e.out);
    return json;
}

/* Is there a socket of this port, other than a listening one, that a process has, or whose FIN nobody has acknowledged? */
static inline bool is_served(uint16_t port) {
    struct ns_socket *rows;
    const size_t n = ns_sockets(&rows);
    bool served = false;
    for (size_t i = 0; i < n; i++)
        served |= rows[i].local_port == port && rows[i].state != ST_LISTEN && rows[i].state != ST_TIME_WAIT &&
                  (rows[i].inode || rows[i].state != ST_FIN_WAIT2);
    free(rows);
    return served;
}

/* Clients that read the answer, of more than so many bytes, to its end, and close when the server has let go of its side: how
 * many TIME_WAITs the kernel keeps there. So it is no matter whether that closes, or sends its FIN by shutdown just before. */
static inline long left_by_silent_clients(uint16_t port, int clients, const char *request, ssize_t least) {
    enum { MOST = 64 };
    const long before = ns_netstat("TW");
    int fd[MOST];
    char bytes[4096];
    struct sockaddr_storage to;
    const socklen_t size = to_sockaddr("127.0.0.1", port, &to);
    for (int i = 0; i < clients; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fd[i], (struct sockaddr *)&to, size), 0);
        cr_assert_eq(write(fd[i], request, strlen(request)), (ssize_t)strlen(request));
    }
    for (int i = 0; i < clients; i++) {
        ssize_t got, all = 0;
        while ((got = read(fd[i], bytes, sizeof bytes)) > 0)
            all += got;
        cr_expect(got == 0 && all >= least, "%zd, %zd", got, all);
    }
    while (is_served(port))
        usleep(10000);
    const long left = ns_netstat("TW") - before;
    for (int i = 0; i < clients; i++)
        close(fd[i]);
    return left;
}

#endif
