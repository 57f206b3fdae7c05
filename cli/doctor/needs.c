/* What policies and subcommands need of the kernel, found out by trying: a version says little where distributions
 * carry features back. An option is set on a socket of ours exactly as the library would set it, and read back;
 * nothing is sent. */
#include "cli/doctor/doctor.h"
#include "cli/options.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int new_socket(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int try_option(int fd, const struct af_option *option) {
    struct af_option back = { .value = { 0 } };
    socklen_t size = option->size;
    if (setsockopt(fd, option->level, option->name, &option->value, option->size) != 0 ||
        getsockopt(fd, option->level, option->name, &back.value, &size) != 0)
        return -errno;
    return memcmp(&back.value, &option->value, option->size) == 0 ? 0 : -EOPNOTSUPP;
}

/* "AFTERFIN_LINGER=ack" on a socket in this role; bind with a port and without. */
static int try_setting(const char *setting, enum af_role role) {
    const struct af_addr anywhere = { .v6 = 0 };
    struct af_option options[AF_OPTIONS_MAX];
    struct af_policy policy;
    struct af_values values;
    struct af_error error;
    if (!af_policy_parse(&policy, (const char *const[]){ setting, NULL }, &(struct af_input){ .room = NULL }, &error))
        return -EINVAL;
    af_policy_decide(&policy, role, &anywhere, &values);
    const int fd = new_socket();
    int result = fd < 0 ? -errno : 0;
    for (uint16_t port = 0; port < 2 && !result; port++) {
        unsigned n = af_policy_options(&values, role, port, 0, false, options);
        for (unsigned i = 0; i < n && !result; i++)
            result = try_option(fd, &options[i]);
    }
    if (fd >= 0)
        close(fd);
    return result;
}

/* linger=ack asks besides whether the peer was heard. */
static int try_linger(void) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    const int fd = new_socket();
    int result = fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ? -errno : 0;
    if (!result && size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        result = -EOPNOTSUPP;
    if (fd >= 0)
        close(fd);
    return result ? result : try_setting("AFTERFIN_LINGER=ack", AF_ROLE_CONNECT);
}

static int try_memory(void) {
    static const int advice[] = { MADV_WIPEONFORK, MADV_POPULATE_WRITE };
    int result = 0;
    for (int i = 0; i < 2 && !result; i++) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED || madvise(page, 4096, advice[i]) != 0)
            result = -errno;
        if (page != MAP_FAILED)
            munmap(page, 4096);
    }
    return result;
}

static int try_cookie(void) {
    const int fd = new_socket();
    uint64_t cookie;
    socklen_t size = sizeof cookie;
    int result = fd < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0 ? -errno : 0;
    struct af_kernel_sockets list = { .all = NULL };
    if (!result)
        result = af_diag_dump(AF_IN_TIME_WAIT, &list);
    if (fd >= 0)
        close(fd);
    return result;
}

/* What the kernel is asked to end is not there: nothing has a port of 0. That it ends sockets in TIME_WAIT too
 * cannot be tried without ending one: there the version has to do. */
static int try_destroy(void) {
    const struct af_kernel_socket none = { .state = AF_IN_TIME_WAIT, .cookie = 1 };
    struct af_destroyed done;
    struct utsname name;
    if (uname(&name) == 0 && atoi(name.release) < 6)
        return -EOPNOTSUPP;
    const int result = af_diag_destroy(&none, 1, NULL, &done);
    return result ? result : af_diag_may_destroy();
}

struct trial {
    const char *needs, *since, *setting;
    enum af_role role;
    int (*run)(void);    /* instead of a setting */
    const char *without; /* NULL: the policy has no effect then */
};

/* clang-format off */
#define OPTION(needs_, since_, setting_, role_) \
    { .needs = needs_, .since = since_, .setting = setting_, .role = role_ }
/* clang-format on */
/* port_search sets windows with the same option as port_range. */
#define PORT_RANGE OPTION("IP_LOCAL_PORT_RANGE", "6.3", "AFTERFIN_PORT_RANGE=1024-65535", AF_ROLE_CONNECT)

static const struct trial of_policies[AF_KEYS] = {
    [AF_KEY_REUSEADDR] = OPTION("SO_REUSEADDR", NULL, "AFTERFIN_REUSEADDR=on", AF_ROLE_BIND),
    [AF_KEY_BIND_NO_PORT] = OPTION("IP_BIND_ADDRESS_NO_PORT", "4.2", "AFTERFIN_BIND_NO_PORT=on", AF_ROLE_BIND),
    [AF_KEY_LINGER] = { .needs = "TCP_LINGER2, TCP_INFO", .since = "4.1", .run = try_linger },
    [AF_KEY_SOURCE] = OPTION("IP_BIND_ADDRESS_NO_PORT", "4.2", "AFTERFIN_BIND_NO_PORT=on", AF_ROLE_BIND),
    [AF_KEY_SYN_RETRIES] = OPTION("TCP_SYNCNT", "2.4", "AFTERFIN_SYN_RETRIES=3", AF_ROLE_CONNECT),
    [AF_KEY_PORT_RANGE] = PORT_RANGE,
    [AF_KEY_PORT_SEARCH] = PORT_RANGE,
    [AF_KEY_KEEPALIVE] = OPTION("SO_KEEPALIVE, TCP_KEEP*", "2.4", "AFTERFIN_KEEPALIVE=60:10:6", AF_ROLE_CONNECT),
    [AF_KEY_USER_TIMEOUT] = OPTION("TCP_USER_TIMEOUT", "2.6.37", "AFTERFIN_USER_TIMEOUT=30s", AF_ROLE_CONNECT),
    [AF_KEY_LEDGER] = { .needs = "MADV_WIPEONFORK, MADV_POPULATE_WRITE",
                        .since = "5.14",
                        .run = try_memory,
                        .without = "smaller, its space reserved at start; forks by raw system calls go unseen" },
};

static const struct {
    const char *name;
    struct trial trial;
} of_commands[] = {
    { "who", { .needs = "SO_COOKIE, tcp_diag", .since = "4.12", .run = try_cookie, .without = "knows no owner" } },
    { "reap",
      { .needs = "SOCK_DESTROY, CAP_NET_ADMIN",
        .since = "6.0",
        .run = try_destroy,
        .without = "can only show what it would end" } },
};

static struct af_need try(const char *name, const struct trial *trial) {
    const int error = trial->run ? trial->run() : try_setting(trial->setting, trial->role);
    return (struct af_need){ name, trial->needs, trial->since, error, trial->without ? trial->without : "no effect" };
}

size_t af_needs_policies(struct af_need out[AF_NEEDS_ROOM]) {
    size_t n = 0;
    for (int key = 0; key < AF_KEYS; key++)
        if (of_policies[key].needs)
            out[n++] = try(af_keys[key].name, &of_policies[key]);
    return n;
}

size_t af_needs_commands(struct af_need out[AF_NEEDS_ROOM]) {
    size_t n = 0;
    for (; n < sizeof of_commands / sizeof *of_commands; n++)
        out[n] = try(of_commands[n].name, &of_commands[n].trial);
    return n;
}
