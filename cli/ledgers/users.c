/* See users.h. Whatever lies in /tmp anybody may have put there, and in his directory a user is his own master:
 * nothing in it is followed, and nothing believed more because it is root who looks. */
#include "cli/ledgers/users.h"
#include "cli/output/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* The whole text is a user's number. */
static bool read_uid(const char *text, uid_t *uid) {
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *uid = (uid_t)n;
    return *text >= '1' && *text <= '9' && !*end && !errno && n < (uid_t)-1;
}

static const char *what_is_wrong(int directory, uid_t uid) {
    struct stat st;
    if (directory < 0)
        return errno == ELOOP || errno == ENOTDIR ? "not a directory" : strerror(errno);
    if (fstat(directory, &st) != 0)
        return strerror(errno);
    if (st.st_uid != uid)
        return "not that user's";
    return st.st_mode & 022 ? "others may write there" : NULL;
}

/* PARENT/NAME, if there is such an entry. */
static void add(struct af_collection *c, int parent, const char *name, uid_t uid, const char *path) {
    int directory = openat(parent, name, OPEN_DIRECTORY);
    if (directory < 0 && errno == ENOENT)
        return;
    const char *wrong = what_is_wrong(directory, uid);
    char *text = wrong ? af_format(": %s", wrong) : af_format("%s/", path);
    if (wrong)
        af_collect_complain(c, path, text);
    else
        af_collect_add(c, directory, text, NULL);
    free(text);
    if (directory >= 0)
        close(directory);
}

static void add_runtime(struct af_collection *c, int users, const char *name) {
    uid_t uid;
    int runtime = read_uid(name, &uid) ? openat(users, name, OPEN_DIRECTORY) : -1;
    if (runtime < 0)
        return;
    char *path = af_format("/run/user/%s/afterfin", name);
    add(c, runtime, "afterfin", uid, path);
    free(path);
    close(runtime);
}

static void add_temporary(struct af_collection *c, int tmp, const char *name) {
    static const char prefix[] = "afterfin-";
    uid_t uid;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || !read_uid(name + sizeof prefix - 1, &uid))
        return;
    char *path = af_format("/tmp/%s", name);
    add(c, tmp, name, uid, path);
    free(path);
}

static void each_entry(struct af_collection *c, const char *path,
                       void (*visit)(struct af_collection *, int directory, const char *name)) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; list && (e = readdir(list));)
        visit(c, fd, e->d_name);
    if (list)
        closedir(list);
    else if (fd >= 0)
        close(fd);
}

void af_collect_users(struct af_collection *c) {
    each_entry(c, "/run/user", add_runtime);
    each_entry(c, "/tmp", add_temporary);
}
