/* See ephemeral.h. */
#include "cli/kernel/ephemeral.h"
#include "cli/kernel/sysctl.h"
#include "cli/output/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_SPAN = 12 /* "65534-65535," */ };

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

void af_ports_add_list(struct af_port_set *set, const char *text) {
    while (*text) {
        unsigned low, high;
        const int n = sscanf(text, "%5u-%5u", &low, &high);
        for (unsigned port = low; n > 0 && port <= (n > 1 ? high : low) && port < AF_PORTS; port++)
            af_port_add(set, port);
        text += strcspn(text, ",");
        text += *text == ',';
    }
}

char *af_ports_text(const struct af_port_set *set) {
    char *text = NULL;
    size_t used = 0;
    for (unsigned port = 0; port <= AF_PORTS - 1; port++) {
        unsigned last = port;
        if (!af_port_has(set, port))
            continue;
        while (last < AF_PORTS - 1 && af_port_has(set, last + 1))
            last++;
        text = af_array(text, used + LONGEST_SPAN + 1, 1);
        used += (size_t)sprintf(text + used, last > port ? "%s%u-%u" : "%s%u", used ? "," : "", port, last);
        port = last;
    }
    return text ? text : af_format("%s", "");
}

bool af_ephemeral_parse(struct af_ephemeral *ports, const char *range, const char *reserved) {
    struct af_port_set none = { { 0 } };
    unsigned first, last;
    memset(ports, 0, sizeof *ports);
    if (sscanf(range, "%u %u", &first, &last) != 2 || !first || first > last || last >= AF_PORTS)
        return false;
    ports->low = first;
    ports->high = last;
    for (unsigned port = first; port <= last; port++)
        af_port_add(&ports->usable, port);
    af_ports_add_list(&none, reserved);
    for (unsigned word = 0; word < AF_PORTS / 64; word++)
        ports->usable.words[word] &= ~none.words[word];
    ports->n = af_ports_common(&ports->usable, &ports->usable, ports->low, ports->high);
    return true;
}

void af_ephemeral_read(struct af_ephemeral *ports) {
    char *range = af_sysctl("net.ipv4.ip_local_port_range"), *reserved = af_sysctl("net.ipv4.ip_local_reserved_ports");
    af_ephemeral_parse(ports, range ? range : "", reserved ? reserved : "");
    free(range);
    free(reserved);
}

int af_tw_reuse_read(void) {
    char *line = af_sysctl("net.ipv4.tcp_tw_reuse");
    int value = line ? atoi(line) : -1;
    free(line);
    return value;
}

int af_tw_taken_over(void) {
    const int reuse = af_tw_reuse_read();
    return reuse > 0 && reuse <= 2 && af_sysctl_value("net.ipv4.tcp_timestamps") > 0 ? reuse : 0;
}

/* connect passes over each port that a socket got by bind, whatever the address and the destination, until the last such
 * socket is gone, its TIME_WAIT too (__inet_hash_connect). With TCP_FASTOPEN_CONNECT, and no cookie to ask for (Linux 4.15),
 * it takes a port at once and sends its SYN with the first data, of which there is none. Port 9 is discard's. */
bool af_ephemeral_none_left(void) {
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(9),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool none = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0 &&
                      setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof on) == 0 &&
                      connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno == EADDRNOTAVAIL;
    if (fd >= 0)
        close(fd);
    return none;
}
