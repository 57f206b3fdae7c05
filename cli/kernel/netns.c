/* See netns.h. One pass over /proc serves all that are wanted. */
#include "cli/kernel/netns.h"
#include "cli/kernel/process.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fate { NOT_FOUND, REFUSED, VISITED };

struct search {
    uint64_t *wanted;
    enum fate *fates;
    size_t n;
    int own, why;
    void (*visit)(void *, uint64_t);
    void *context;
};

static int compare(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static size_t sort_unique(uint64_t *numbers, size_t n) {
    size_t kept = 0;
    if (n)
        qsort(numbers, n, sizeof *numbers, compare);
    for (size_t i = 0; i < n; i++)
        if (!kept || numbers[kept - 1] != numbers[i])
            numbers[kept++] = numbers[i];
    return kept;
}

static void go_back(const struct search *s) {
    if (setns(s->own, CLONE_NEWNET) == 0)
        return;
    af_tell("cannot return to our own network namespace: %s", strerror(errno));
    exit(AF_EXIT_FAILURE);
}

/* The process may have gone and another come meanwhile: what was opened is looked at again. */
static int visit(const struct search *s, const char *path, uint64_t inode) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || st.st_ino != inode)
        error = -ENOENT;
    else if (setns(fd, CLONE_NEWNET) != 0)
        error = -errno;
    close(fd);
    if (error)
        return error;
    s->visit(s->context, inode);
    go_back(s);
    return 0;
}

static void try(struct search *s, const char *path) {
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    const uint64_t inode = st.st_ino, *found = bsearch(&inode, s->wanted, s->n, sizeof inode, compare);
    enum fate *fate = found ? &s->fates[found - s->wanted] : NULL;
    if (!fate || *fate == VISITED)
        return;
    int error = visit(s, path, inode);
    *fate = error ? REFUSED : VISITED;
    s->why = error ? error : s->why;
}

static void try_all(struct search *s, const char *directory, const char *below, bool numbers_only) {
    DIR *list = opendir(directory);
    for (struct dirent *e; list && (e = readdir(list));) {
        char path[512];
        if (numbers_only ? e->d_name[0] < '1' || e->d_name[0] > '9' : e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s%s", directory, e->d_name, below);
        try(s, path);
    }
    if (list)
        closedir(list);
}

size_t af_netns_each(uint64_t *wanted, size_t n, void (*on_each)(void *, uint64_t), void *context, int *why) {
    size_t refused = 0;
    n = sort_unique(wanted, n);
    if (!n)
        return 0;
    struct search s = { .wanted = wanted,
                        .n = n,
                        .visit = on_each,
                        .context = context,
                        .fates = af_array(NULL, n, sizeof *s.fates),
                        .own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) };
    for (size_t i = 0; i < n; i++)
        s.fates[i] = NOT_FOUND;
    if (s.own >= 0) {
        try_all(&s, "/proc", "/ns/net", true);
        try_all(&s, "/run/netns", "", false);
        close(s.own);
    }
    for (size_t i = 0; i < n; i++)
        refused += s.fates[i] == REFUSED;
    free(s.fates);
    *why = s.why;
    return refused;
}
