/* Sets of ports, and the range out of the kernel's texts. */
#include "cli/kernel/ephemeral.h"

#include <criterion/criterion.h>

Test(ephemeral, counts_the_ports_of_the_range_that_are_not_reserved) {
    static const struct {
        const char *name, *range, *reserved;
        unsigned low, high, n;
    } rows[] = {
        { "the kernel's own", "32768\t60999\n", "\n", 32768, 60999, 28232 },
        { "one port", "40000\t40000\n", "\n", 40000, 40000, 1 },
        { "everything", "1\t65535\n", "\n", 1, 65535, 65535 },
        { "reserved inside and outside", "40000\t40099\n", "80,40010-40019,40050,50000-50009\n", 40000, 40099, 89 },
        { "reserved over the edge", "40000\t40099\n", "39000-40009\n", 40000, 40099, 90 },
        { "all reserved", "40000\t40099\n", "1-65535\n", 40000, 40099, 0 },
        { "not to be read", "", "", 0, 0, 0 },
        { "nonsense", "60999 32768\n", "\n", 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_ephemeral ports;
        bool known = af_ephemeral_parse(&ports, rows[i].range, rows[i].reserved);
        cr_expect_eq(known, rows[i].low != 0, "%s", rows[i].name);
        cr_expect(ports.low == rows[i].low && ports.high == rows[i].high && ports.n == rows[i].n, "%s: %u-%u: %u",
                  rows[i].name, ports.low, ports.high, ports.n);
    }
}

Test(ephemeral, counts_what_two_sets_have_in_common_between_any_two_ports) {
    static struct af_port_set a, b;
    for (unsigned port = 0; port < AF_PORTS; port += 3)
        af_port_add(&a, port);
    for (unsigned port = 0; port < AF_PORTS; port += 2)
        af_port_add(&b, port);
    for (unsigned low = 0; low < 300; low += 7)
        for (unsigned high = low; high < 400; high += 11) {
            unsigned n = 0;
            for (unsigned port = low; port <= high; port++)
                n += port % 6 == 0;
            cr_expect_eq(af_ports_common(&a, &b, low, high), n, "%u-%u", low, high);
        }
    cr_expect_eq(af_ports_common(&a, &a, 65535, 65535), 1);
    cr_expect_eq(af_ports_common(&a, &b, 0, 65535), 10923);
}
