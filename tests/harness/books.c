/* The kernel's books of the namespace, read from /proc/net: whose numbers the tests believe. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void nap(void) {
    nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static size_t read_table(const char *path, bool v6, struct ns_socket **rows, size_t n) {
    FILE *file = fopen(path, "re");
    char line[512];

    if (!file)
        return n;
    while (fgets(line, sizeof line, file)) {
        struct ns_socket s = { .v6 = v6 };
        if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%x %x %*x:%*x %x:%lx %*x %*u %*u %lu", &s.local_port,
                   &s.remote_port, &s.state, &s.timer, &s.timer_ticks, &s.inode) != 6)
            continue;
        if (n % 1024 == 0)
            *rows = realloc(*rows, (n + 1024) * sizeof **rows);
        (*rows)[n++] = s;
    }
    fclose(file);
    return n;
}

size_t ns_sockets(struct ns_socket **out) {
    *out = NULL;
    size_t n = read_table("/proc/net/tcp", false, out, 0);
    return read_table("/proc/net/tcp6", true, out, n);
}

size_t ns_count(unsigned state, unsigned local_port, unsigned remote_port) {
    struct ns_socket *rows;
    size_t n = ns_sockets(&rows), found = 0;

    for (size_t i = 0; i < n; i++)
        found += rows[i].state == state && (!local_port || rows[i].local_port == local_port) &&
                 (!remote_port || rows[i].remote_port == remote_port);
    free(rows);
    return found;
}

long ns_sockstat(const char *field) {
    FILE *file = fopen("/proc/net/sockstat", "re");
    char line[256], key[32];
    long value = -1;

    snprintf(key, sizeof key, " %s ", field);
    while (file && fgets(line, sizeof line, file)) {
        char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, key) : NULL;
        if (at)
            value = atol(at + strlen(key));
    }
    if (file)
        fclose(file);
    cr_assert(value >= 0, "no %s in /proc/net/sockstat", field);
    return value;
}

/* Two lines for each group: names, then numbers. */
long ns_netstat(const char *field) {
    FILE *file = fopen("/proc/net/netstat", "re");
    char names[8192], numbers[8192];
    long value = -1;

    while (file && value < 0 && fgets(names, sizeof names, file) && fgets(numbers, sizeof numbers, file)) {
        char *name_at, *number_at;
        char *name = strtok_r(names, " \n", &name_at), *number = strtok_r(numbers, " \n", &number_at);
        while (name && number && strcmp(name, field) != 0) {
            name = strtok_r(NULL, " \n", &name_at);
            number = strtok_r(NULL, " \n", &number_at);
        }
        if (name && number)
            value = atol(number);
    }
    if (file)
        fclose(file);
    cr_assert(value >= 0, "no %s in /proc/net/netstat", field);
    return value;
}

/* Until one look at the table shows no socket in any of these states. */
static void wait_for_none(unsigned states) {
    time_t deadline = time(NULL) + 60;

    for (;; nap()) {
        struct ns_socket *rows;
        const size_t n = ns_sockets(&rows);
        bool found = false;
        for (size_t i = 0; i < n; i++)
            found |= states >> rows[i].state & 1;
        free(rows);
        if (!found)
            return;
        cr_assert(time(NULL) < deadline, "sockets of the namespace do not settle");
    }
}

enum { CLOSING = 1 << ST_FIN_WAIT1 | 1 << ST_CLOSING | 1 << ST_LAST_ACK };

void ns_settle(void) {
    wait_for_none(CLOSING);
}

void ns_wait_ended(void) {
    wait_for_none(CLOSING | 1 << ST_ESTABLISHED | 1 << ST_CLOSE_WAIT);
}

long ns_tw(void) {
    ns_settle();
    return ns_sockstat("tw");
}

void ns_wait_listen(unsigned port) {
    time_t deadline = time(NULL) + 30;

    while (!ns_count(ST_LISTEN, port, 0)) {
        cr_assert(time(NULL) < deadline, "nobody listens on port %u", port);
        nap();
    }
}
