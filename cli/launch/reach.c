/* Looks at the file that exec would run, and through a script at its interpreter. */
#include "cli/launch/reach.h"
#include "cli/elf/elf.h"
#include "cli/launch/preload.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPT_LINE = 256 }; /* the kernel's own limit: BINPRM_BUF_SIZE */

/* The interpreter of a first line "#! PATH [ARGUMENT]", as the kernel reads it. */
struct script {
    char interpreter[SCRIPT_LINE], argument[SCRIPT_LINE];
};

static bool no(struct af_reach *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool no(struct af_reach *r, const char *format, ...) {
    const char *path = r->files[r->n_files - 1];
    int used = r->n_files > 1 ? snprintf(r->why, sizeof r->why, "%s, the interpreter of %s, ", path, r->files[0])
                              : snprintf(r->why, sizeof r->why, "%s ", path);
    va_list args;
    va_start(args, format);
    if (used < (int)sizeof r->why)
        vsnprintf(r->why + used, sizeof r->why - (size_t)used, format, args);
    va_end(args);
    return r->reachable = false;
}

/* Where the ids or capabilities change, the loader ignores LD_PRELOAD. */
static bool gains_no_privilege(struct af_reach *r, int fd) {
    struct stat st;
    struct statvfs fs;
    char caps[64];
    if (fstat(fd, &st) != 0 || (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID))
        return true;
    bool may_change = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
    if (may_change && st.st_mode & S_ISUID && st.st_uid != getuid())
        return no(r, "is setuid (to user %u): the dynamic linker ignores LD_PRELOAD there", (unsigned)st.st_uid);
    if (may_change && (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
        return no(r, "is setgid (to group %u): the dynamic linker ignores LD_PRELOAD there", (unsigned)st.st_gid);
    if (getuid() != 0 && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0)
        return no(r, "has file capabilities: the dynamic linker ignores LD_PRELOAD there");
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

static bool is_musl(const char *loader) {
    return strncmp(base_name(loader), "ld-musl-", 8) == 0;
}

static bool loads_library_32(struct af_reach *r, const struct af_elf *elf) {
    static const char glibc[] = "ld-linux.so.2";
    const char *loader = elf->loader[0] ? elf->loader : r->files[r->n_files - 1];
    r->is_i386 = true;
    r->is_musl = is_musl(loader);
    if (strcmp(base_name(loader), glibc) != 0 && !r->is_musl) {
        r->is_static = !elf->loader[0];
        return r->is_static
                   ? no(r, "is statically linked (for 32-bit x86): nothing can be preloaded into it")
                   : no(r, "is a program for 32-bit x86, and uses another C library (its loader is %s)", loader);
    }
    return af_preload_library(true) ||
           no(r,
              "is a program for 32-bit x86, and the library for those is not installed (afterfin(7) says where it goes)");
}

/* Our own loader stands for glibc. */
static bool loads_libraries(struct af_reach *r, int fd, const struct af_elf *elf) {
    struct af_elf self = { .loader = "" };
    if (elf->library && !is_musl(r->files[r->n_files - 1]))
        return no(r, "is a library and no program: others load it (doctor tells what it calls)");
    if (af_elf_is_i386(elf))
        return loads_library_32(r, elf);
    if (!af_elf_native(elf))
        return no(r,
                  "is a program for %s: the library is not; an afterfin of that machine's has one that is (make dist)",
                  af_elf_machine(elf));
    int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (own >= 0) {
        af_elf_read(own, &self);
        close(own);
    }
    /* The loader itself, run as a command, is static too and does preload. */
    if (!elf->loader[0] && !(self.loader[0] && is_same_file(fd, self.loader)) && !is_musl(r->files[r->n_files - 1])) {
        r->is_static = true;
        return no(r, "is statically linked: nothing can be preloaded into it");
    }
    if (elf->loader[0] && self.loader[0] && strcmp(base_name(elf->loader), base_name(self.loader)) != 0 &&
        !is_musl(elf->loader))
        return no(r, "uses another C library than the library (its loader is %s)", elf->loader);
    return true;
}

static bool read_script(int fd, struct script *out) {
    char line[SCRIPT_LINE];
    ssize_t got = pread(fd, line, sizeof line - 1, 0);
    if (got < 2 || line[0] != '#' || line[1] != '!')
        return false;
    line[got] = 0;
    line[2 + strcspn(line + 2, "\n")] = 0;
    const char *start = line + 2 + strspn(line + 2, " \t");
    const size_t len = strcspn(start, " \t");
    snprintf(out->interpreter, sizeof out->interpreter, "%.*s", (int)len, start);
    snprintf(out->argument, sizeof out->argument, "%s", start + len + strspn(start + len, " \t"));
    return out->interpreter[0] != 0;
}

/* execvp(3) takes the first that may be executed. */
static bool find(struct af_reach *r, const char *command, const char *path, char out[PATH_MAX]) {
    r->error = ENOENT;
    if (strchr(command, '/'))
        return snprintf(out, PATH_MAX, "%s", command) < PATH_MAX;
    for (const char *dir = path ? path : "/bin:/usr/bin";; dir++) {
        size_t len = strcspn(dir, ":");
        int used = snprintf(out, PATH_MAX, "%.*s%s%s", (int)len, dir, len ? "/" : "", command);
        struct stat st;
        if (used < PATH_MAX && *command && stat(out, &st) == 0 && S_ISREG(st.st_mode)) {
            if (faccessat(AT_FDCWD, out, X_OK, AT_EACCESS) == 0)
                return true;
            r->error = EACCES;
        }
        dir += len;
        if (!*dir)
            return false;
    }
}

/* What `#!/usr/bin/env ARGUMENT` runs: env takes the kernel's one argument for a name, or with -S splits it into
 * words. False: that is not told here. */
static bool read_env(struct af_reach *r, char *argument, char command[SCRIPT_LINE]) {
    char *rest = NULL;
    const bool split = strncmp(argument, "-S", 2) == 0;
    char *word = split ? strtok_r(argument + 2, " \t", &rest) : argument;
    for (; word && *word; word = split ? strtok_r(NULL, " \t", &rest) : NULL) {
        if (strcmp(word, "-i") == 0 || strcmp(word, "-") == 0 || strcmp(word, "--ignore-environment") == 0)
            return no(r, "clears the environment (%s), and LD_PRELOAD with it", word);
        if (*word == '-')
            return false;
        if (!strchr(word, '=')) {
            snprintf(command, SCRIPT_LINE, "%s", word);
            return true;
        }
    }
    return false;
}

/* One file of the chain; true: `next` is the one after it. */
static bool examine(struct af_reach *r, int fd, const char *path, struct script *script, char next[PATH_MAX]) {
    char command[SCRIPT_LINE];
    struct af_elf elf;
    struct stat st;
    r->error = faccessat(AT_FDCWD, r->files[r->n_files - 1], X_OK, AT_EACCESS) == 0 ? 0 : errno;
    if (r->error || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    if (af_elf_read(fd, &elf)) {
        const bool loads = loads_libraries(r, fd, &elf);
        if ((loads || r->is_static) && !gains_no_privilege(r, fd))
            r->is_static = false;
        if (!r->reachable)
            return false;
        r->is_go = af_elf_is_go(fd);
        return r->n_files > 1 && strcmp(base_name(r->files[r->n_files - 1]), "env") == 0 &&
               read_env(r, script->argument, command) && find(r, command, path, next);
    }
    if (!read_script(fd, script)) /* run by execvp's /bin/sh, or it fails there */
        return false;
    return snprintf(next, PATH_MAX, "%s", script->interpreter) < PATH_MAX;
}

void af_reach(const char *command, const char *path, struct af_reach *r) {
    char next[PATH_MAX];
    struct script script = { .argument = "" };
    memset(r, 0, sizeof *r);
    r->reachable = true;
    bool more = find(r, command, path, next);
    while (more && r->n_files < AF_REACH_FILES) {
        r->files[r->n_files++] = af_format("%s", next);
        int fd = open(next, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
            r->error = errno;
            return;
        }
        more = examine(r, fd, path, &script, next);
        close(fd);
    }
    if (more)
        r->error = ELOOP;
}

void af_reach_free(struct af_reach *r) {
    for (size_t i = 0; i < r->n_files; i++)
        free(r->files[i]);
    r->n_files = 0;
}

static char *missing_loader(const char *file) {
    struct af_elf elf = { .loader = "" };
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const bool missing = fd >= 0 && af_elf_read(fd, &elf) && elf.loader[0] && access(elf.loader, F_OK) != 0;
    if (fd >= 0)
        close(fd);
    return missing ? af_format("its loader %s", elf.loader) : NULL;
}

char *af_reach_missing(const char *command, const char *path) {
    struct af_reach r;
    af_reach(command, path, &r);
    const char *last = r.n_files ? r.files[r.n_files - 1] : NULL;
    char *what = NULL;
    if (r.n_files > 1 && r.error == ENOENT && access(last, F_OK) != 0)
        what = af_format("its interpreter %s", last);
    else if (last && !r.error)
        what = missing_loader(last);
    af_reach_free(&r);
    return what;
}

enum af_way af_reach_way(const char *command, const char *path, char why[512]) {
    struct af_reach r;
    af_reach(command, path, &r);
    memcpy(why, r.why, sizeof r.why);
    af_reach_free(&r);
    return r.is_static ? AF_WAY_SUPERVISOR : !r.reachable ? AF_WAY_NONE : r.is_go ? AF_WAY_BOTH : AF_WAY_PRELOAD;
}

bool af_reachable(const char *command, const char *path, char why[512]) {
    struct af_reach r;
    af_reach(command, path, &r);
    memcpy(why, r.why, sizeof r.why);
    af_reach_free(&r);
    return r.reachable;
}
