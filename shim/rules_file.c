/* The file that AFTERFIN_RULES may name, read at start. */
#include "shim/shim.h"

#include <fcntl.h>
#include <sys/stat.h>

static long look(int fd, const char *path, int flags) {
    struct stat st;
    long result = AF_SYS4(SYS_newfstatat, fd, path, &st, flags);
    return result < 0 ? result : S_ISREG(st.st_mode) ? 0 : -EISDIR;
}

/* What is no regular file is not even opened: for a device, or a FIFO with a writer that waits, that may be an event. By
 * then it may be another one: neither waits nor becomes a terminal of ours. */
static int open_file(const char *path) {
    long result = look(AT_FDCWD, path, 0);
    if (result < 0)
        return (int)result;
    int fd = (int)AF_SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    result = look(fd, "", AT_EMPTY_PATH);
    if (result < 0)
        AF_SYS1(SYS_close, fd);
    return result < 0 ? (int)result : fd;
}

long af_read_rules(const char *path, char room[AF_RULES_FILE_MAX + 1]) {
    const int fd = open_file(path);
    long size = 0, now = fd < 0 ? fd : 1;
    while (now > 0 && size <= AF_RULES_FILE_MAX) {
        now = AF_SYS3(SYS_read, fd, room + size, AF_RULES_FILE_MAX + 1 - size);
        if (now == -EINTR)
            now = 1;
        else if (now > 0)
            size += now;
    }
    if (fd >= 0)
        AF_SYS1(SYS_close, fd);
    return now < 0 ? now : size > AF_RULES_FILE_MAX ? -EFBIG : size;
}
