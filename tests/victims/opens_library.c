/* Opens a library, and has it make N connections.
 *
 * opens_library HOW LIBRARY ADDRESS PORT N    HOW: lazy or now, both perhaps with _deep; twice as that, but closed between */
#include "way.h"

typedef void going(const char *address, const char *port, int n);

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    int mode = strncmp(argv[1], "lazy", 4) == 0 ? RTLD_LAZY : RTLD_NOW;
#ifdef RTLD_DEEPBIND
    mode |= strstr(argv[1], "_deep") ? RTLD_DEEPBIND : 0;
#endif
    for (int i = strstr(argv[1], "twice") ? 0 : 1; i < 2; i++) {
        void *library = dlopen(argv[2], mode);
        if (!library) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        MUST(dlerror() == NULL);
        going *go = (going *)dlsym(library, "go");
        MUST(go);
        go(argv[3], argv[4], atoi(argv[5]));
        MUST(dlclose(library) == 0);
    }
    return 0;
}
