/* See output.h. */
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool af_write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* What is no regular file (/dev/fd/3, a FIFO) is written to as it is. */
static bool write_file(const char *path, const char *data, size_t size) {
    struct stat st;
    char *name = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? NULL : af_format("%s.%d", path, (int)getpid());
    int fd = open(name ? name : path, O_WRONLY | O_CLOEXEC | (name ? O_CREAT | O_EXCL : 0), 0666);
    bool ok = fd >= 0 && af_write_all(fd, data, size);
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (ok && name)
        ok = rename(name, path) == 0;
    int error = errno;
    if (!ok && name && fd >= 0)
        unlink(name);
    free(name);
    errno = error;
    return ok;
}

bool af_output(const char *text, const char *command, const char *what, const char *path) {
    const size_t size = strlen(text);
    if (path ? write_file(path, text, size) : af_write_all(STDOUT_FILENO, text, size))
        return true;
    af_tell("%s: cannot write %s to %s: %s", command, what, path ? path : "stdout", strerror(errno));
    return false;
}
