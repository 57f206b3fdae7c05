/* A network namespace of the test's own: made, and its knobs turned. And what it starts, which does not outlive it:
 * some victims daemonize, or become another user and so lose the signal at their parent's death, but none leaves the
 * UTS namespace that it was born in. */
#include "tests/harness/harness.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

/* ---- the end of the test ------------------------------------------------------------------------------------ */

static pid_t test, sweeper;
static ino_t own_uts; /* 0: none was to be had */

static ino_t uts_of(const char *pid) {
    char path[300];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%s/ns/uts", pid);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* By a descriptor, so that the number cannot become another process's in between. */
static bool kill_ours(const char *name) {
    const pid_t pid = atoi(name);
    const bool other = isdigit((unsigned char)*name) && pid != getpid() && pid != test;
    const int fd = other ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    bool ours = fd >= 0 && uts_of(name) == own_uts;

    if (ours)
        ours = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    if (fd >= 0)
        close(fd);
    return ours;
}

/* Until a look at all processes finds no more of them (bounded: 10 s); a zombie has no namespaces. */
static void kill_all_of_ours(void) {
    bool found = own_uts != 0;

    for (int tries = 0; found && tries < 1000; tries++) {
        DIR *proc = opendir("/proc");
        found = false;
        for (struct dirent *entry; proc && (entry = readdir(proc));)
            found |= kill_ours(entry->d_name);
        if (proc)
            closedir(proc);
        if (found)
            nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
}

/* In ticks; of those too that one of them has waited for. */
static unsigned long cpu_time_of(const char *pid) {
    char path[300];
    unsigned long ticks[4] = { 0 };

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    char *text = (char *)file_text(path), *at = text ? strrchr(text, ')') : NULL;
    if (at)
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3]);
    free(text);
    return ticks[0] + ticks[1] + ticks[2] + ticks[3];
}

unsigned long test_cpu_time(void) {
    DIR *proc = own_uts ? opendir("/proc") : NULL;
    unsigned long sum = 0;

    for (struct dirent *entry; proc && (entry = readdir(proc));)
        if (isdigit((unsigned char)*entry->d_name) && atoi(entry->d_name) != getpid() &&
            uts_of(entry->d_name) == own_uts)
            sum += cpu_time_of(entry->d_name);
    if (proc)
        closedir(proc);
    return sum;
}

/* Where it may not be told, as by a test that is another user by now, it sees the end by itself. */
static void end_test(void) {
    if (getpid() == test && kill(sweeper, SIGTERM) == 0)
        waitpid(sweeper, NULL, 0);
}

static void told(int signal) {
    (void)signal;
}

/* A process of its own, since the test may crash, be killed, or be another user by the end. */
static void sweep(const sigset_t *before) {
    struct pollfd ended = { .events = POLLIN };

    setsid(); /* the terminal's Ctrl-C is not for us */
    close_range(0, ~0u, 0);
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = told }, NULL);
    ended.fd = (int)syscall(SYS_pidfd_open, test, 0);
    if (ended.fd >= 0 && getppid() == test)
        ppoll(&ended, 1, NULL, before);
    kill_all_of_ours();
    remove_scratch(test);
    _exit(0);
}

void test_begins(void) {
    if (test != 0) /* its children among them */
        return;
    const ino_t before = uts_of("thread-self");
    sigset_t term, mask;
    test = getpid();
    if (unshare(CLONE_NEWUTS) == 0 && before && uts_of("thread-self") != before)
        own_uts = uts_of("thread-self");
    atexit(end_test);
    fflush(NULL);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &mask); /* SIGTERM is heard in ppoll, and not missed before */
    sweeper = fork();
    if (sweeper == 0)
        sweep(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* ---- the namespace ------------------------------------------------------------------------------------------ */

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

    test_begins();
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
