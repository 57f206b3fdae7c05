/* See ledger_dir.h. */
#include "cli/ledgers/ledger_dir.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/collect.h"
#include "cli/ledgers/expire.h"
#include "cli/ledgers/metrics_history.h"
#include "cli/ledgers/users.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "run-"
#define KEEP ".keep"
enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC, BOX = 01733, MOST_KEPT = 4096 };

static void clean(int base);

void af_ledger_dir_name(unsigned uid, const char *runtime, char path[PATH_MAX]) {
    if (uid == 0)
        snprintf(path, PATH_MAX, "/run/afterfin");
    else if (runtime && runtime[0] == '/')
        snprintf(path, PATH_MAX, "%s/afterfin", runtime);
    else
        snprintf(path, PATH_MAX, "/tmp/afterfin-%u", uid);
}

int af_ledger_dir_default(char path[PATH_MAX]) {
    struct stat st;
    af_ledger_dir_name(geteuid(), getenv("XDG_RUNTIME_DIR"), path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    /* Root's is to be searched, not listed, by who is on his way to the directory of a run. */
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (geteuid() ? 077 : 066))) {
        clean(fd);
        af_expire_ledgers(fd, AF_EXPIRE_AFTER_S);
        return fd;
    }
    close(fd);
    return -EPERM;
}

/* The default directory, once it is open: root's stands for all users', another user's for both that are his. */
static int by_default = -1;

/* Where a program has his ledgers that another user has started: it had the other's XDG_RUNTIME_DIR. */
static void collect_temporary(struct af_collection *c) {
    char path[PATH_MAX], other[PATH_MAX];
    struct stat st;
    af_ledger_dir_name(geteuid(), getenv("XDG_RUNTIME_DIR"), other);
    af_ledger_dir_name(geteuid(), NULL, path);
    int fd = strcmp(path, other) == 0 ? -1 : open(path, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 077)) {
        char *where = af_format("%s/", path);
        af_expire_ledgers(fd, AF_EXPIRE_AFTER_S);
        af_collect_add(c, fd, where, NULL);
        free(where);
    }
    if (fd >= 0)
        close(fd);
}

void af_ledger_dir_collect(struct af_collection *c, int directory) {
    af_collect_begin(c);
    af_collect_add(c, directory, "", NULL);
    if (directory == by_default && geteuid() == 0)
        af_collect_users(c);
    else if (directory == by_default)
        collect_temporary(c);
    af_collect_end(c);
}

int af_ledger_dir_open(const char *command, const char *named) {
    char path[PATH_MAX];
    int fd = named ? open(named, OPEN_DIRECTORY) : af_ledger_dir_default(path);
    by_default = named ? -1 : fd;
    if (fd >= 0)
        return fd;
    int error = named ? errno : -fd;
    if (!named && error == EPERM)
        af_tell("%s: %s is not a directory of mode 0700 of our own", command, path);
    else
        af_tell("%s: %s: %s", command, named ? named : path, strerror(error));
    return -error;
}

size_t af_ledger_dir_clean(int directory, unsigned after_s) {
    clean(directory);
    return af_expire_ledgers(directory, after_s);
}

/* Where the directories of runs go. */
static int open_base(const struct af_policy *policy, char path[PATH_MAX]) {
    int fd;
    if (policy->ledger == AF_LEDGER_DIRECTORY) {
        snprintf(path, PATH_MAX, "%s", policy->ledger_dir);
        /* That of a run by root which this one is inside of, as another user, may not be listed. */
        if ((fd = open(path, OPEN_DIRECTORY)) >= 0 || (fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0)
            return fd;
        int error = errno;
        fd = af_ledger_dir_default(path);
        af_tell("ledger=%s: %s%s%s", policy->ledger_dir, strerror(error), fd >= 0 ? "; using " : "",
                fd >= 0 ? path : "");
        return fd;
    }
    return af_ledger_dir_default(path);
}

static bool random_name(char *out, size_t room, bool keep) {
    uint64_t n[2];
    if (getrandom(n, sizeof n, 0) != (ssize_t)sizeof n)
        return false;
    snprintf(out, room, PREFIX "%d-%016llx%016llx%s", (int)getpid(), (unsigned long long)n[0], (unsigned long long)n[1],
             keep ? KEEP : "");
    return true;
}

static bool is_box(const struct stat *st) {
    return st->st_uid == 0 && (st->st_mode & 07777) == BOX;
}

/* Can every user come as far as `path`, and through it? */
static bool is_open_to_all(const char *path) {
    struct stat st;
    char part[PATH_MAX];
    for (const char *at = path; *at; at += strspn(at, "/")) {
        at += strcspn(at, "/");
        snprintf(part, sizeof part, "%.*s", at == path ? 1 : (int)(at - path), path);
        if (stat(part, &st) != 0 || !(st.st_mode & S_IXOTH))
            return false;
    }
    return true;
}

/* 0, or an errno: ENOENT where a cleaner, between its making and its locking, has taken it for a left one. */
static int lock_made(struct af_run_dir *dir) {
    struct stat st;
    dir->directory = openat(dir->base, dir->name, OPEN_DIRECTORY | O_NOFOLLOW);
    if (dir->directory < 0)
        return errno;
    int error = flock(dir->directory, LOCK_EX) != 0 || fstat(dir->directory, &st) != 0            ? errno
                : !st.st_nlink || faccessat(dir->base, dir->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 ? ENOENT
                                                                                                  : 0;
    if (!error && geteuid() == 0 && fchmod(dir->directory, BOX) != 0)
        error = errno;
    if (error)
        close(dir->directory);
    return error;
}

/* Again only where a cleaner was faster: what else is in the way, descriptors that have run out, will stay so. */
static bool make_locked(struct af_run_dir *dir) {
    int error = EAGAIN;
    for (int i = 0; i < 16; i++) {
        if (!random_name(dir->name, sizeof dir->name, dir->keep))
            return false;
        if (mkdirat(dir->base, dir->name, 0700) != 0) {
            if (errno == EEXIST)
                continue;
            return false;
        }
        error = lock_made(dir);
        if (!error)
            return true;
        if (error != ENOENT) {
            unlinkat(dir->base, dir->name, AT_REMOVEDIR);
            break;
        }
    }
    errno = error;
    return false;
}

/* ---- removing ------------------------------------------------------------------------------------------- */

/* What another user has put there may be anything. */
static bool is_plain_file(int directory, const char *name) {
    struct stat st;
    return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static void move(int from, const char *name, int to) {
    if (renameat2(from, name, to, name, RENAME_NOREPLACE) != 0 && errno == EINVAL)
        renameat(from, name, to, name); /* a file system that cannot promise it */
}

/* Take the ledgers out of a directory and remove it; whatever else is in there keeps it. A box is emptied: others may
 * have put there what they liked, of which only a directory with something in it stays. */
static void dissolve(int base, int directory, const char *name) {
    size_t len = strlen(name), tail = strlen(KEEP);
    bool keep = len > tail && strcmp(name + len - tail, KEEP) == 0;
    const struct af_strings leaving = { (char *[]){ (char *)name }, 1 };
    clean(directory); /* of a run inside this run */
    int held = af_metrics_history_keep(base, keep ? NULL : &leaving);
    if (held == -EAGAIN)
        return; /* a later command finds it */
    int again = openat(directory, ".", OPEN_DIRECTORY);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    struct stat st;
    const bool box = fstat(directory, &st) == 0 && is_box(&st);
    size_t kept = 0;
    for (struct dirent *e; list && (e = readdir(list));)
        if (af_is_ledger_name(e->d_name) && keep && is_plain_file(directory, e->d_name) && (!box || kept++ < MOST_KEPT))
            move(directory, e->d_name, base);
        else if ((box || af_is_ledger_name(e->d_name)) && unlinkat(directory, e->d_name, 0) != 0 && box)
            unlinkat(directory, e->d_name, AT_REMOVEDIR);
    if (list)
        closedir(list);
    unlinkat(directory, AF_METRICS_HISTORY_FILE, 0);
    unlinkat(base, name, AT_REMOVEDIR);
    if (held >= 0)
        close(held);
}

/* A process may have the directory in its environment and no TCP socket yet. */
static bool is_in_use(int directory, const struct af_collection *collection) {
    char path[PATH_MAX], link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = 0;
    if (af_collection_runs(collection))
        return true;
    char *setting = af_format("AFTERFIN_LEDGER=%s", path);
    bool used = len > 0 && af_is_in_environment(setting);
    free(setting);
    return used;
}

static void remove_if_left(int base, const char *name) {
    struct stat st;
    int directory = openat(base, name, OPEN_DIRECTORY | O_NOFOLLOW);
    if (directory < 0)
        return;
    if (fstat(directory, &st) == 0 && st.st_uid == geteuid() && flock(directory, LOCK_EX | LOCK_NB) == 0) {
        struct af_collection collection;
        af_collect(&collection, directory);
        if (!is_in_use(directory, &collection))
            dissolve(base, directory, name);
        af_collection_free(&collection);
    }
    close(directory);
}

/* Remove what runs that are gone have left in the base directory. */
static void clean(int base) {
    int again = openat(base, ".", OPEN_DIRECTORY);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    for (struct dirent *e; list && (e = readdir(list));)
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0)
            remove_if_left(base, e->d_name);
    if (list)
        closedir(list);
}

/* ---- the run's own ---------------------------------------------------------------------------------------- */

/* `ours`: it is no directory that the user has named. */
static bool make_in(struct af_run_dir *dir, const char *base, bool ours) {
    if (dir->base < 0)
        return false;
    if (ours && geteuid() == 0 && fchmod(dir->base, 0711) != 0)
        return false;
    clean(dir->base);
    if (make_locked(dir)) {
        char *real = realpath(base, NULL); /* what is_in_use will see */
        int len = snprintf(dir->path, sizeof dir->path, "%s/%s", real ? real : base, dir->name);
        dir->closed = geteuid() == 0 && !is_open_to_all(real ? real : base);
        free(real);
        if (len < (int)sizeof dir->path)
            return true;
        unlinkat(dir->base, dir->name, AT_REMOVEDIR);
        close(dir->directory);
    }
    close(dir->base);
    return false;
}

/* An image from scratch has no /tmp, and a root that may only be read no use of it; what runs containers makes /dev/shm. */
static bool make_elsewhere(struct af_run_dir *dir) {
    static const char *const places[] = { "/tmp", "/dev/shm" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(dir->temporary, sizeof dir->temporary, "%s/afterfin-XXXXXX", places[i]);
        const bool made = mkdtemp(dir->temporary);
        dir->base = made ? open(dir->temporary, OPEN_DIRECTORY) : -1;
        if (make_in(dir, dir->temporary, true))
            return true;
        const int error = errno;
        if (made)
            rmdir(dir->temporary);
        errno = error;
    }
    return false;
}

bool af_run_dir_make(struct af_run_dir *dir, const char *who, const struct af_policy *policy) {
    char base[PATH_MAX] = "";
    dir->keep = policy->ledger != AF_LEDGER_OFF;
    dir->temporary[0] = 0;
    dir->base = open_base(policy, base);
    if (make_in(dir, base, policy->ledger != AF_LEDGER_DIRECTORY || strcmp(base, policy->ledger_dir) != 0))
        return true;
    if (make_elsewhere(dir)) {
        if (dir->keep)
            af_tell("%s: %s cannot be used; the ledgers go to %s", who, base, dir->temporary);
        return true;
    }
    af_tell("%s: no directory for ledgers, neither %s nor in /tmp or /dev/shm: %s", who, base, strerror(errno));
    return false;
}

void af_run_dir_leave(struct af_run_dir *dir, const struct af_collection *collection) {
    if (!is_in_use(dir->directory, collection))
        dissolve(dir->base, dir->directory, dir->name);
    if (dir->temporary[0])
        rmdir(dir->temporary); /* which fails, as it should, while something is in it */
    close(dir->directory);
    close(dir->base);
}
