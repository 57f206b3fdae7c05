/* doctor and the machine: what is changed in the namespace changes what is said, and following the advice ends it. */
#include "cli/doctor/doctor.h"
#include "tests/cli/doctor/doctor.h"
#include "tests/harness/shell.h"

#include <errno.h>
#include <unistd.h>

enum { LOW = 40000, HIGH = 40099 };

static const json_t *setting(const json_t *json, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "net.ipv4.%s", name);
    const json_t *found = named(json_object_get(json, "settings"), "name", full);
    cr_assert(found, "%s is not among the settings", full);
    return found;
}

static void expect_setting(const json_t *json, const char *when, const char *name, const char *level, const char *set) {
    const json_t *found = setting(json, name);
    cr_expect_str_eq(json_text(found, "level"), level, "%s: %s: %s", when, name, json_text(found, "why"));
    cr_expect_str_eq(json_text(found, "set"), set, "%s: %s: set it to %s", when, name, json_text(found, "set"));
}

/* Sockets of the test's own, connected and never closed; from an address, or from any. */
static void hold(unsigned n, const char *from, const char *to, uint16_t port) {
    struct sockaddr_storage here, there;
    const int on = 1;
    socklen_t here_size = from ? to_sockaddr(from, 0, &here) : 0, size = to_sockaddr(to, port, &there);
    while (n--) {
        int fd = socket(there.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), 0);
        cr_assert(!from || bind(fd, (struct sockaddr *)&here, here_size) == 0);
        cr_assert_eq(connect(fd, (struct sockaddr *)&there, size), 0, "%s: %s", to, strerror(errno));
    }
}

/* An address that is not loopback's, as tcp_tw_reuse=2 sees it. */
static void add_address(const char *address) {
    struct ended e = shell("ip addr add %s dev lo", address);
    if (e.status != 0)
        cr_skip_test("cannot add an address: %s", e.err);
}

/* ---- a destination that fills ---------------------------------------------------------------------------------- */

static struct peer fill(const char *address, unsigned n) {
    ns_port_range(LOW, HIGH);
    struct peer peer = peer_start(&(struct peer_options){ .address = address });
    fill_time_wait(address, peer.port, LOW, LOW + n - 1);
    peer_wait_ended(&peer, n); /* until then they wait for its FINs, in FIN_WAIT2 */
    ns_settle();
    return peer;
}

Test(doctor, advises_what_gives_more_ports_where_TIME_WAITs_fill_a_destination_and_only_there) {
    static const struct {
        const char *name, *reuse, *address;
        unsigned n;
        const char *range, *set_range, *reuse_level, *set_reuse;
    } rows[] = {
        { "half, reuse off", "0", "127.0.0.1", 60, "advice", "1024 65535", "advice", "1" },
        { "full, reuse off", "0", "127.0.0.1", 95, "problem", "1024 65535", "advice", "1" },
        { "less than half", "0", "127.0.0.1", 40, "ok", "", "note", "" },
        { "on for loopback, which it is", "2", "127.0.0.1", 60, "ok", "", "ok", "" },
        { "on for loopback, which it is not", "2", "10.9.9.9", 60, "advice", "1024 65535", "advice", "1" },
        { "on", "1", "10.9.9.9", 60, "ok", "", "ok", "" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        ns_enter();
        if (rows[i].address[0] == '1' && rows[i].address[1] == '0')
            add_address(rows[i].address);
        fill(rows[i].address, rows[i].n);
        ns_sysctl("tcp_tw_reuse", rows[i].reuse);
        json_t *json = doctor_json(0, NULL, NULL);
        expect_setting(json, rows[i].name, "ip_local_port_range", rows[i].range, rows[i].set_range);
        expect_setting(json, rows[i].name, "tcp_tw_reuse", rows[i].reuse_level, rows[i].set_reuse);
    }
}

/* tcp_tw_reuse=2 and loopback: a connect takes over what a connect chose, and never what was bound. */
Test(doctor, counts_on_taking_over_no_TIME_WAIT_whose_port_was_bound) {
    static const struct {
        const char *source, *range, *set_range, *reuse;
        int comes_to; /* what a connect to elsewhere comes to, which no TIME_WAIT of these is in the way of */
    } rows[] = { { "-s 127.0.0.1", "problem", "1024 65535", "advice", EADDRNOTAVAIL }, { "", "ok", "", "ok", 0 } };
    for (size_t i = 0; i < ROWS(rows); i++) {
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .address = "127.0.0.1" });
        struct peer other = peer_start(&(struct peer_options){ .address = "127.0.0.1" });
        ns_port_range(LOW, HIGH);
        ns_sysctl("tcp_tw_reuse", "2");
        struct victim client = victim_start(NULL, "connect_close 127.0.0.1 %u %s -n %u", peer.port, rows[i].source,
                                            HIGH - LOW + 1);
        cr_assert_eq(victim_wait(&client).status, 0, "%s", rows[i].source);
        peer_wait_ended(&peer, HIGH - LOW + 1);
        ns_settle();
        const long sent = ns_netstat("InOctets");
        json_t *json = doctor_json(0, NULL, NULL);
        cr_expect_eq(ns_netstat("InOctets"), sent, "it is found out in silence");
        cr_expect_eq(ns_tw(), HIGH - LOW + 1, "and at no TIME_WAIT's cost");
        expect_setting(json, rows[i].source, "ip_local_port_range", rows[i].range, rows[i].set_range);
        expect_setting(json, rows[i].source, "tcp_tw_reuse", rows[i].reuse, "");
        const char *level = json_text(json, "destinations.0.level");
        cr_expect_str_eq(level, rows[i].range, "%s: %s", rows[i].source, level);
        struct sockaddr_storage there;
        const socklen_t size = to_sockaddr("127.0.0.1", other.port, &there);
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int result = connect(fd, (struct sockaddr *)&there, size) == 0 ? 0 : errno;
        cr_expect_eq(result, rows[i].comes_to, "%s: %s", rows[i].source, strerror(result));
    }
}

Test(doctor, shows_the_fullest_destinations_with_their_share_of_the_range) {
    ns_enter();
    struct peer peer = fill("127.0.0.1", 60);
    struct peer other = peer_start(&(struct peer_options){ .address = "127.0.0.1" });
    ns_sysctl("ip_local_reserved_ports", "40090-40099");
    hold(7, "127.0.0.2", "127.0.0.1", peer.port); /* another local address: ports of its own */
    hold(5, NULL, "127.0.0.1", other.port);
    json_t *json = doctor_json(0, NULL, NULL);
    const struct {
        const char *local;
        unsigned port;
        long ports, time_wait;
    } rows[] = { { "127.0.0.1", peer.port, 60, 60 },
                 { "127.0.0.2", peer.port, 7, 0 },
                 { "127.0.0.1", other.port, 5, 0 } };
    cr_assert_eq(json_array_size(json_object_get(json, "destinations")), ROWS(rows));
    for (size_t i = 0; i < ROWS(rows); i++) {
        const json_t *one = json_array_get(json_object_get(json, "destinations"), i);
        char to[64];
        snprintf(to, sizeof to, "127.0.0.1:%u", rows[i].port);
        cr_expect_str_eq(json_text(one, "local"), rows[i].local, "row %zu", i);
        cr_expect_str_eq(json_text(one, "peer"), to, "row %zu", i);
        cr_expect_eq(json_number(one, "ports"), rows[i].ports, "row %zu", i);
        cr_expect_eq(json_number(one, "time_wait"), rows[i].time_wait, "row %zu", i);
        cr_expect_eq(json_number(one, "range"), 90, "reserved ports are not to be had");
        double share = json_real_value(json_find(one, "share"));
        cr_expect(share > (double)rows[i].ports / 90 - .001 && share < (double)rows[i].ports / 90 + .001, "%f", share);
    }
    cr_expect_eq(json_number(json, "time_wait.now"), ns_tw());
    struct ended e = command(NULL, "doctor", NULL);
    cr_expect(strstr(e.out, "66.7%"), "%s", e.out);
}

Test(doctor, names_eight_destinations_and_counts_the_rest) {
    ns_enter();
    ns_port_range(LOW, HIGH);
    struct peer peer = peer_start(&(struct peer_options){ .address = "0.0.0.0" });
    for (unsigned i = 1; i <= 11; i++) {
        char address[32];
        snprintf(address, sizeof address, "127.0.1.%u", i);
        hold(i, NULL, address, peer.port);
    }
    struct ended e = command(NULL, "doctor", NULL);
    cr_expect(strstr(e.out, "127.0.1.11:") && strstr(e.out, "127.0.1.4:") && !strstr(e.out, "127.0.1.3:"), "%s", e.out);
    cr_expect(strstr(e.out, "and 3 more\n"), "%s", e.out);
    json_t *json = doctor_json(0, NULL, NULL);
    cr_expect_eq(json_array_size(json_object_get(json, "destinations")), 11, "JSON leaves none out");
}

/* TIME_WAIT that is taken over is no lack; connections that are open are. */
Test(doctor, knows_that_open_connections_are_no_business_of_tcp_tw_reuse) {
    ns_enter();
    ns_port_range(LOW, HIGH);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    hold(60, NULL, "127.0.0.1", peer.port);
    json_t *json = doctor_json(0, NULL, NULL);
    expect_setting(json, "held", "ip_local_port_range", "advice", "1024 65535");
    expect_setting(json, "held", "tcp_tw_reuse", "note", "");
}

Test(doctor, counts_no_port_that_is_listened_on_as_one_of_the_range) {
    ns_enter();
    struct peer server = peer_start(&(struct peer_options){ .port = 45000 }); /* inside the standard range */
    struct victim client = victim_start(NULL, "connect_close 127.0.0.1 45000 -n 30");
    cr_assert_eq(victim_wait(&client).status, 0);
    hold(3, NULL, "127.0.0.1", server.port);
    json_t *json = doctor_json(0, NULL, NULL);
    cr_expect_eq(json_array_size(json_object_get(json, "destinations")), 1, "the accepted side is none");
    cr_expect_eq(json_number(json, "destinations.0.ports"), 33);
    const json_t *reserved = setting(json, "ip_local_reserved_ports");
    cr_expect_str_eq(json_text(reserved, "level"), "note");
    cr_expect(strstr(json_text(reserved, "why"), "45000 is listened on inside the range"), "%s",
              json_text(reserved, "why"));
}

Test(doctor, says_which_TIME_WAITs_are_a_servers) {
    ns_enter();
    struct victim server = victim_start(NULL, "server_close 127.0.0.1 9000 -n 6");
    ns_wait_listen(9000);
    cr_assert_eq(client_run(&(struct client_options){ .port = 9000, .n = 5 }).clean, 5);
    ns_settle();
    json_t *json = doctor_json(0, NULL, NULL);
    cr_expect_eq(json_number(json, "time_wait.accepted"), 5);
    cr_expect_eq(json_array_size(json_object_get(json, "destinations")), 0);
    victim_kill(&server, 9);
}

/* ---- following it --------------------------------------------------------------------------------------------- */

/* The fragment is what sysctl(8) reads; returns it. */
static const char *apply_fragment(void) {
    const char *path = scratch_path();
    struct ended e = shell("build/afterfin doctor --sysctl >%s && cat %s", path, path);
    cr_assert_eq(e.status, 0, "%s", e.err);
    struct ended applied = shell("PATH=$PATH:/usr/sbin:/sbin sysctl -p %s", path);
    if (applied.status == 127)
        cr_skip_test("no sysctl");
    cr_assert(applied.status == 0 && !*applied.err, "%s%s", applied.out, applied.err);
    return e.out;
}

static unsigned changes(const json_t *json) {
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(json, "settings")); i++)
        n += json_is_string(json_object_get(json_array_get(json_object_get(json, "settings"), i), "set"));
    return n;
}

Test(doctor, writes_a_fragment_after_which_there_is_nothing_to_change) {
    ns_enter();
    struct peer peer = fill("127.0.0.1", 60);
    char reserved[64], line[128];
    ns_sysctl("ip_local_reserved_ports", "2222");
    ns_sysctl("tcp_timestamps", "0");
    json_t *json = doctor_json(0, NULL, NULL);
    snprintf(reserved, sizeof reserved, peer.port < 2222 ? "%u,2222" : "2222,%u", peer.port);
    expect_setting(json, "before", "ip_local_reserved_ports", "advice", reserved);
    cr_expect_eq(changes(json), 3, "and timestamps, and the range: %u", changes(json));
    const char *fragment = apply_fragment();
    snprintf(line, sizeof line, "\nnet.ipv4.ip_local_reserved_ports = %s\n", reserved);
    const char *first = strstr(fragment, line);
    const char *second = strstr(fragment, "\nnet.ipv4.ip_local_port_range = 1024 65535\n");
    cr_expect(first && second && first < second, "reserved before the range is widened: %s", fragment);
    cr_expect(strstr(fragment, "\n# It was 40000 40099\n"), "%s", fragment);
    json = doctor_json(0, NULL, NULL);
    cr_expect_eq(changes(json), 0, "%s", json_dumps(json_object_get(json, "settings"), 0));
    struct ended e = command(NULL, "doctor", "--sysctl", NULL);
    cr_expect_str_eq(e.out, "# By afterfin doctor: nothing to change.\n");
    cr_expect(strstr(command(NULL, "doctor", NULL).out, "What to change\n  nothing"));
}

/* A socket of the test's own, bound and not connected; UDP chooses its ports from the same range. */
static void bind_udp(uint16_t port) {
    struct sockaddr_storage here;
    socklen_t size = to_sockaddr("0.0.0.0", port, &here);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&here, size), 0, "%u: %s", port, strerror(errno));
}

Test(doctor, reserves_ports_of_UDP_services_too) {
    ns_enter();
    fill("127.0.0.1", 60);
    bind_udp(5353);
    bind_udp(LOW + 70); /* may be a client's */
    const char *set = json_text(setting(doctor_json(0, NULL, NULL), "ip_local_reserved_ports"), "set");
    cr_expect(strncmp(set, "5353,", 5) == 0 && !strstr(set, "40070"), "%s", set);
}

Test(doctor, tells_command_lines_that_do_the_same) {
    ns_enter();
    fill("127.0.0.1", 60);
    struct ended e = command(NULL, "doctor", NULL);
    const char *lines[] = { "      sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"\n",
                            "      sysctl -w net.ipv4.tcp_tw_reuse=1\n" };
    for (size_t i = 0; i < ROWS(lines); i++) {
        cr_assert(strstr(e.out, lines[i]), "%s: %s", lines[i], e.out);
        struct ended done = shell("PATH=$PATH:/usr/sbin:/sbin %s", lines[i]);
        cr_expect_eq(done.status, 0, "%s", done.err);
    }
    cr_expect_eq(changes(doctor_json(0, NULL, NULL)), 0);
}

Test(doctor, stays_within_what_the_kernel_takes_when_it_widens_the_range) {
    static const struct {
        const char *unprivileged;
        unsigned low, high;
        const char *set;
    } rows[] = {
        { "1024", LOW, HIGH, "1024 65535" },
        { "2001", LOW, HIGH, "2002 65535" }, /* of different parity, or the kernel complains */
        { "0", 500, 599, "500 65535" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        ns_enter();
        ns_sysctl("ip_unprivileged_port_start", rows[i].unprivileged);
        ns_port_range(rows[i].low, rows[i].high);
        hold(60, NULL, "127.0.0.1", peer_start(&(struct peer_options){ 0 }).port);
        expect_setting(doctor_json(0, NULL, NULL), rows[i].unprivileged, "ip_local_port_range", "advice", rows[i].set);
        apply_fragment();
    }
}

/* ---- single settings ------------------------------------------------------------------------------------------ */

Test(doctor, advises_to_raise_tcp_max_tw_buckets_where_TIME_WAITs_were_not_made) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    ns_sysctl("tcp_max_tw_buckets", "10");
    struct victim v = victim_start(NULL, "connect_close 127.0.0.1 %u -n 30", peer.port);
    cr_assert_eq(victim_wait(&v).status, 0);
    ns_settle();
    json_t *json = doctor_json(0, NULL, NULL);
    cr_expect_eq(json_number(json, "time_wait.overflow"), ns_netstat("TCPTimeWaitOverflow"));
    cr_expect_eq(json_number(json, "time_wait.overflow"), 20);
    cr_expect_eq(json_number(json, "time_wait.now"), 10);
    cr_expect_eq(json_number(json, "time_wait.max"), 10);
    const json_t *before = setting(json, "tcp_max_tw_buckets");
    cr_expect_str_eq(json_text(before, "level"), "advice");
    ns_sysctl("tcp_max_tw_buckets", json_text(before, "set"));
    json = doctor_json(0, NULL, NULL);
    expect_setting(json, "after", "tcp_max_tw_buckets", "note", "");
    cr_expect_eq(json_number(json, "time_wait.overflow"), 20, "what was remains said");
}

Test(doctor, notices_that_all_ports_are_reserved) {
    ns_enter();
    ns_port_range(LOW, HIGH);
    ns_sysctl("ip_local_reserved_ports", "40000-40099");
    expect_setting(doctor_json(0, NULL, NULL), "all reserved", "ip_local_port_range", "problem", "");
    ns_sysctl("ip_local_reserved_ports", "40000-40098");
    expect_setting(doctor_json(0, NULL, NULL), "all but one", "ip_local_port_range", "ok", "");
}

Test(doctor, has_each_value_as_it_is_and_judges_it) {
    static const struct {
        const char *name, *value, *level, *set;
    } rows[] = {
        { "tcp_timestamps", "0", "advice", "1" },
        { "tcp_timestamps", "1", "ok", "" },
        { "tcp_timestamps", "2", "ok", "" },
        { "tcp_fin_timeout", "5", "note", "" },
        { "tcp_fin_timeout", "60", "ok", "" },
        { "tcp_rfc1337", "0", "ok", "" },
        { "tcp_rfc1337", "1", "ok", "" },
        { "tcp_tw_reuse", "0", "note", "" },
        { "tcp_tw_reuse", "1", "ok", "" },
        { "tcp_tw_reuse", "2", "ok", "" },
        { "ip_local_reserved_ports", "8080,9000-9010", "ok", "" },
    };
    ns_enter();
    for (size_t i = 0; i < ROWS(rows); i++) {
        ns_sysctl(rows[i].name, rows[i].value);
        json_t *json = doctor_json(0, NULL, NULL);
        cr_expect_str_eq(json_text(setting(json, rows[i].name), "value"), rows[i].value, "%s", rows[i].name);
        expect_setting(json, rows[i].value, rows[i].name, rows[i].level, rows[i].set);
    }
}

Test(doctor, minds_the_delay_of_tcp_tw_reuse_where_ports_run_short) {
    if (access("/proc/sys/net/ipv4/tcp_tw_reuse_delay", F_OK) != 0)
        cr_skip_test("this kernel has no tcp_tw_reuse_delay");
    ns_enter();
    fill("127.0.0.1", 60);
    ns_sysctl("tcp_tw_reuse", "1");
    expect_setting(doctor_json(0, NULL, NULL), "standard", "tcp_tw_reuse_delay", "ok", "");
    ns_sysctl("tcp_tw_reuse_delay", "30000");
    json_t *json = doctor_json(0, NULL, NULL);
    expect_setting(json, "30 s", "tcp_tw_reuse_delay", "advice", "1000");
    ns_sysctl("tcp_tw_reuse_delay", json_text(setting(json, "tcp_tw_reuse_delay"), "set"));
    cr_expect_eq(changes(doctor_json(0, NULL, NULL)), 0);
}

/* ---- facts that a test cannot bring about --------------------------------------------------------------------- */

static void made_up(struct af_machine *m, const char *max, const char *timeout, int64_t entries, int64_t time_wait) {
    memset(m, 0, sizeof *m);
    m->values[AF_SYSCTL_nf_conntrack_max] = strdup(max);
    m->values[AF_SYSCTL_nf_conntrack_tcp_timeout_time_wait] = strdup(timeout);
    m->conntrack = entries;
    m->conntrack_time_wait = time_wait;
    af_machine_judge(m);
}

Test(doctor, advises_on_conntrack_only_where_its_table_is_full) {
    static const struct {
        const char *timeout;
        int64_t entries, time_wait;
        const char *set_max, *set_timeout;
    } rows[] = {
        { "120", 100, 90, NULL, NULL },   { "120", 900, 800, "2000", "60" }, { "120", 900, 100, "2000", NULL },
        { "60", 900, 800, "2000", NULL }, { "120", 900, -1, "2000", NULL },  { "120", 0, 0, NULL, NULL },
        { "120", -1, -1, NULL, NULL },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_machine m;
        made_up(&m, "1000", rows[i].timeout, rows[i].entries, rows[i].time_wait);
        const char *max = m.findings[AF_SYSCTL_nf_conntrack_max].set;
        const char *timeout = m.findings[AF_SYSCTL_nf_conntrack_tcp_timeout_time_wait].set;
        cr_expect_str_eq(max ? max : "", rows[i].set_max ? rows[i].set_max : "", "row %zu", i);
        cr_expect_str_eq(timeout ? timeout : "", rows[i].set_timeout ? rows[i].set_timeout : "", "row %zu", i);
        af_machine_free(&m);
    }
}

Test(doctor, does_not_ask_for_more_TIME_WAITs_than_memory_can_hold) {
    struct af_machine m = { .memory = 64 << 20, .time_wait = 4000, .overflow = 5, .conntrack = -1 };
    m.values[AF_SYSCTL_tcp_max_tw_buckets] = strdup("4096");
    af_machine_judge(&m);
    cr_expect_null(m.findings[AF_SYSCTL_tcp_max_tw_buckets].set);
    cr_expect_eq(m.findings[AF_SYSCTL_tcp_max_tw_buckets].level, AF_NOTE);
    m.memory = 1 << 30;
    af_machine_judge(&m);
    cr_expect_str_eq(m.findings[AF_SYSCTL_tcp_max_tw_buckets].set, "65536");
    af_machine_free(&m);
}

Test(doctor, reads_and_writes_sets_of_ports_as_the_kernel_does) {
    static const char *const rows[][2] = {
        { "", "" },
        { "80", "80" },
        { "80,81", "80-81" },
        { "1-3,2-5,9", "1-5,9" },
        { "65535", "65535" },
        { "0-65535", "0-65535" },
        { "x,7", "7" },
        { "9-8", "" },
        { "70000,99999999999", "" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_port_set ports = { { 0 } };
        af_ports_add_list(&ports, rows[i][0]);
        char *text = af_ports_text(&ports);
        cr_expect_str_eq(text, rows[i][1], "%s: %s", rows[i][0], text);
        free(text);
    }
}

/* ---- a network namespace of its own ---------------------------------------------------------------------------- */

static const char *told_of_namespace(const char *before) {
    struct ended e = shell("%s build/afterfin doctor", before);
    cr_assert_eq(e.status, 0, "%s", e.err);
    return strstr(e.out, "A network namespace of its own");
}

/* A kernel thread of this pid namespace is in the initial network namespace. */
Test(doctor, knows_the_initial_network_namespace) {
    const char *thread = file_text("/proc/2/comm");
    const char *theirs = shell("readlink /proc/2/ns/net").out, *ours = shell("readlink /proc/self/ns/net").out;
    if (!thread || strcmp(thread, "kthreadd\n") != 0 || !*theirs || strcmp(theirs, ours) != 0)
        cr_skip_test("not in the initial network namespace, or not allowed to know");
    cr_expect(json_is_true(json_find(doctor_json(0, NULL, NULL), "net_ns.initial")));
    cr_expect_null(told_of_namespace(""));
}

Test(doctor, says_what_keeps_no_TIME_WAIT_in_a_namespace_of_its_own_and_that_is_so) {
    static const char line[] = "sysctl -w net.ipv4.tcp_max_tw_buckets=0";
    enum { N = 20 };
    ns_enter();
    const char *told = told_of_namespace("");
    cr_assert(told && strstr(told, "It may be set from here") && strstr(told, line), "%s", told);
    cr_expect(json_is_false(json_find(doctor_json(0, NULL, NULL), "net_ns.initial")));
    cr_assert_eq(shell("PATH=$PATH:/sbin:/usr/sbin; %s", line).status, 0);
    struct peer peer = peer_start(&(struct peer_options){ .answer = 3000, .answer_after = 2000 });
    struct ended e = run(NULL, "connect_close 127.0.0.1 %u -n %d -b 2000", peer.port, N);
    cr_assert_eq(e.status, 0, "%s", e.out);
    e = run(NULL, "half_close 127.0.0.1 %u 2000 3000", peer.port); /* which no socket option helps */
    cr_assert(strstr(e.out, "answer whole\nthen end\n"), "%s", e.out);
    cr_assert_eq(ns_tw(), 0);
    cr_expect_null(told_of_namespace(""), "it is done");
    expect_setting(doctor_json(0, NULL, NULL), "done", "tcp_max_tw_buckets", "note", "");
}

Test(doctor, says_who_may_not_set_it) {
    ns_enter();
    if (geteuid() != 0 || shell("setpriv --reuid 65534 --clear-groups test -x build/afterfin").status != 0)
        cr_skip_test("cannot be another user here, or he cannot come to the command");
    const char *told = told_of_namespace("setpriv --reuid 65534 --clear-groups");
    cr_assert(told && strstr(told, "It may not be set from here") && !strstr(told, "sysctl -w") &&
                  strstr(told, "docker run --sysctl net.ipv4.tcp_max_tw_buckets=0"),
              "%s", told);
}
