/* A program with a dl_iterate_phdr of its own: PHDR in its environment says whether it knows nothing, nothing before main
 * (early), only itself, or, besides, passes for one whose libc has no pidfd_getfd (lacks).
 *
 * own_phdr ADDRESS PORT    connects, sends a byte, waits for one, closes */
#include "way.h"

#include <dlfcn.h>
#include <link.h>

static int in_main;

static void *next_dlsym(void *handle, const char *name) {
    static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5" };
    static void *(*real)(void *, const char *);
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    for (int i = 0; i < 3 && !real; i++)
        real = (void *(*)(void *, const char *))dlvsym(libc, "dlsym", versions[i]);
    return real(handle == RTLD_NEXT ? libc : handle, name);
}

void *dlsym(void *handle, const char *name) {
    const char *way = getenv("PHDR");
    return way && !strcmp(way, "lacks") && !strcmp(name, "pidfd_getfd") ? NULL : next_dlsym(handle, name);
}

int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *context) {
    int (*real)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
    const char *way = getenv("PHDR");
    struct dl_phdr_info itself = { .dlpi_name = "" };

    if (way && !strcmp(way, "itself"))
        return visit(&itself, sizeof itself, context);
    if (!way || strcmp(way, "early") != 0 || !in_main)
        return 0;
    real = (int (*)(int (*)(struct dl_phdr_info *, size_t, void *), void *))next_dlsym(RTLD_NEXT, "dl_iterate_phdr");
    return real(visit, context);
}

int main(int argc, char **argv) {
    int (*getfd)(int, int, unsigned) = (int (*)(int, int, unsigned))next_dlsym(RTLD_DEFAULT, "pidfd_getfd");
    char byte = 0;

    in_main = 1;
    int fd = connected(argv[1], argc > 2 ? argv[2] : "0");
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
        return 1;
    close(fd);
    errno = 0;
    int got = getfd(-1, -1, 0);
    printf("%d %s\n", got, error_name(errno));
    return 0;
}
