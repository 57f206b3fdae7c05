/* The ports that the kernel hands out to outgoing connections. */
#ifndef AFTERFIN_CLI_KERNEL_EPHEMERAL_H
#define AFTERFIN_CLI_KERNEL_EPHEMERAL_H

#include <stdbool.h>
#include <stdint.h>

enum { AF_PORTS = 1 << 16 };

struct af_port_set {
    uint64_t words[AF_PORTS / 64];
};

void af_port_add(struct af_port_set *set, unsigned port);
bool af_port_has(const struct af_port_set *set, unsigned port);
/* How many of the ports low to high are in both sets. */
unsigned af_ports_common(const struct af_port_set *a, const struct af_port_set *b, unsigned low, unsigned high);

/* Lists of ports as in ip_local_reserved_ports, 22,8080-8090: add what a text names; what makes no sense is skipped.
 * And the text of a set, from malloc. */
void af_ports_add_list(struct af_port_set *set, const char *text);
char *af_ports_text(const struct af_port_set *set);

struct af_ephemeral {
    unsigned low, high;        /* net.ipv4.ip_local_port_range; 0: not known */
    unsigned n;                /* of them, less the reserved ones */
    struct af_port_set usable; /* those */
};

/* From the texts of ip_local_port_range and ip_local_reserved_ports. False: there is no range in them. */
bool af_ephemeral_parse(struct af_ephemeral *ports, const char *range, const char *reserved);
/* Of the network namespace that we are in. */
void af_ephemeral_read(struct af_ephemeral *ports);
/* net.ipv4.tcp_tw_reuse; -1: not known. */
int af_tw_reuse_read(void);
/* Can a connect take over a TIME_WAIT of a second's age: 0: none, 1: any, 2: those over loopback? It takes timestamps, too. */
int af_tw_taken_over(void);
/* Is there no port of the range that a connect in this network namespace would take? The kernel is asked with a connect
 * that sends nothing. False also where it cannot be asked so. */
bool af_ephemeral_none_left(void);

#endif
