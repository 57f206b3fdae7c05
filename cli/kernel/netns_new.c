/* A network namespace of our own: see netns.h. */
#include "cli/kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* user_namespaces(7): setgroups has to be denied before an ordinary user may write a gid_map. */
static int map_ourselves(unsigned uid, unsigned gid) {
    char map[64];
    int error = write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    error = error ? error : write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return error ? error : write_file("/proc/self/gid_map", map);
}

static int loopback_up(void) {
    struct ifreq request = { .ifr_name = "lo" };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0 ? -errno : 0;
    request.ifr_flags |= IFF_UP;
    if (!error && ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

int af_netns_new(void) {
    const unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWNET) == 0)
        return loopback_up();
    if (errno != EPERM)
        return -errno;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return -errno;
    int error = map_ourselves(uid, gid);
    return error ? error : loopback_up();
}

/* capabilities(7): only an ambient one survives the exec of a program that is not root's. */
void af_netns_keep_admin(void) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0)
        return;
    data[0].inheritable |= data[0].permitted & 1u << CAP_NET_ADMIN;
    if (syscall(SYS_capset, &header, data) == 0)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0);
}
