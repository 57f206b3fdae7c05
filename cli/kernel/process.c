/* See process.h. /proc may show another pid namespace than ours (unshare --pid without --mount-proc), and a
 * ledger may come from a third: then the process is looked for by the pid that it has in its own. */
#include "cli/kernel/process.h"
#include "cli/output/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t namespace_at(const char *entry, const char *name) {
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%.20s/ns/%s", entry, name);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

uint64_t af_own_namespace(const char *name) {
    return namespace_at("self", name);
}

uint64_t af_namespace_of(pid_t pid, const char *name) {
    char entry[16];
    snprintf(entry, sizeof entry, "%d", (int)pid);
    return namespace_at(entry, name);
}

static bool read_file_of_memory(pid_t pid, const struct iovec *to, const struct iovec *from, unsigned n) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0;
    for (unsigned i = 0; i < n && ok; i++)
        ok = pread(fd, to[i].iov_base, to[i].iov_len, (off_t)(uintptr_t)from[i].iov_base) == (ssize_t)to[i].iov_len;
    if (fd >= 0)
        close(fd);
    return ok;
}

bool af_process_memory(pid_t pid, const struct iovec *to, const struct iovec *from, unsigned n) {
    size_t size = 0;
    for (unsigned i = 0; i < n; i++)
        size += to[i].iov_len;
    const ssize_t got = process_vm_readv(pid, to, n, from, n, 0);
    if (got < 0 && (errno == EPERM || errno == ENOSYS))
        return read_file_of_memory(pid, to, from, n);
    return got == (ssize_t)size;
}

char *af_pid_text(int32_t pid, uint64_t pid_ns) {
    return pid_ns ? af_format("%d@%llu", (int)pid, (unsigned long long)pid_ns) : af_format("%d", (int)pid);
}

static bool read_file(const char *path, char *out, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, room - 1);
    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* The name is in the outermost parentheses. */
bool af_process_stat(const char *entry, struct af_process_stat *out) {
    char path[64], text[1024];
    unsigned long long start;
    int parent;
    snprintf(path, sizeof path, "/proc/%.20s/stat", entry);
    if (!read_file(path, text, sizeof text))
        return false;
    char *name = strchr(text, '('), *end = strrchr(text, ')');
    if (!name || !end ||
        sscanf(end + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
               "%llu",
               &out->state, &parent, &start) != 3)
        return false;
    *end = 0;
    snprintf(out->program, sizeof out->program, "%s", name + 1);
    out->parent = (pid_t)parent;
    out->start_ticks = start;
    return true;
}

static bool runs_since(const char *entry, uint64_t start_ticks) {
    struct af_process_stat now;
    return af_process_stat(entry, &now) && now.state != 'Z' && now.state != 'X' &&
           (!start_ticks || now.start_ticks <= start_ticks);
}

/* Processes by the pid that they have in their own namespace: made once, for thousands of questions. */
struct inner {
    int32_t pid, outer;
};
static struct inner *inner;
static size_t n_inner;
static bool have_inner;

/* The last number of NSpid. */
int32_t af_innermost_pid(const char *entry) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%.20s/status", entry);
    char *line = read_file(path, text, sizeof text) ? strstr(text, "\nNSpid:") : NULL;
    if (!line)
        return 0;
    line[1 + strcspn(line + 1, "\n")] = 0;
    char *last = strrchr(line, '\t');
    return last ? atoi(last + 1) : 0;
}

static int by_pid(const void *a, const void *b) {
    const struct inner *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void list_processes(void) {
    DIR *proc = opendir("/proc");
    free(inner);
    inner = NULL;
    n_inner = 0;
    for (struct dirent *e; proc && (e = readdir(proc));) {
        int32_t pid = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? af_innermost_pid(e->d_name) : 0;
        if (pid <= 0)
            continue;
        inner = af_room_for_one(inner, n_inner, sizeof *inner);
        inner[n_inner++] = (struct inner){ pid, atoi(e->d_name) };
    }
    if (proc)
        closedir(proc);
    if (n_inner)
        qsort(inner, n_inner, sizeof *inner, by_pid);
    have_inner = true;
}

void af_process_list_anew(void) {
    have_inner = false;
}

static bool any_running(int32_t pid, uint64_t start_ticks) {
    const struct inner key = { .pid = pid };
    if (!have_inner)
        list_processes();
    const struct inner *found = n_inner ? bsearch(&key, inner, n_inner, sizeof *inner, by_pid) : NULL;
    while (found && found > inner && found[-1].pid == pid)
        found--;
    for (; found && found < inner + n_inner && found->pid == pid; found++) {
        char entry[16];
        snprintf(entry, sizeof entry, "%d", found->outer);
        if (runs_since(entry, start_ticks))
            return true;
    }
    return false;
}

bool af_process_running(uint64_t pid_ns, int32_t pid, uint64_t start_ticks) {
    char self[32], own[32];
    ssize_t len = readlink("/proc/self", self, sizeof self - 1);
    self[len > 0 ? len : 0] = 0;
    snprintf(own, sizeof own, "%d", (int)getpid());
    if (strcmp(self, own) == 0 && (!pid_ns || pid_ns == af_own_namespace("pid"))) {
        snprintf(own, sizeof own, "%d", (int)pid);
        return runs_since(own, start_ticks);
    }
    return any_running(pid, start_ticks);
}

/* An environment of up to 2 MB is read in pieces; a setting may lie across two of them. */
static bool has_setting(const char *entry, const char *setting) {
    static char text[64 * 1024 + 1];
    char path[64];
    const size_t size = strlen(setting) + 1;
    size_t kept = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.20s/environ", entry);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got; fd >= 0 && !found && (got = read(fd, text + kept, sizeof text - kept)) > 0;) {
        size_t have = kept + (size_t)got;
        found = memmem(text, have, setting, size) != NULL;
        kept = have < size ? have : size;
        memmove(text, text + have - kept, kept);
    }
    if (fd >= 0)
        close(fd);
    return found;
}

bool af_is_in_environment(const char *setting) {
    DIR *proc = opendir("/proc");
    bool found = false;
    for (struct dirent *e; proc && !found && (e = readdir(proc));)
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_setting(e->d_name, setting);
    if (proc)
        closedir(proc);
    return found;
}
