/* See file.h. */
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* The number of the descriptor of ours that a name stands for, also by links that lead there; -1: none. */
static int descriptor_of(const char *path) {
    char link[2][PATH_MAX];
    for (int i = 0; i < 8; i++) {
        int fd, used = 0;
        if (strcmp(path, "/dev/stdout") == 0)
            return STDOUT_FILENO;
        if (strcmp(path, "/dev/stderr") == 0)
            return STDERR_FILENO;
        if ((sscanf(path, "/dev/fd/%d%n", &fd, &used) == 1 || sscanf(path, "/proc/self/fd/%d%n", &fd, &used) == 1) &&
            !path[used])
            return fd;
        ssize_t len = readlink(path, link[i % 2], PATH_MAX - 1);
        if (len < 0)
            return -1;
        link[i % 2][len] = 0;
        path = link[i % 2];
    }
    return -1;
}

/* The regular file that is to be made or replaced, links followed; from malloc. NULL: it is none. */
static char *target_of(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0)
        return af_format("%s", path);
    char *real = realpath(path, NULL);
    if (real && stat(real, &st) == 0 && S_ISREG(st.st_mode))
        return real;
    free(real);
    return NULL;
}

int af_output_open(struct af_output_file *file, const char *path) {
    const int ours = descriptor_of(path);
    file->target = ours >= 0 ? NULL : target_of(path);
    file->name = file->target ? af_format("%s.%d", file->target, (int)getpid()) : NULL;
    file->fd = ours >= 0    ? fcntl(ours, F_DUPFD_CLOEXEC, 0)
               : file->name ? open(file->name, O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL, 0666)
                            : open(path, O_WRONLY | O_CLOEXEC | O_CREAT, 0666);
    return file->fd;
}

bool af_output_close(struct af_output_file *file, bool ok) {
    int error = errno;
    if (file->fd >= 0 && close(file->fd) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (ok && file->name && rename(file->name, file->target) != 0) {
        ok = false;
        error = errno;
    }
    if (!ok && file->name && file->fd >= 0)
        unlink(file->name);
    free(file->name);
    free(file->target);
    errno = error;
    return ok;
}

static bool write_file(const char *path, const char *data, size_t size) {
    struct af_output_file file;
    const bool ok = af_output_open(&file, path) >= 0 && af_write_all(file.fd, data, size);
    return af_output_close(&file, ok);
}

static void tell(const char *command, const char *what, const char *path) {
    af_tell("%s: cannot write %s to %s: %s", command, what, path ? path : "stdout", strerror(errno));
}

bool af_output_will(const char *command, const char *what, const char *path) {
    struct af_output_file file;
    struct stat st;
    if (!path || (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)))
        return true;
    const bool opened = af_output_open(&file, path) >= 0;
    af_output_close(&file, false);
    if (!opened)
        tell(command, what, path);
    return opened;
}

bool af_output(const char *text, const char *command, const char *what, const char *path) {
    const size_t size = strlen(text);
    if (path ? write_file(path, text, size) : af_write_all(STDOUT_FILENO, text, size))
        return true;
    tell(command, what, path);
    return false;
}
