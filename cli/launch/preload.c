/* See preload.h. */
#include "cli/launch/preload.h"
#include "cli/elf/elf.h"
#include "cli/launch/reach.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define LIBRARY "libafterfin.so"
#ifndef AF_LIBDIR
#define AF_LIBDIR "/usr/local/lib"
#endif
#ifndef AF_MULTIARCH /* Debian's name of an architecture; empty elsewhere */
#define AF_MULTIARCH ""
#endif
/* Beside the library: a directory for each word that ld.so puts for $PLATFORM, which is never the same one in programs of
 * 64 and of 32 bits. musl puts nothing there, and finds a directory of that very name, with that of 64 bits. For glibc
 * ${PLATFORM} is the same as $PLATFORM, and for musl another directory, with that of 32 bits. What does not fit it musl
 * passes over without a word, and glibc what it has already. */
#define PLATFORMS "libafterfin"
#define I386 "i686"

/* Beside the command first: a checkout must not run the library that is installed. */
static const char *find_library(void) {
    static const char *const places[] = { LIBRARY, "../lib/" AF_MULTIARCH "/" LIBRARY, "../lib/" LIBRARY,
                                          "../lib/afterfin/" LIBRARY };
    char here[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", here, sizeof here - 1);
    here[len > 0 ? len : 0] = 0;
    if (len < 0 && !realpath((const char *)getauxval(AT_EXECFN), here)) /* no /proc: as it was started */
        here[0] = 0;
    char *slash = strrchr(here, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        char *found = realpath(af_format("%.*s/%s", (int)(slash - here), here, places[i]), NULL);
        if (found && access(found, R_OK) == 0)
            return found;
    }
    return access(AF_LIBDIR "/" LIBRARY, R_OK) == 0 ? AF_LIBDIR "/" LIBRARY : NULL;
}

/* The file for this platform; NULL: there is none. */
static char *for_platform(const char *library, const char *platform) {
    char *path = af_format("%.*s/" PLATFORMS "/%s/" LIBRARY, (int)(strrchr(library, '/') - library), library, platform);
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

const char *af_preload_library(bool i386) {
    const char *library = find_library();
    char *path = library && i386 ? for_platform(library, I386) : NULL;
    return i386 ? path ? realpath(path, NULL) : NULL : library;
}

/* What serves programs of both sizes, where the other one's library is there too. */
static const char *for_both(const char *library) {
    const char *own = (const char *)getauxval(AT_PLATFORM);
    return own && for_platform(library, own) && for_platform(library, I386)
               ? af_format("%.*s/" PLATFORMS "/$PLATFORM/" LIBRARY, (int)(strrchr(library, '/') - library), library)
               : library;
}

static bool is_library(const char *entry, size_t len) {
    const size_t size = strlen(LIBRARY);
    return len >= size && memcmp(entry + len - size, LIBRARY, size) == 0 &&
           (len == size || entry[len - size - 1] == '/');
}

/* Another copy of the library among the entries would count everything twice: it gives way. */
char *af_preload_value(const char *library, const char *former) {
    char *value = af_format("%s", library);
    const char *entry = former ? former : "";
    while (*(entry += strspn(entry, ": "))) {
        size_t len = strcspn(entry, ": ");
        if (len == strlen(library) && memcmp(entry, library, len) == 0)
            return af_format("%s", former);
        if (!is_library(entry, len))
            value = af_format("%s:%.*s", value, (int)len, entry);
        entry += len;
    }
    return value;
}

bool af_preload(struct af_settings *settings) {
    const char *library = find_library();
    if (!library) {
        af_tell("cannot find " LIBRARY ": it is neither beside this command nor in " AF_LIBDIR);
        return false;
    }
    if (library[strcspn(library, " :$")]) {
        af_tell("%s cannot be preloaded: the dynamic linker splits LD_PRELOAD at spaces and colons, and "
                "expands $; install it elsewhere",
                library);
        return false;
    }
    af_settings_set(settings, "LD_PRELOAD",
                    af_preload_value(for_both(library), af_settings_get(settings, "LD_PRELOAD")));
    return true;
}

static bool needs_sanitizer(const char *program) {
    static const char of_gcc[] = "libasan.so", of_clang[] = "libclang_rt.asan";
    struct af_elf_dynamic dynamic;
    bool needs = false;
    if (af_elf_dynamic_of(program, &dynamic))
        for (size_t i = 0; i < dynamic.n_needed; i++)
            needs |= strncmp(dynamic.needed[i], of_gcc, sizeof of_gcc - 1) == 0 ||
                     strncmp(dynamic.needed[i], of_clang, sizeof of_clang - 1) == 0;
    af_elf_dynamic_free(&dynamic);
    return needs;
}

/* Each program of a tree pays for a second entry, so only where there is need. */
static void add_for_musl(struct af_settings *settings) {
    static const char one[] = "/" PLATFORMS "/$PLATFORM/" LIBRARY, other[] = "/" PLATFORMS "/${PLATFORM}/" LIBRARY;
    const char *value = af_settings_get(settings, "LD_PRELOAD"), *at = strstr(value, one), *entry = at;
    if (!at || strstr(value, other))
        return;
    while (entry > value && !strchr(" :", entry[-1]))
        entry--;
    const char *end = at + sizeof one - 1;
    af_settings_set(settings, "LD_PRELOAD",
                    af_format("%.*s:%.*s%s%s", (int)(end - value), value, (int)(at - entry), entry, other, end));
}

void af_preload_for(struct af_settings *settings, const char *command) {
    static const char option[] = "verify_asan_link_order=0";
    const char *former = af_settings_get(settings, "ASAN_OPTIONS");
    struct af_reach reach;
    af_reach(command, getenv("PATH"), &reach);
    if (reach.is_i386 && reach.is_musl)
        add_for_musl(settings);
    if (reach.n_files && needs_sanitizer(reach.files[reach.n_files - 1]))
        af_settings_set(settings, "ASAN_OPTIONS",
                        former && *former ? af_format("%s:%s", former, option) : af_format("%s", option));
    af_reach_free(&reach);
}
