/* A file as another process would open it: below its root, with its rights. What it names is not what we may read. */
#ifndef AFTERFIN_CLI_KERNEL_RIGHTS_H
#define AFTERFIN_CLI_KERNEL_RIGHTS_H

#include <sys/types.h>

enum { AF_MOST_GROUPS = 64 };

struct af_rights {
    pid_t pid;
    unsigned uid, gid;
    int n_groups; /* of more the first are taken */
    gid_t groups[AF_MOST_GROUPS];
};

/* 0 or -errno. Asked before anything is believed of the process: by exec of a setuid program it has others. */
int af_rights_of(pid_t pid, struct af_rights *out);

/* A descriptor to read a regular file by, or -errno; -EISDIR: it is none. One thread alone may be at work. */
int af_open_with_rights(const struct af_rights *rights, const char *path);

#endif
