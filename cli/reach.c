/* Looks at the file that exec would run, and through a script at its interpreter. */
#include "cli/reach.h"
#include "cli/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPT_LINE = 256, SCRIPT_DEPTH = 5 }; /* the kernel's own limits: BINPRM_BUF_SIZE, exec_binprm() */

/* What is looked at: `path`, on behalf of `script` where that is not NULL. */
struct target {
    const char *path, *script;
    char *why;
};

static bool no(const struct target *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool no(const struct target *t, const char *format, ...) {
    int used = t->script ? snprintf(t->why, 512, "%s, the interpreter of %s, ", t->path, t->script)
                         : snprintf(t->why, 512, "%s ", t->path);
    va_list args;
    va_start(args, format);
    if (used < 512)
        vsnprintf(t->why + used, 512 - (size_t)used, format, args);
    va_end(args);
    return false;
}

/* Where the ids or capabilities change, the loader ignores LD_PRELOAD. */
static bool gains_no_privilege(const struct target *t, int fd) {
    struct stat st;
    struct statvfs fs;
    char caps[64];
    if (fstat(fd, &st) != 0 || (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID))
        return true;
    bool may_change = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
    if (may_change && st.st_mode & S_ISUID && st.st_uid != getuid())
        return no(t, "is setuid (to user %u): the dynamic linker ignores LD_PRELOAD there", (unsigned)st.st_uid);
    if (may_change && (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
        return no(t, "is setgid (to group %u): the dynamic linker ignores LD_PRELOAD there", (unsigned)st.st_gid);
    if (getuid() != 0 && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0)
        return no(t, "has file capabilities: the dynamic linker ignores LD_PRELOAD there");
    return true;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_same_file(int fd, const char *path) {
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Our own loader stands for the libc that the library was built for. */
static bool loads_libraries(const struct target *t, int fd, const struct af_elf *elf) {
    struct af_elf self = { .loader = "" };
    if (!af_elf_native(elf))
        return no(t, "is a program for %s: the library is not", af_elf_machine(elf));
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (own >= 0) {
        af_elf_read(own, &self);
        close(own);
    }
    if (!elf->loader[0]) /* the loader itself, run as a command, is static too and does preload */
        return (self.loader[0] && is_same_file(fd, self.loader)) ||
               no(t, "is statically linked: nothing can be preloaded into it");
    if (self.loader[0] && strcmp(base_name(elf->loader), base_name(self.loader)) != 0)
        return no(t, "uses another C library than the library (its loader is %s)", elf->loader);
    return true;
}

/* The interpreter named in a first line "#! PATH [ARG]", as the kernel reads it. */
static bool read_interpreter(int fd, char out[SCRIPT_LINE]) {
    char line[SCRIPT_LINE];
    ssize_t got = pread(fd, line, sizeof line - 1, 0);
    if (got < 2 || line[0] != '#' || line[1] != '!')
        return false;
    line[got] = 0;
    line[2 + strcspn(line + 2, "\n")] = 0;
    const char *start = line + 2 + strspn(line + 2, " \t");
    snprintf(out, SCRIPT_LINE, "%.*s", (int)strcspn(start, " \t"), start);
    return out[0] != 0;
}

static bool reach_file(const struct target *t, int depth) {
    int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    struct af_elf elf;
    char interpreter[SCRIPT_LINE];
    bool ok = true;
    if (fd < 0)
        return true;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (af_elf_read(fd, &elf)) {
            ok = loads_libraries(t, fd, &elf) && gains_no_privilege(t, fd);
        } else if (depth < SCRIPT_DEPTH && read_interpreter(fd, interpreter)) {
            const struct target next = { interpreter, t->script ? t->script : t->path, t->why };
            ok = reach_file(&next, depth + 1);
        } /* anything else is run by execvp's /bin/sh, or fails there */
    }
    close(fd);
    return ok;
}

/* execvp(3) takes the first that may be executed. */
bool af_reachable(const char *command, const char *path, char why[512]) {
    char candidate[PATH_MAX];
    struct target t = { command, NULL, why };
    if (strchr(command, '/'))
        return reach_file(&t, 0);
    for (const char *dir = path ? path : "/bin:/usr/bin";; dir++) {
        size_t len = strcspn(dir, ":");
        int used = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)len, dir, len ? "/" : "", command);
        struct stat st;
        if (used < (int)sizeof candidate && stat(candidate, &st) == 0 && S_ISREG(st.st_mode) &&
            faccessat(AT_FDCWD, candidate, X_OK, AT_EACCESS) == 0) {
            t.path = candidate;
            return reach_file(&t, 0);
        }
        dir += len;
        if (!*dir)
            return true;
    }
}
