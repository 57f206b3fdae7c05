/* Opens a library, and has it make N connections.
 *
 * opens_library HOW LIBRARY ADDRESS PORT N
 * HOW: lazy or now, both perhaps with _deep, or with _apart: into a namespace of its own. _twice, _often: closed between; _five: five
 * at a time. _meanwhile: another thread opens and closes
 * libraries without end, and this one often. _shares: with a child that has each too. */
#include "way.h"

#include <pthread.h>
#include <sys/mman.h>

typedef void going(const char *address, const char *port, int n);

/* The C library's of this program: nothing that another one's functions do may change it. */
static void call(void *library, char **argv) {
    going *go = (going *)dlsym(library, strstr(argv[1], "_shares") ? "shares" : "go");
    MUST(go);
    errno = 77;
    go(argv[3], argv[4], atoi(argv[5]));
    MUST(!strstr(argv[1], "_apart") || errno == 77);
}

static void *opened(char **argv, int mode) {
#ifdef LM_ID_NEWLM
    if (strstr(argv[1], "_apart"))
        return dlmopen(LM_ID_NEWLM, argv[2], mode);
#endif
    return dlopen(argv[2], mode);
}

static void *open_others(void *path) {
    for (;;) {
        void *library = dlopen(path, RTLD_NOW);
        if (library)
            dlclose(library);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    void *libraries[5];
    const int times = strstr(argv[1], "_twice")   ? 2
                      : strstr(argv[1], "_often") ? 8
                                                  : 1,
              each = strstr(argv[1], "_five") ? 5 : 1;
    int mode = strncmp(argv[1], "lazy", 4) == 0 ? RTLD_LAZY : RTLD_NOW;
#ifdef RTLD_DEEPBIND
    mode |= strstr(argv[1], "_deep") ? RTLD_DEEPBIND : 0;
#endif
    pthread_t other;
    if (strstr(argv[1], "_meanwhile"))
        MUST(pthread_create(&other, NULL, open_others, "libm.so.6") == 0);
    for (int i = 0; strstr(argv[1], "_meanwhile") && i < 300; i++) {
        void *library = opened(argv, mode);
        MUST(library && dlclose(library) == 0);
    }
    for (int i = 0; i < times; i++) {
        for (int n = 0; n < each; n++)
            if (!(libraries[n] = opened(argv, mode))) {
                fprintf(stderr, "%s\n", dlerror());
                return 1;
            }
        MUST(dlerror() == NULL);
        for (int n = 0; n < each; n++)
            call(libraries[n], argv);
        for (int n = 0; n < each; n++)
            MUST(dlclose(libraries[n]) == 0);
        MUST(mmap(NULL, 4096 << i, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED); /* to lie elsewhere */
    }
    return 0;
}
