/* A network namespace of the test's own: made, and its knobs turned. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

/* An ordinary user becomes root of a user namespace, before Criterion has threads (unshare refuses it then).
 * Its workers are exec'd anew and find themselves there. Where it fails, ns_enter says so. */
__attribute__((constructor)) static void enter_user_namespace(void) {
    unsigned uid = getuid(), gid = getgid();
    char map[32];

    if (geteuid() == 0 || unshare(CLONE_NEWUSER) != 0)
        return;
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
}

static void change_loopback(unsigned long request, struct ifreq *change) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(change->ifr_name, "lo", 3);
    if (fd < 0 || ioctl(fd, request, change) != 0)
        give_up("loopback: %s", strerror(errno));
    close(fd);
}

void ns_mtu(int mtu) {
    struct ifreq change = { .ifr_mtu = mtu };
    change_loopback(SIOCSIFMTU, &change);
}

void ns_enter(void) {
    struct ifreq up = { .ifr_flags = IFF_UP };
    struct rlimit files;

    if (unshare(CLONE_NEWNET) != 0)
        cr_skip_test("no network namespace, neither as root nor in a user namespace: %s", strerror(errno));
    change_loopback(SIOCSIFFLAGS, &up);
    ns_sysctl("tcp_tw_reuse", "0");
    /* On a busy machine a FIN is sent twice now and then; its second ACK finds no socket and is answered by an
     * RST, which would end the TIME_WAIT (a few in a thousand). */
    ns_sysctl("tcp_rfc1337", "1");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

void ns_sysctl(const char *name, const char *value) {
    char path[128];

    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    if (!write_file(path, value))
        give_up("%s=%s: %s", path, value, strerror(errno));
}

void ns_port_range(unsigned low, unsigned high) {
    char range[32];

    snprintf(range, sizeof range, "%u %u", low, high);
    ns_sysctl("ip_local_port_range", range);
}

/* Each packet on loopback passes `input` once, whichever way it goes. */
static void nft(const char *rule) {
    char script[512];

    snprintf(script, sizeof script,
             "add table inet test; add chain inet test in { type filter hook input priority 0; }; "
             "add rule inet test in %s",
             rule);
    pid_t child = fork();
    if (child == 0) {
        setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
        execlp("nft", "nft", script, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        give_up("nft: %s", strerror(errno));
    if (status != 0)
        cr_skip_test("nft is not there or not allowed (status %d)", status);
}

void ns_loss(unsigned percent) {
    char rule[64];

    snprintf(rule, sizeof rule, "meta l4proto tcp numgen random mod 100 < %u drop", percent);
    nft(rule);
}

void ns_cut(unsigned port) {
    char rule[64];

    snprintf(rule, sizeof rule, "tcp dport %u drop", port);
    nft(rule);
    snprintf(rule, sizeof rule, "tcp sport %u drop", port);
    nft(rule);
}
