/* Finds the libraries of a program as ld.so(8) does: LD_LIBRARY_PATH, the search path in the file, /etc/ld.so.cache,
 * the usual directories. Nothing is loaded for it. */
#include "cli/doctor/doctor.h"
#include "cli/output/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_CACHE = 1 << 26 };

/* ---- /etc/ld.so.cache: the format that glibc has written since 2.2, alone since 2.32 -------------------------- */

struct cache_entry {
    int32_t flags;
    uint32_t name, path; /* offsets in the file */
    uint32_t os_version;
    uint64_t hardware;
};
struct cache {
    char magic[20];
    uint32_t n, strings;
    uint32_t unused[5];
    struct cache_entry entries[];
};

struct search {
    char *cache; /* the file, and a NUL more; NULL: none */
    size_t cache_size, n_cached;
    struct af_library *all;
    size_t n;
};

static void read_cache(struct search *s) {
    struct stat st;
    struct cache head;
    int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof head && st.st_size < MAX_CACHE) {
        s->cache_size = (size_t)st.st_size;
        s->cache = af_array(NULL, s->cache_size + 1, 1);
        s->cache[s->cache_size] = 0;
        ssize_t got = pread(fd, s->cache, s->cache_size, 0);
        memcpy(&head, s->cache, sizeof head);
        if (got == st.st_size && memcmp(head.magic, "glibc-ld.so.cache1.1", sizeof head.magic) == 0 &&
            head.n <= (s->cache_size - sizeof head) / sizeof *head.entries)
            s->n_cached = head.n;
    }
    close(fd);
}

static const char *cached_string(const struct search *s, uint32_t at) {
    return at < s->cache_size ? s->cache + at : "";
}

/* ---- one library ---------------------------------------------------------------------------------------------- */

/* Of our machine? The cache has libraries of others too. */
static bool is_ours(const char *path) {
    struct af_elf elf;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool ours = fd >= 0 && af_elf_read(fd, &elf) && af_elf_native(&elf);
    if (fd >= 0)
        close(fd);
    return ours;
}

/* DIRECTORY/NAME if it is there, `directory` being `len` bytes in which $ORIGIN stands for that of `from`. */
static char *in_directory(const char *directory, size_t len, const char *from, const char *name) {
    static const char *const origins[] = { "$ORIGIN", "${ORIGIN}" };
    const char *slash = strrchr(from, '/');
    char *path = NULL;
    for (int i = 0; i < 2 && slash && !path; i++) {
        size_t skip = strlen(origins[i]);
        if (len >= skip && memcmp(directory, origins[i], skip) == 0)
            path = af_format("%.*s%.*s/%s", (int)(slash - from), from, (int)(len - skip), directory + skip, name);
    }
    path = path ? path : af_format("%.*s/%s", (int)len, directory, name);
    if (is_ours(path))
        return path;
    free(path);
    return NULL;
}

static char *in_list(const char *list, const char *from, const char *name) {
    char *path = NULL;
    while (list && *list && !path) {
        size_t len = strcspn(list, ":;");
        if (len)
            path = in_directory(list, len, from, name);
        list += len + (list[len] != 0);
    }
    return path;
}

static char *find(const struct search *s, const char *name, const char *runpath, const char *from) {
    static const char usual[] = "/lib64:/usr/lib64:/lib:/usr/lib";
    if (strchr(name, '/'))
        return is_ours(name) ? af_format("%s", name) : NULL;
    char *path = in_list(getenv("LD_LIBRARY_PATH"), from, name);
    path = path ? path : in_list(runpath, from, name);
    for (size_t i = 0; i < s->n_cached && !path; i++) {
        struct cache_entry entry;
        memcpy(&entry, s->cache + offsetof(struct cache, entries) + i * sizeof entry, sizeof entry);
        const char *known = cached_string(s, entry.path);
        if (strcmp(cached_string(s, entry.name), name) == 0 && is_ours(known))
            path = af_format("%s", known);
    }
    return path ? path : in_list(usual, from, name);
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

/* What libc calls inside itself does not pass through the library, whatever it imports. */
static bool is_of_libc(const char *name) {
    static const char *const own[] = { "libc.so",   "libc.musl-", "libm.so.",      "libpthread.so.",
                                       "libdl.so.", "librt.so.",  "libresolv.so.", "ld-linux" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return true;
    return false;
}

static bool is_known(const struct search *s, const char *name) {
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->all[i].name, name) == 0)
            return true;
    return false;
}

static void add_needed(struct search *s, const char *path) {
    struct af_elf_dynamic dynamic;
    af_elf_dynamic_of(path, &dynamic);
    for (size_t i = 0; i < dynamic.n_needed; i++) {
        const char *name = dynamic.needed[i];
        if (is_of_libc(name) || is_known(s, name))
            continue;
        s->all = af_room_for_one(s->all, s->n, sizeof *s->all);
        s->all[s->n++] = (struct af_library){ af_format("%s", name), find(s, name, dynamic.runpath, path) };
    }
    af_elf_dynamic_free(&dynamic);
}

size_t af_libraries(const char *path, struct af_library **out) {
    struct search s = { .all = NULL };
    read_cache(&s);
    add_needed(&s, path);
    for (size_t i = 0; i < s.n; i++)
        if (s.all[i].path)
            add_needed(&s, s.all[i].path);
    free(s.cache);
    *out = s.all;
    return s.n;
}
