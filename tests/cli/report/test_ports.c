/* What the metrics tell of local ports: against the ports that were really taken. */
#include "tests/cli/report/metrics.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

enum { LOW = 40000, HIGH = 40199, RESERVED = 20, PEERS = 10 };

static struct ended metrics_of(const char *directory) {
    struct ended e = command(NULL, "report", "-d", directory, "--prometheus", NULL);
    cr_assert_eq(e.status, 0, "%s", e.err);
    return e;
}

static double ports_to(const char *text, const char *local, const char *peer, unsigned port) {
    char sample[256];
    snprintf(sample, sizeof sample, "afterfin_destination_ports{local=\"%s\",peer=\"%s:%u\"}", local, peer, port);
    return metric(text, sample);
}

static unsigned samples(const char *text, const char *name) {
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, name)); at++)
        n += at > text && at[-1] == '\n';
    return n;
}

Test(report_ports, tells_how_many_there_are_and_who_has_taken_them) {
    ns_enter();
    ns_port_range(LOW, HIGH);
    ns_sysctl("ip_local_reserved_ports", "40000-40018,40100,50000");
    const char *directory = new_directory();
    struct peer peer[PEERS];
    double total = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        peer[i] = peer_start(&(struct peer_options){ .address = i ? NULL : "::1" });
        leave(ledger_in(directory), 0,
              (const char *[]){ "connect_close", i ? "127.0.0.1" : "::1", number(peer[i].port), "-n", number(30 - i),
                                NULL });
        total += 30 - i;
    }
    run(NULL, "connect_close 127.0.0.1 %u -n 2", peer[5].port);
    ns_settle();
    const char *text = metrics_of(directory).out;
    cr_expect_eq(metric(text, "afterfin_ephemeral_ports"), HIGH - LOW + 1 - RESERVED);
    struct ns_socket *all;
    bool taken[65536] = { false };
    double used = 0;
    for (size_t i = 0, n = ns_sockets(&all); i < n; i++) {
        bool is = all[i].local_port >= LOW && all[i].local_port <= HIGH && all[i].state != ST_LISTEN;
        used += is && !taken[all[i].local_port];
        taken[all[i].local_port] |= is;
    }
    cr_expect_eq(metric(text, "afterfin_ephemeral_ports_used"), used, "%g", used);
    cr_expect_eq(ports_to(text, "[::1]", "[::1]", peer[0].port), 30, "%s", text);
    cr_expect_eq(ports_to(text, "127.0.0.1", "127.0.0.1", peer[1].port), 29);
    cr_expect_eq(ports_to(text, "127.0.0.1", "127.0.0.1", peer[5].port), 27, "whoever took them");
    cr_expect_eq(samples(text, "afterfin_destination_ports{"), 8);
    cr_expect_eq(ports_to(text, "127.0.0.1", "127.0.0.1", peer[9].port), -1, "only the busiest eight");
    cr_expect_eq(metric(text, "afterfin_time_wait_now{program=\"connect_close\"}"), total, "%s", text);
    cr_expect_eq(metric(text, "afterfin_time_wait_sockets"), ns_tw());
    cr_expect_eq(ns_tw(), (long)total + 2, "the test itself");
}

Test(report_ports, tells_of_time_waits_that_the_kernel_would_not_keep) {
    ns_enter();
    ns_sysctl("tcp_max_tw_buckets", "8");
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *before = metrics_of(directory).out;
    cr_expect_eq(metric(before, "afterfin_time_wait_limit"), 8);
    cr_expect_eq(metric(before, "afterfin_time_wait_overflow_total"), ns_netstat("TCPTimeWaitOverflow"));
    run(NULL, "connect_close 127.0.0.1 %u -n 20", peer.port);
    ns_settle();
    const char *after = metrics_of(directory).out;
    cr_expect_gt(metric(after, "afterfin_time_wait_overflow_total"),
                 metric(before, "afterfin_time_wait_overflow_total"));
    cr_expect_eq(metric(after, "afterfin_time_wait_overflow_total"), ns_netstat("TCPTimeWaitOverflow"));
}

/* Ports that are gone entirely, a reservation of all of them, and logs alone, which may be of another machine. */
Test(report_ports, tells_what_there_is_at_the_edges) {
    static const struct {
        const char *range, *reserved;
        double ports;
    } rows[] = {
        { "1024 65535", "", 64512 },          { "65535 65535", "", 1 },
        { "40000 40009", "40000-40009", 0 },  { "40000 40009", "1-65535", 0 },
        { "40000 40009", "39999,40010", 10 },
    };
    ns_enter();
    const char *directory = new_directory();
    for (size_t i = 0; i < ROWS(rows); i++) {
        ns_sysctl("ip_local_port_range", rows[i].range);
        ns_sysctl("ip_local_reserved_ports", rows[i].reserved);
        double ports = metric(metrics_of(directory).out, "afterfin_ephemeral_ports");
        cr_expect_eq(ports, rows[i].ports, "%s less %s: %g", rows[i].range, rows[i].reserved, ports);
    }
    struct ended e = command(NULL, "report", "--prometheus", "/dev/null", NULL);
    cr_expect_eq(e.status, 0);
    cr_expect_str_empty(e.out);
}
