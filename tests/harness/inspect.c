/* A running victim looked at from outside: its system calls counted, its sockets' options read. */
#include "tests/harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bare, strace sets LD_PRELOAD and the rest for the program only: -E for each. */
static void add_settings(const char **argv, int *n, const char *settings) {
    char *rest = NULL, *text = NULL, *one;

    if (!settings)
        return;
    if (asprintf(&text, "LD_PRELOAD=%s", library_path()) < 0)
        abort();
    argv[(*n)++] = "-E";
    argv[(*n)++] = text;
    for (one = strtok_r(strdup(settings), "|", &rest); one; one = strtok_r(NULL, "|", &rest)) {
        if (asprintf(&text, "AFTERFIN_%s", one) < 0)
            abort();
        argv[(*n)++] = "-E";
        argv[(*n)++] = text;
    }
}

/* Columns of `strace -c`: % time, seconds, usecs/call, calls, [errors,] syscall. */
static long counted(const char *path, const char *call) {
    FILE *file = fopen(path, "re");
    char line[256], name[64];
    long calls = 0;

    while (file && fgets(line, sizeof line, file)) {
        long seen, errors;
        if ((sscanf(line, " %*f %*f %*d %ld %ld %63s", &seen, &errors, name) == 3 ||
             sscanf(line, " %*f %*f %*d %ld %63s", &seen, name) == 2) &&
            strcmp(name, call) == 0)
            calls = seen;
    }
    if (file)
        fclose(file);
    return calls;
}

struct ended run_counted(const char *settings, const char *call, long *calls, const char *command, ...) {
    const char *argv[64] = { "strace", "-f", "-c", "-o", scratch_path(), "-e" };
    const char *report = argv[4];
    char *text = NULL, *rest = NULL;
    int n = 6;
    va_list args;

    if (access("/usr/bin/strace", X_OK) != 0)
        cr_skip_test("strace is not there");
    if (asprintf(&text, "trace=%s", call) < 0)
        abort();
    argv[n++] = text;
    add_settings(argv, &n, settings);
    va_start(args, command);
    if (vasprintf(&text, command, args) < 0)
        abort();
    va_end(args);
    argv[n++] = victim_path(strtok_r(text, " ", &rest));
    for (char *word; n < 63 && (word = strtok_r(NULL, " ", &rest));)
        argv[n++] = word;
    struct ended e = run_argv(NULL, argv);
    *calls = counted(report, call);
    unlink(report);
    return e;
}

static int by_number(const struct dirent **a, const struct dirent **b) {
    return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static bool is_tcp(int fd) {
    int protocol = 0;
    socklen_t len = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

int victim_socket(pid_t pid, unsigned nth) {
    char path[64];
    struct dirent **entries = NULL;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), found = -1;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int n = scandir(path, &entries, NULL, by_number);
    for (int i = 0; i < n && found < 0; i++) {
        if (entries[i]->d_name[0] == '.')
            continue;
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(entries[i]->d_name), 0);
        if (fd >= 0 && is_tcp(fd) && nth-- == 0)
            found = fd;
        else if (fd >= 0)
            close(fd);
    }
    close(pidfd);
    cr_assert(found >= 0, "no such TCP socket in process %d, or we may not look: %s", (int)pid, strerror(errno));
    return found;
}

int socket_option(int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;

    if (getsockopt(fd, level, name, &value, &len) != 0)
        give_up("getsockopt %d %d: %s", level, name, strerror(errno));
    return value;
}
