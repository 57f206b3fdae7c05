/* See ephemeral.h. */
#include "cli/ephemeral.h"
#include "cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void af_port_add(struct af_port_set *set, unsigned port) {
    set->words[port / 64] |= 1ull << port % 64;
}

bool af_port_has(const struct af_port_set *set, unsigned port) {
    return set->words[port / 64] >> port % 64 & 1;
}

static uint64_t mask(unsigned word, unsigned low, unsigned high) {
    const unsigned first = word * 64;
    uint64_t bits = ~0ull;
    if (low > first)
        bits &= low - first < 64 ? ~0ull << (low - first) : 0;
    if (high < first + 63)
        bits &= high >= first ? ~0ull >> (63 - (high - first)) : 0;
    return bits;
}

unsigned af_ports_common(const struct af_port_set *a, const struct af_port_set *b, unsigned low, unsigned high) {
    unsigned n = 0;
    for (unsigned i = low / 64; i <= high / 64; i++)
        n += (unsigned)__builtin_popcountll(a->words[i] & b->words[i] & mask(i, low, high));
    return n;
}

bool af_ephemeral_parse(struct af_ephemeral *ports, const char *range, const char *reserved) {
    unsigned first, last;
    int used;
    memset(ports, 0, sizeof *ports);
    if (sscanf(range, "%u %u", &first, &last) != 2 || !first || first > last || last >= AF_PORTS)
        return false;
    ports->low = first;
    ports->high = last;
    for (unsigned port = first; port <= last; port++)
        af_port_add(&ports->usable, port);
    for (; sscanf(reserved, "%u%n", &first, &used) == 1; reserved += *reserved == ',') {
        reserved += used;
        last = first;
        if (sscanf(reserved, "-%u%n", &last, &used) == 1)
            reserved += used;
        for (unsigned port = first; port <= last && port < AF_PORTS; port++)
            ports->usable.words[port / 64] &= ~(1ull << port % 64);
    }
    ports->n = af_ports_common(&ports->usable, &ports->usable, ports->low, ports->high);
    return true;
}

char *af_sysctl_line(const char *name) {
    char *path = af_format("/proc/sys/net/ipv4/%s", name), *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (file && getline(&line, &room, file) < 0) {
        free(line);
        line = NULL;
    }
    if (file)
        fclose(file);
    free(path);
    return line;
}

void af_ephemeral_read(struct af_ephemeral *ports) {
    char *range = af_sysctl_line("ip_local_port_range"), *reserved = af_sysctl_line("ip_local_reserved_ports");
    af_ephemeral_parse(ports, range ? range : "", reserved ? reserved : "");
    free(range);
    free(reserved);
}

int af_tw_reuse_read(void) {
    char *line = af_sysctl_line("tcp_tw_reuse");
    int value = line ? atoi(line) : -1;
    free(line);
    return value;
}
