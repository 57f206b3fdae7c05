/* Reads what the kernel says of itself, under /proc and through sock_diag. */
#include "cli/doctor/doctor.h"
#include "cli/kernel/sockstat.h"
#include "cli/kernel/sysctl.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

const struct af_sysctl_info af_sysctls[AF_SYSCTLS] = {
#define SETTING(name, directory, unit) [AF_SYSCTL_##name] = { directory "." #name, unit },
#include "cli/doctor/settings.def"
#undef SETTING
};

int64_t af_machine_number(const struct af_machine *m, enum af_sysctl which) {
    return af_sysctl_number(m->values[which]);
}

static void read_settings(struct af_machine *m) {
    for (int i = 0; i < AF_SYSCTLS; i++) {
        m->values[i] = af_sysctl(af_sysctls[i].name);
        m->errors[i] = m->values[i] ? 0 : errno;
        for (char *c = m->values[i]; c && *c; c++)
            *c = *c == '\t' ? ' ' : *c;
    }
    char *start = af_sysctl("net.ipv4.ip_unprivileged_port_start");
    m->unprivileged = start ? (unsigned)af_sysctl_number(start) : 1024;
    free(start);
    const char *range = m->values[AF_SYSCTL_ip_local_port_range];
    const char *reserved = m->values[AF_SYSCTL_ip_local_reserved_ports];
    af_ephemeral_parse(&m->ephemeral, range ? range : "", reserved ? reserved : "");
    af_ports_add_list(&m->reserved, reserved ? reserved : "");
}

/* ---- counters ------------------------------------------------------------------------------------------------ */

static void read_conntrack(struct af_machine *m) {
    char line[512];
    m->conntrack = af_sysctl_value("net.netfilter.nf_conntrack_count");
    m->conntrack_time_wait = -1;
    FILE *file = m->conntrack > 0 ? fopen("/proc/self/net/nf_conntrack", "re") : NULL;
    if (!file)
        return;
    m->conntrack_time_wait = 0;
    while (fgets(line, sizeof line, file))
        m->conntrack_time_wait += strstr(line, " TIME_WAIT ") != NULL;
    fclose(file);
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

/* UDP sockets with a port and no peer (state 7): the range is theirs too, so inside it a port may be chance. */
static void add_udp(struct af_machine *m, const char *path) {
    FILE *file = fopen(path, "re");
    char line[512];
    unsigned port, state;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) == 2 && state == 7 &&
            port < AF_PORTS && (port < m->ephemeral.low || port > m->ephemeral.high))
            af_port_add(&m->listened, port);
    if (file)
        fclose(file);
}

/* A port that is listened on was not chosen out of the range, but accepted on. */
static void read_sockets(struct af_machine *m) {
    struct af_port_set outgoing = m->ephemeral.usable;
    struct af_kernel_sockets list;
    m->dump_error = af_diag_dump(AF_IN_ANY | AF_IN_LISTENING, &list);
    if (m->dump_error)
        return;
    for (size_t i = 0; i < list.n; i++)
        if (list.all[i].state == AF_IN_LISTENING)
            af_port_add(&m->listened, list.all[i].local.port);
    for (size_t i = 0; i < list.n; i++)
        m->accepted += af_port_has(&m->listened, list.all[i].local.port) && af_is_time_wait(&list.all[i]);
    for (unsigned word = 0; word < AF_PORTS / 64; word++)
        outgoing.words[word] &= ~m->listened.words[word];
    m->n_destinations = af_destinations(&list, &outgoing, &m->destinations);
    free(list.all);
    const struct af_destination *fullest = m->n_destinations ? &m->destinations[0] : NULL;
    m->none_left = fullest && m->ephemeral.n && fullest->ports * 10ull >= m->ephemeral.n * 9ull &&
                   af_ephemeral_none_left();
}

void af_machine_read(struct af_machine *m) {
    struct utsname name;
    struct sysinfo info;
    memset(m, 0, sizeof *m);
    if (uname(&name) == 0)
        snprintf(m->release, sizeof m->release, "%s", name.release);
    m->memory = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
    read_settings(m);
    m->time_wait = af_sockstat("tw");
    m->overflow = af_netstat("TcpExt:", "TCPTimeWaitOverflow");
    af_machine_read_namespace(m);
    read_conntrack(m);
    read_sockets(m);
    add_udp(m, "/proc/self/net/udp");
    add_udp(m, "/proc/self/net/udp6");
    af_machine_judge(m);
}

void af_machine_free(struct af_machine *m) {
    for (int i = 0; i < AF_SYSCTLS; i++) {
        free(m->values[i]);
        free(m->findings[i].why);
        free(m->findings[i].set);
    }
    free(m->destinations);
    memset(m, 0, sizeof *m);
}
