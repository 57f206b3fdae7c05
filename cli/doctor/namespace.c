/* Is this network namespace the initial one, and may its tcp_max_tw_buckets be set from here? */
#include "cli/doctor/doctor.h"
#include "cli/kernel/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* net_core_table of Linux (net/core/sysctl_net_core.c) is registered for the initial one alone, somaxconn for each. */
static int is_own(void) {
    if (access("/proc/sys/net/core/somaxconn", F_OK) != 0)
        return -1;
    return access("/proc/sys/net/core/netdev_max_backlog", F_OK) != 0;
}

/* Opened, not written: the kernel's own answer, be it of permissions or of a mount. */
static int may_set(void) {
    int fd = open("/proc/sys/net/ipv4/tcp_max_tw_buckets", O_WRONLY | O_CLOEXEC), error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

void af_machine_read_namespace(struct af_machine *m) {
    m->net_ns_own = is_own();
    m->buckets_error = may_set();
}
