/* See supervised.h. */
#include "cli/kernel/supervised.h"
#include "cli/kernel/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Does /proc/PID/NAME have these bytes? */
static bool has(pid_t pid, const char *name, const char *bytes) {
    enum { ROOM = 1 << 16 };
    static char room[2 * ROOM]; /* what was read before goes before what comes */
    const size_t size = strlen(bytes);
    size_t kept = 0;
    bool found = false;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got; fd >= 0 && !found && (got = read(fd, room + kept, ROOM)) > 0;) {
        const size_t n = kept + (size_t)got;
        found = memmem(room, n, bytes, size) != NULL;
        kept = n < size ? n : size - 1;
        memmove(room, room + n - kept, kept);
    }
    if (fd >= 0)
        close(fd);
    return found;
}

static bool is_held(void) {
    DIR *proc = opendir("/proc");
    struct af_process_stat now;
    bool found = false;
    for (struct dirent *e; proc && !found && (e = readdir(proc));)
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' && af_process_stat(e->d_name, &now) &&
                strcmp(now.program, AF_HOLDER_NAME) == 0;
    if (proc)
        closedir(proc);
    return found;
}

bool af_is_supervised(pid_t pid) {
    return has(pid, "status", "\nSeccomp:\t2\n") && has(pid, "environ", "/libafterfin.so") && is_held();
}
