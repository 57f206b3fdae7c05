/* See rights.h. Root's own rights are laid down for the opening (setfsuid(2)), and no link leads out of the other's root. */
#include "cli/kernel/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void read_groups(const char *line, struct af_rights *out) {
    char *end;
    for (; out->n_groups < AF_MOST_GROUPS; line = end) {
        const unsigned long group = strtoul(line, &end, 10);
        if (end == line || memchr(line, '\n', (size_t)(end - line)))
            break;
        out->groups[out->n_groups++] = (gid_t)group;
    }
}

int af_rights_of(pid_t pid, struct af_rights *out) {
    char path[64], line[4096];
    int found = 0;
    *out = (struct af_rights){ .pid = pid };
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? -ESRCH : -errno;
    while (fgets(line, sizeof line, file)) {
        found += sscanf(line, "Uid: %*u %*u %*u %u", &out->uid) == 1;
        found += sscanf(line, "Gid: %*u %*u %*u %u", &out->gid) == 1;
        if (strncmp(line, "Groups:", 7) == 0)
            read_groups(line + 7, out);
    }
    fclose(file);
    return found == 2 ? 0 : -ESRCH;
}

static bool are_in_force(unsigned uid, unsigned gid) {
    setfsgid(gid);
    setfsuid(uid);
    return (unsigned)setfsuid((uid_t)-1) == uid && (unsigned)setfsgid((gid_t)-1) == gid;
}

/* Is it the file that was named, of its own root? Kernels before 5.6 follow links into ours, and are asked only where both are
 * the same. */
static int find(int root, const char *path) {
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    struct stat theirs, ours;
    const int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM) || fstat(root, &theirs) != 0 || stat("/", &ours) != 0 ||
        theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino)
        return fd;
    return open(path, O_PATH | O_CLOEXEC);
}

/* What is no regular file is not opened: for a device that may be an event. */
static int open_below(int root, const char *path) {
    struct stat st;
    char link[64];
    const int at = find(root, path);
    int fd = at;
    if (at >= 0 && (fstat(at, &st) != 0 || !S_ISREG(st.st_mode))) {
        errno = EISDIR;
        fd = -1;
    } else if (at >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    const int error = errno;
    if (at >= 0)
        close(at);
    return fd < 0 ? -error : fd;
}

int af_open_with_rights(const struct af_rights *rights, const char *path) {
    char name[64];
    gid_t ours[NGROUPS_MAX];
    const bool lays_down = geteuid() == 0 && rights->uid != 0;
    const int n_ours = lays_down ? getgroups(NGROUPS_MAX, ours) : 0;
    snprintf(name, sizeof name, "/proc/%d/root", (int)rights->pid);
    const int root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root < 0 ? -errno : -EPERM;
    if (root >= 0 && !lays_down) {
        fd = open_below(root, path);
    } else if (root >= 0 && n_ours >= 0 && setgroups((size_t)rights->n_groups, rights->groups) == 0) {
        if (are_in_force(rights->uid, rights->gid))
            fd = open_below(root, path);
        are_in_force(0, getegid());
        setgroups((size_t)n_ours, ours);
    }
    if (root >= 0)
        close(root);
    return fd;
}
