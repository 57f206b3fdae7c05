/* See ptrace.h: the checks of the kernel's __ptrace_may_access, one after the other, asked again from outside. */
#include "cli/kernel/ptrace.h"
#include "cli/kernel/sysctl.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct facts {
    unsigned uid[3], gid[3]; /* real, effective, saved */
    unsigned long long permitted;
    bool dumpable; /* else its files in /proc belong to root, whoever it runs as */
    bool same_user_ns;
};

static unsigned long long number_after(const char *text, const char *field, int base) {
    const char *at = strstr(text, field);
    return at ? strtoull(at + strlen(field), NULL, base) : 0;
}

static bool read_text(const char *path, char *text, size_t size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got >= 0; /* before it has any users such a map is empty */
}

/* The link in ns/ is for those only who may trace; what its users are here anybody may read. */
static bool is_in_our_user_ns(pid_t pid) {
    char path[64], theirs[1024], ours[1024];
    struct stat there, here;
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    if (stat(path, &there) == 0 && stat("/proc/self/ns/user", &here) == 0)
        return there.st_ino == here.st_ino;
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    return !read_text(path, theirs, sizeof theirs) || !read_text("/proc/self/uid_map", ours, sizeof ours) ||
           strcmp(theirs, ours) == 0;
}

static bool read_facts(pid_t pid, struct facts *f) {
    char path[64], text[4096];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const bool read = read_text(path, text, sizeof text);
    const char *uid = strstr(text, "\nUid:"), *gid = strstr(text, "\nGid:");
    if (!read || !uid || !gid || sscanf(uid, "\nUid: %u %u %u", &f->uid[0], &f->uid[1], &f->uid[2]) != 3 ||
        sscanf(gid, "\nGid: %u %u %u", &f->gid[0], &f->gid[1], &f->gid[2]) != 3)
        return false;
    f->permitted = number_after(text, "\nCapPrm:\t", 16);
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid); /* of a directory of its own the owner says it */
    f->dumpable = stat(path, &st) != 0 || st.st_uid == f->uid[1];
    f->same_user_ns = is_in_our_user_ns(pid);
    return true;
}

/* Effective capabilities of this process. */
static unsigned long long our_capabilities(void) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    if (syscall(SYS_capget, &header, data) != 0)
        return 0;
    return (unsigned long long)data[1].effective << 32 | data[0].effective;
}

/* A copy of a descriptor of our own is always ours to take, unless a filter says no. */
static bool is_filtered(int error) {
    const int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
    const int copy = own < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, own, own, 0);
    const bool refused = copy < 0 && errno == error;
    if (copy >= 0)
        close(copy);
    if (own >= 0)
        close(own);
    return refused;
}

char *af_refusal_by_yama(int64_t scope, bool all) {
    if (scope == 1 && !all)
        return af_format("Yama lets only its ancestors in (kernel.yama.ptrace_scope=1): as root (sudo), or after the "
                         "program's own prctl(PR_SET_PTRACER), or with that sysctl at 0");
    if (scope == 2 && !all)
        return af_format("Yama lets only CAP_SYS_PTRACE in (kernel.yama.ptrace_scope=2): as root (sudo)");
    if (scope == 3)
        return af_format("Yama lets nobody in (kernel.yama.ptrace_scope=3), until the next boot");
    return NULL;
}

static char *by_kernel(const struct facts *f) {
    const unsigned uid = getuid(), gid = getgid();
    const unsigned long long ours = our_capabilities();
    const bool all = ours >> CAP_SYS_PTRACE & 1;
    bool same = true;
    for (int i = 0; i < 3; i++)
        same &= f->uid[i] == uid && f->gid[i] == gid;
    if (!f->same_user_ns)
        return af_format("it is in another user namespace, in which we lack CAP_SYS_PTRACE: as root of the host, or of "
                         "that namespace (nsenter)");
    if (!all && !same)
        return af_format("it runs as user %u, group %u: as that user or as root (sudo); in a container with "
                         "--cap-add=SYS_PTRACE",
                         f->uid[1], f->gid[1]);
    if (!all && !f->dumpable)
        return af_format("it is not dumpable, having been setuid or having changed its user: as root (sudo); in a "
                         "container with --cap-add=SYS_PTRACE");
    if (!all && (f->permitted & ~ours))
        return af_format("it has capabilities that we lack: as root (sudo); in a container with --cap-add=SYS_PTRACE");
    return NULL;
}

char *af_refusal(pid_t pid, int error) {
    struct facts f;
    char *why = NULL;
    if (error == -ESRCH)
        return af_format("it has ended");
    if (error == -ENOSYS)
        return af_format("this kernel has no pidfd_getfd (Linux 5.6), or a seccomp filter hides it");
    if (error != -EPERM && error != -EACCES)
        return af_format("%s", strerror(-error));
    if (is_filtered(EPERM))
        return af_format("a seccomp filter refuses pidfd_getfd: in a container, --cap-add=SYS_PTRACE (Docker's profile "
                         "allows it then)");
    if (read_facts(pid, &f))
        why = by_kernel(&f);
    if (!why)
        why = af_refusal_by_yama(af_sysctl_value("kernel.yama.ptrace_scope"), our_capabilities() >> CAP_SYS_PTRACE & 1);
    return why ? why : af_format("%s: a security module refuses it (AppArmor, SELinux, Landlock)", strerror(-error));
}
