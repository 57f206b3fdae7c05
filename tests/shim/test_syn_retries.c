/* syn_retries=N: how many SYNs the kernel sends again for a connect that nobody answers, and what connect then says. */
#include "tests/harness/harness.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

/* Linux 6.5 sends the first few at a distance of one second, and more of them in the same time. */
static void one_after_the_other(void) {
    if (access("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", W_OK) == 0)
        ns_sysctl("tcp_syn_linear_timeouts", "0");
}

/* Two SYNs in all: a bare one, with the 6 repetitions of the system, is still waiting. */
Test(syn_retries, a_connect_that_nobody_answers_gives_up_after_so_many_repetitions) {
    ns_enter();
    one_after_the_other();
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct peer peer = peer_start(&(struct peer_options){ .address = f->listen });
        ns_cut(peer.port);
        const long before = ns_netstat("TCPSynRetrans");
        struct ended e = run("SYN_RETRIES=1|RULES=connect 10.0.0.0/8 syn_retries=9", "connect_hold %s %u", f->connect,
                             peer.port);
        cr_expect(strncmp(e.out, "open ETIMEDOUT\n", 15) == 0, "%s: %s", f->name, e.out);
        cr_expect_eq(ns_netstat("TCPSynRetrans") - before, 1, "%s", f->name);
        peer_stop(&peer);
    }
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    ns_cut(peer.port);
    struct victim bare = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    struct victim waits = victim_start("SYN_RETRIES=1", "connect_hold 127.0.0.1 %u -N", peer.port);
    struct ended e = victim_wait(&waits);
    cr_expect(strncmp(e.out, "open ETIMEDOUT\n", 15) == 0, "non-blocking: %s", e.out);
    cr_expect(victim_runs(&bare), "it gives up just as soon without the policy");
    victim_kill(&bare, SIGKILL);
}

Test(syn_retries, the_programs_own_choice_and_rules_decide_what_the_kernel_has) {
    static const struct {
        const char *settings, *option;
        int expected;
    } rows[] = {
        { "SYN_RETRIES=127", "", 127 },
        { "SYN_RETRIES=off", "", 0 }, /* the system's */
        { "SYN_RETRIES=2", "-o syncnt:5", 5 },
        { "SYN_RETRIES=2|OVERRIDE=on", "-o syncnt:5", 2 },
        { "SYN_RETRIES=2|OVERRIDE=on", "-O syncnt:5", 2 },
        { "SYN_RETRIES=2|RULES=connect 127.0.0.0/8 syn_retries=7", "", 7 },
        { "SYN_RETRIES=2|RULES=connect 127.0.0.0/8 syn_retries=off", "", 0 },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim bare = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    victim_wait_out(&bare, "open ");
    int fd = victim_socket(bare.pid, 0);
    const int system = socket_option(fd, IPPROTO_TCP, TCP_SYNCNT);
    close(fd);
    victim_kill(&bare, SIGKILL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct victim v = victim_start(rows[i].settings, "connect_hold 127.0.0.1 %u %s", peer.port, rows[i].option);
        victim_wait_out(&v, *rows[i].option ? "open 0\n" : "open ");
        if (strstr(rows[i].option, "-O"))
            victim_wait_out(&v, "set 0\n");
        fd = victim_socket(v.pid, 0);
        const int value = socket_option(fd, IPPROTO_TCP, TCP_SYNCNT), want = rows[i].expected;
        cr_expect_eq(value, want ? want : system, "%s %s: %d", rows[i].settings, rows[i].option, value);
        close(fd);
        victim_kill(&v, SIGKILL);
    }
}
