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
#define TEMPORARY "afterfin-" /* and RANDOM, of mkdtemp(3) */
#define RANDOM "XXXXXX"
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

/* A descriptor, or -errno: EPERM where it is not private to us. */
static int make_private(const char *path) {
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    /* Root's is to be searched, not listed, by who is on his way to the directory of a run. */
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (geteuid() ? 077 : 066)))
        return fd;
    close(fd);
    return -EPERM;
}

/* As the library does it (shim/memory.c): an XDG_RUNTIME_DIR that is another user's, or gone, is passed over. */
int af_ledger_dir_default(char path[PATH_MAX]) {
    char temporary[PATH_MAX];
    af_ledger_dir_name(geteuid(), getenv("XDG_RUNTIME_DIR"), path);
    af_ledger_dir_name(geteuid(), NULL, temporary);
    int fd = make_private(path), other = -1;
    if ((fd == -ENOENT || fd == -EACCES || fd == -EPERM) && strcmp(path, temporary) != 0)
        other = make_private(temporary);
    if (other >= 0) {
        memcpy(path, temporary, sizeof temporary);
        fd = other;
    }
    if (fd >= 0) {
        clean(fd);
        af_expire_ledgers(fd, AF_EXPIRE_AFTER_S);
    }
    return fd;
}

/* What was opened to be read, if it is the default directory: root's stands for all users', another user's for both that
 * are his. */
static int opened = -1;
static bool by_default;

static bool is_same(const struct stat *a, int directory) {
    struct stat b;
    return fstat(directory, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* Where a program has his ledgers that another user has started: it had the other's XDG_RUNTIME_DIR. */
static void collect_temporary(struct af_collection *c, int directory) {
    char path[PATH_MAX];
    struct stat st;
    af_ledger_dir_name(geteuid(), NULL, path);
    int fd = open(path, OPEN_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 077) && !is_same(&st, directory)) {
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
    if (directory >= 0)
        af_collect_add(c, directory, "", NULL);
    if (by_default && directory == opened && geteuid() == 0)
        af_collect_users(c);
    else if (by_default && directory == opened)
        collect_temporary(c, directory);
    af_collect_end(c);
}

int af_ledger_dir_open(const char *command, const char *named, int *directory) {
    char path[PATH_MAX];
    struct stat st;
    int fd = named ? open(named, OPEN_DIRECTORY) : af_ledger_dir_default(path);
    const int error = fd >= 0 ? 0 : named ? errno : -fd;
    *directory = opened = fd >= 0 ? fd : -1;
    by_default = !named;
    if (!error || (!named && lstat(path, &st) != 0 && errno == ENOENT))
        return 0;
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

static bool is_ledger(int directory, const char *name) {
    struct af_reader reader;
    struct af_reader_error error;
    const bool read = af_reader_open(&reader, directory, name, NULL, &error);
    if (read)
        af_reader_close(&reader);
    return read;
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
        if (af_is_ledger_name(e->d_name) && keep && is_plain_file(directory, e->d_name) &&
            (!box || (kept < MOST_KEPT && is_ledger(directory, e->d_name) && ++kept)))
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

static bool has_run(int base) {
    int again = openat(base, ".", OPEN_DIRECTORY);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    bool has = false;
    for (struct dirent *e; list && (e = readdir(list));)
        has |= strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0;
    if (list)
        closedir(list);
    return has;
}

/* Remove what a run that was killed, or left a daemon, had to put here: nobody else looks for it. Of six digits is the
 * default directory of a user; an empty one another run is just making. */
static void clean_temporary(const char *place) {
    DIR *list = opendir(place);
    struct stat st;
    for (struct dirent *e; list && (e = readdir(list));) {
        const char *tail = strncmp(e->d_name, TEMPORARY, strlen(TEMPORARY)) == 0 ? e->d_name + strlen(TEMPORARY) : "";
        if (strlen(tail) != strlen(RANDOM) || !tail[strspn(tail, "0123456789")])
            continue;
        int base = openat(dirfd(list), e->d_name, OPEN_DIRECTORY | O_NOFOLLOW);
        if (base >= 0 && fstat(base, &st) == 0 && st.st_uid == geteuid() && has_run(base)) {
            clean(base);
            unlinkat(dirfd(list), e->d_name, AT_REMOVEDIR); /* unless it is in use */
        }
        if (base >= 0)
            close(base);
    }
    if (list)
        closedir(list);
}

/* An image from scratch has no /tmp, and a root that may only be read no use of it; what runs containers makes /dev/shm. */
static bool make_elsewhere(struct af_run_dir *dir) {
    static const char *const places[] = { "/tmp", "/dev/shm" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        clean_temporary(places[i]);
        snprintf(dir->temporary, sizeof dir->temporary, "%s/" TEMPORARY RANDOM, places[i]);
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
    const int error = dir->base < 0 ? -dir->base : errno;
    const bool kept = dir->keep;
    dir->keep = false; /* nobody would look for them there, or remove them */
    if (make_elsewhere(dir)) {
        if (kept)
            af_tell("%s: %s cannot be used: %s; the ledgers are in %s, and gone when the run ends", who, base,
                    strerror(error), dir->path);
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
