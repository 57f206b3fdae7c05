/* One connection under a limit on memory, and what memory it took: VmSize and VmLck in KiB at the end, the ns that the
 * first socket took, and whether a MiB can still be had.
 *
 *   plain             lock_before, lock_after   mlockall(MCL_CURRENT | MCL_FUTURE) before the first socket, or after
 *   lines             600 times it has let go of its stderr, of which it keeps a copy
 *   address_space     RLIMIT_AS is 6 MiB more than what the program has
 *
 * memory WAY ADDRESS PORT */
#include "way.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static long field(const char *path, const char *name) {
    FILE *file = fopen(path, "re");
    char line[256];
    long value = -1;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atol(line + strlen(name));
    if (file)
        fclose(file);
    return value;
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    const bool before = strcmp(argv[1], "lock_before") == 0, after = strcmp(argv[1], "lock_after") == 0;
    free(malloc(100000)); /* a heap */
    say_number("VmSize", field("/proc/self/status", "VmSize:"));
    if (strcmp(argv[1], "address_space") == 0) {
        const rlim_t most = (rlim_t)(field("/proc/self/status", "VmSize:") + 6 * 1024) * 1024;
        MUST(setrlimit(RLIMIT_AS, &(struct rlimit){ most, most }) == 0);
    }
    if (before)
        say_result("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE));
    int64_t began = now();
    int first = socket(AF_INET, SOCK_STREAM, 0);
    say_number("first", (long)(now() - began));
    int fd = connected(argv[2], argv[3]);
    for (int i = 0, kept = dup(2); strcmp(argv[1], "lines") == 0 && i < 600; i++)
        MUST(close(2) == 0 && dup2(kept, 2) == 2);
    if (after)
        say_result("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE));
    say_number("VmSize", field("/proc/self/status", "VmSize:"));
    say_number("VmLck", field("/proc/self/status", "VmLck:"));
    void *mib = malloc(1 << 20);
    say("malloc", mib ? "1 MiB" : "nothing");
    free(mib);
    MUST(close(first) == 0 && close(fd) == 0);
    return 0;
}
