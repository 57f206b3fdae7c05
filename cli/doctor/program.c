/* Will run reach PROGRAM, and through which of its calls? */
#include "cli/doctor/doctor.h"
#include "cli/launch/preload.h"
#include "cli/launch/supervisor.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const intercepted[] = {
#define CALL(result, name, parameters, arguments) #name,
#define ALIAS(result, name, target, parameters, arguments) #name,
#define VARIADIC(result, name, parameters) #name,
#define ALSO(name, target) #name,
#include "shim/calls.def"
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
};
enum { N_INTERCEPTED = sizeof intercepted / sizeof *intercepted };

/* A connection comes to be by one of these. */
static const char *const opening[] = { "socket", "connect", "__connect", "bind", "listen", "accept", "accept4" };

static bool is_among(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* ---- through which calls -------------------------------------------------------------------------------------- */

static struct af_through *add_through(struct af_program *p, const char *path) {
    p->through = af_room_for_one(p->through, p->n_through, sizeof *p->through);
    struct af_through *t = &p->through[p->n_through++];
    *t = (struct af_through){ .path = af_format("%s", path), .calls = af_array(NULL, N_INTERCEPTED, sizeof *t->calls) };
    return t;
}

static void add_calls(struct af_through *t, const struct af_elf_dynamic *d, bool opens) {
    for (size_t i = 0; i < N_INTERCEPTED; i++)
        if (is_among(intercepted[i], opening, sizeof opening / sizeof *opening) == opens &&
            is_among(intercepted[i], d->imports, d->n_imports))
            t->calls[t->n_calls++] = intercepted[i];
}

/* ---- what passes by ------------------------------------------------------------------------------------------- */

static void add_past(struct af_program *p, const char *path, enum af_past_by by) {
    p->past = af_room_for_one(p->past, p->n_past, sizeof *p->past);
    p->past[p->n_past++] = (struct af_past){ af_format("%s", path), by };
}

/* musl knows neither RTLD_DEEPBIND nor dlmopen. What the program does itself is told as its own. */
static void look_for_past(struct af_program *p, const char *path, const struct af_elf_dynamic *d, bool own) {
    struct af_elf_code code = { .go = false };
    int fd = own ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const bool is_glibc = p->libc && strcmp(p->libc, "glibc") == 0;
    if (is_glibc && d->runpath && is_among("dlopen", d->imports, d->n_imports))
        add_past(p, path, AF_BY_DEEPBIND);
    if (is_glibc && is_among("dlmopen", d->imports, d->n_imports))
        add_past(p, path, AF_BY_DLMOPEN);
    if (fd < 0)
        return;
    af_elf_code(fd, &code);
    close(fd);
    if (code.opening || code.go)
        add_past(p, path, AF_BY_KERNEL);
}

/* ---- all of its files ------------------------------------------------------------------------------------------ */

static void look_at_imports(struct af_program *p, const char *path, bool own) {
    struct af_elf_dynamic d;
    af_elf_dynamic_of(path, &d);
    struct af_through *t = add_through(p, path);
    add_calls(t, &d, true);
    t->n_opening = t->n_calls;
    add_calls(t, &d, false);
    for (size_t i = 0; i < d.n_imports; i++) {
        p->loads_later |= strcmp(d.imports[i], "dlopen") == 0 || strcmp(d.imports[i], "dlmopen") == 0;
        p->io_uring |= strncmp(d.imports[i], "io_uring_", 9) == 0;
    }
    look_for_past(p, path, &d, own);
    af_elf_dynamic_free(&d);
    if (t->n_calls && (own || t->n_opening))
        return;
    free(t->path);
    free(t->calls);
    p->n_through--;
}

static void look_through(struct af_program *p, const char *path) {
    look_at_imports(p, path, !p->elf.library);
    p->n_libraries = af_libraries(path, &p->libraries);
    for (size_t i = 0; i < p->n_libraries; i++)
        if (p->libraries[i].path)
            look_at_imports(p, p->libraries[i].path, false);
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

/* The first reason stays. */
static void refuse(struct af_program *p, char *why) {
    p->reached = AF_NOT_REACHED;
    if (p->why)
        free(why);
    else
        p->why = why;
}

static const char *libc_of(const char *loader) {
    const char *slash = strrchr(loader, '/'), *name = slash ? slash + 1 : loader;
    return !*loader                            ? NULL
           : strncmp(name, "ld-linux", 8) == 0 ? "glibc"
           : strncmp(name, "ld-musl-", 8) == 0 ? "musl"
                                               : "other";
}

bool af_program_opens(const struct af_program *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_through; i++)
        n += p->through[i].n_opening;
    return n > 0;
}

/* No program: what opens it is one. */
static void look_at_library(struct af_program *p, const char *path) {
    free(p->why);
    p->why = NULL;
    p->reached = AF_REACHED;
    look_through(p, path);
    for (size_t i = 0; i < p->n_past; i++)
        if (p->past[i].by == AF_BY_KERNEL)
            refuse(p, af_format("%s makes connections by instructions of its own", p->past[i].path));
}

static void look_at_elf(struct af_program *p, int fd, const struct stat *st, const char *path) {
    char caps[64];
    p->setuid = st->st_mode & S_ISUID;
    p->setgid = (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    p->capabilities = fgetxattr(fd, "security.capability", caps, sizeof caps) > 0;
    p->libc = libc_of(p->elf.loader);
    af_elf_code(fd, &p->code);
    if (p->elf.library) {
        look_at_library(p, path);
        return;
    }
    if (p->reached == AF_NOT_REACHED || p->reached == AF_FROM_OUTSIDE)
        return;
    p->library = af_preload_library(p->reach.is_i386);
    if (p->reach.is_i386)
        return;
    look_through(p, path);
    if (p->code.go) {
        p->reached = AF_ONLY_LOADED;
        p->why = af_format("%s is written in Go, which calls the kernel by itself: the library is loaded, and sees "
                           "only what C code in it does; run reaches the rest from outside",
                           path);
    } else if (p->code.kernel_calls && !af_program_opens(p)) {
        p->reached = AF_ONLY_LOADED;
        p->why = af_format("%s has %llu instruction%s the kernel and takes no call for "
                           "connections from libc: the library is loaded, and sees none",
                           path, (unsigned long long)p->code.kernel_calls,
                           af_plural(p->code.kernel_calls, " of its own that enters", "s of its own that enter"));
    }
}

/* No ELF file that the kernel would run, and no script. */
static void look_at_other(struct af_program *p, int fd, const char *path) {
    char head[256];
    const ssize_t size = pread(fd, head, sizeof head, 0);
    if (size < 0)
        refuse(p, af_format("%s: %s", path, strerror(errno)));
    else if (size >= 4 && memcmp(head,
                                 "\x7f"
                                 "ELF",
                                 4) == 0)
        refuse(p, af_format("%s is a broken ELF file, which the kernel would not run", path));
    else if (memchr(head, 0, (size_t)size))
        refuse(p, af_format("%s is no program: neither ELF nor text", path));
    else
        p->kind = "other";
}

static void look_at_file(struct af_program *p, const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        refuse(p, p->reach.n_files > 1
                      ? af_format("%s: its interpreter %s: %s", p->reach.files[0], path, strerror(errno))
                      : af_format("%s: %s", path, strerror(errno)));
    } else if (!S_ISREG(st.st_mode)) {
        refuse(p, af_format("%s is %s", path, S_ISDIR(st.st_mode) ? "a directory" : "no regular file"));
    } else if (af_elf_read(fd, &p->elf) && (p->elf.library || !p->reach.error)) {
        p->kind = p->reach.n_files > 1 ? "script" : "elf";
        look_at_elf(p, fd, &st, path);
    } else if (p->reach.error) {
        refuse(p, af_format("%s %s: %s", path, p->reach.error == ENOENT ? "has nothing to run" : "cannot be run",
                            strerror(p->reach.error)));
    } else {
        p->elf.class = 0;
        look_at_other(p, fd, path);
    }
    if (fd >= 0)
        close(fd);
}

/* As run does, in whose words it is said. */
static void look_at_supervisor(struct af_program *p) {
    const char *why = NULL;
    p->reached = AF_FROM_OUTSIDE;
    af_supervisor_way(&why);
    if (!why)
        return;
    free(p->why);
    p->why = NULL;
    refuse(p, af_format("%s: %s", p->reach.why, why));
}

void af_program_read(const char *command, const char *path, struct af_program *p) {
    memset(p, 0, sizeof *p);
    p->name = command;
    af_reach(command, path, &p->reach);
    if (!p->reach.reachable)
        refuse(p, af_format("%s", p->reach.why));
    if (p->reach.is_static)
        look_at_supervisor(p);
    if (p->reach.n_files)
        look_at_file(p, p->reach.files[p->reach.n_files - 1]);
    else
        refuse(p, af_format("%s: %s", command, strerror(p->reach.error)));
}

void af_program_free(struct af_program *p) {
    af_reach_free(&p->reach);
    free(p->why);
    for (size_t i = 0; i < p->n_through; i++) {
        free(p->through[i].path);
        free(p->through[i].calls);
    }
    free(p->through);
    for (size_t i = 0; i < p->n_past; i++)
        free(p->past[i].path);
    free(p->past);
    for (size_t i = 0; i < p->n_libraries; i++) {
        free(p->libraries[i].name);
        free(p->libraries[i].path);
    }
    free(p->libraries);
}
