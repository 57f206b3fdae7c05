/* See pidfd.h. */
#include "cli/kernel/pidfd.h"
#include "cli/kernel/process.h"
#include "cli/output/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of asm-generic/unistd.h, the same everywhere; Debian's headers have them. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

/* ---- one process ---------------------------------------------------------------------------------------------- */

static bool stat_of(pid_t pid, struct af_process_stat *out) {
    char entry[16];
    snprintf(entry, sizeof entry, "%d", (int)pid);
    return af_process_stat(entry, out);
}

bool af_is_zombie(pid_t pid) {
    struct af_process_stat now;
    return stat_of(pid, &now) && now.state == 'Z';
}

/* A pidfd is readable once its process has ended. */
static bool has_ended(int pidfd) {
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    return poll(&p, 1, 0) > 0;
}

/* A process whose first thread has ended is a zombie to whoever asks by its number, until the last one ends. */
static bool hold_another_thread(struct af_held *held) {
    char path[64];
    struct af_process_stat now;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/task", (int)held->pid);
    DIR *list = opendir(path);
    for (struct dirent *e; list && !found && (e = readdir(list));) {
        const pid_t thread = *e->d_name == '.' ? 0 : atoi(e->d_name);
        const int fd = thread && thread != held->pid ? (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD) : -1;
        found = fd >= 0 && af_process_stat(e->d_name, &now) && now.state != 'Z' && !has_ended(fd);
        if (found) {
            close(held->pidfd);
            held->pidfd = fd;
            held->thread = thread;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    if (list)
        closedir(list);
    return found;
}

int af_held_open(pid_t pid, struct af_held *out) {
    struct af_process_stat now;
    *out = (struct af_held){ .pid = pid, .thread = pid };
    out->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (out->pidfd < 0) /* EINVAL: the number is a thread's */
        return errno == EINVAL ? -ESRCH : -errno;
    /* It lives after its stat was read: so that was its own. */
    if (stat_of(pid, &now) && !has_ended(out->pidfd)) {
        memcpy(out->program, now.program, sizeof out->program);
        out->parent = now.parent;
        out->start_ticks = now.start_ticks;
        if (now.state != 'Z' || hold_another_thread(out))
            return 0;
    }
    af_held_close(out);
    return -ESRCH;
}

void af_held_close(struct af_held *held) {
    if (held->pidfd >= 0)
        close(held->pidfd);
    held->pidfd = -1;
}

/* The inode of "socket:[12345]", else 0. Whoever may list the numbers may yet be refused what they are: *error. */
static uint64_t socket_inode(int directory, const char *name, int *error) {
    static const char socket[] = "socket:[";
    char text[64];
    ssize_t len = readlinkat(directory, name, text, sizeof text - 1);
    if (len < 0 && (errno == EACCES || errno == EPERM))
        *error = -errno;
    text[len > 0 ? len : 0] = 0;
    return strncmp(text, socket, sizeof socket - 1) == 0 ? strtoull(text + sizeof socket - 1, NULL, 10) : 0;
}

int af_held_each_socket(const struct af_held *held, void (*visit)(void *, int, uint64_t), void *context) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)held->thread);
    DIR *list = opendir(path);
    int result = list ? 0 : -errno;
    if (has_ended(held->pidfd)) /* what was opened may be another's */
        result = -ESRCH;
    for (struct dirent *e; !result && (e = readdir(list));) {
        const uint64_t inode = *e->d_name == '.' ? 0 : socket_inode(dirfd(list), e->d_name, &result);
        if (inode)
            visit(context, atoi(e->d_name), inode);
    }
    if (list)
        closedir(list);
    return result == -ENOENT ? -ESRCH : result;
}

int af_held_take(const struct af_held *held, int fd) {
    const int copy = (int)syscall(SYS_pidfd_getfd, held->pidfd, fd, 0);
    return copy < 0 ? -errno : copy;
}

/* ---- a tree of them ------------------------------------------------------------------------------------------- */

struct kin {
    pid_t pid, parent;
};

static size_t list_all(struct kin **out) {
    DIR *proc = opendir("/proc");
    size_t n = 0;
    for (struct dirent *e; proc && (e = readdir(proc));) {
        struct af_process_stat seen;
        const pid_t pid = *e->d_name >= '1' && *e->d_name <= '9' ? atoi(e->d_name) : 0;
        if (pid <= 0 || !af_process_stat(e->d_name, &seen))
            continue;
        *out = af_room_for_one(*out, n, sizeof **out);
        (*out)[n++] = (struct kin){ pid, seen.parent };
    }
    if (proc)
        closedir(proc);
    return n;
}

static int by_parent(const void *a, const void *b) {
    const struct kin *x = a, *y = b;
    return x->parent != y->parent ? (x->parent < y->parent ? -1 : 1) : (x->pid > y->pid) - (x->pid < y->pid);
}

/* The first of all[n], which are sorted, whose parent is that or a later one. */
static size_t first_child(const struct kin *all, size_t n, pid_t parent) {
    size_t low = 0;
    for (size_t high = n; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (all[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t af_process_tree(pid_t root, pid_t **out) {
    struct kin *all = NULL;
    const size_t n_all = list_all(&all);
    size_t n = 1;
    if (n_all)
        qsort(all, n_all, sizeof *all, by_parent);
    *out = af_array(NULL, n_all + 1, sizeof **out); /* each comes in once: it has one parent */
    (*out)[0] = root;
    for (size_t i = 0; i < n; i++)
        for (size_t k = first_child(all, n_all, (*out)[i]); k < n_all && all[k].parent == (*out)[i]; k++)
            if (all[k].pid != root && n <= n_all)
                (*out)[n++] = all[k].pid;
    free(all);
    return n;
}
