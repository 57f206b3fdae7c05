/* See ports.h. */
#include "cli/ports.h"
#include "cli/ephemeral.h"
#include "cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t read_number(const char *name) {
    char *line = af_sysctl_line(name);
    int64_t n = line ? strtoll(line, NULL, 10) : -1;
    free(line);
    return n;
}

/* A field of /proc/net/netstat, which has a line of names before each line of numbers. (/proc/net itself is not there
 * in a /proc of processes only, subset=pid.) */
static int64_t read_netstat(const char *group, const char *field) {
    FILE *file = fopen("/proc/self/net/netstat", "re");
    char *names = NULL, *numbers = NULL, *rest = NULL, *rest_too = NULL;
    size_t room = 0, room_too = 0;
    int64_t found = -1;
    while (file && found < 0 && getline(&names, &room, file) > 0 && getline(&numbers, &room_too, file) > 0) {
        const char *name = strtok_r(names, " \n", &rest), *number = strtok_r(numbers, " \n", &rest_too);
        if (!name || strcmp(name, group) != 0)
            continue;
        while (name && number && strcmp(name, field) != 0) {
            name = strtok_r(NULL, " \n", &rest);
            number = strtok_r(NULL, " \n", &rest_too);
        }
        found = name && number ? strtoll(number, NULL, 10) : -1;
    }
    if (file)
        fclose(file);
    free(names);
    free(numbers);
    return found;
}

/* ---- who has taken them ---------------------------------------------------------------------------------------- */

static int by_destination(const void *a, const void *b) {
    const struct af_destination *x = a, *y = b;
    int order = memcmp(&x->peer, &y->peer, sizeof x->peer);
    return order ? order : memcmp(&x->local, &y->local, sizeof x->local);
}

static int by_ports(const void *a, const void *b) {
    const struct af_destination *x = a, *y = b;
    return x->ports != y->ports ? (x->ports < y->ports ? 1 : -1) : by_destination(a, b);
}

static void find_busiest(struct af_ports *p, struct af_destination *all, size_t n) {
    size_t kept = 0;
    if (!n)
        return;
    qsort(all, n, sizeof *all, by_destination);
    for (size_t i = 0; i < n; i++)
        if (kept && by_destination(&all[kept - 1], &all[i]) == 0)
            all[kept - 1].ports++;
        else
            all[kept++] = all[i];
    qsort(all, kept, sizeof *all, by_ports);
    p->n_busiest = kept < AF_BUSIEST ? kept : AF_BUSIEST;
    memcpy(p->busiest, all, p->n_busiest * sizeof *all);
}

static void look_at(struct af_ports *p, const struct af_kernel_sockets *kernel, const struct af_port_set *ephemeral) {
    struct af_port_set used = { { 0 } };
    struct af_destination *all = af_array(NULL, kernel->n, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        p->time_wait += af_is_time_wait(socket);
        if (!af_port_has(ephemeral, socket->local.port))
            continue;
        p->used += !af_port_has(&used, socket->local.port);
        af_port_add(&used, socket->local.port);
        all[n] = (struct af_destination){ .local = socket->local, .peer = socket->peer, .ports = 1 };
        all[n++].local.port = 0;
    }
    find_busiest(p, all, n);
    free(all);
}

void af_ports_read(struct af_ports *p, const struct af_kernel_sockets *kernel) {
    struct af_ephemeral ephemeral;
    af_ephemeral_read(&ephemeral);
    *p = (struct af_ports){ .ephemeral = ephemeral.low ? (int64_t)ephemeral.n : -1,
                            .time_wait_limit = read_number("tcp_max_tw_buckets"),
                            .time_wait_overflow = read_netstat("TcpExt:", "TCPTimeWaitOverflow") };
    look_at(p, kernel, &ephemeral.usable);
}
