/* What fuzzers begin with, where it is made rather than kept. */
#ifndef AFTERFIN_TESTS_FUZZ_SEEDS_H
#define AFTERFIN_TESTS_FUZZ_SEEDS_H

#include <stdio.h>
#include <stdlib.h>

/* Write n seeds of up to `room` bytes into the first directory that the fuzzer's arguments name. */
static inline void write_seeds(int argc, char **argv, unsigned n, size_t room, size_t (*make)(unsigned, void *)) {
    int at = 1;
    while (at < argc && argv[at][0] == '-')
        at++;
    for (unsigned i = 0; at < argc && i < n; i++) {
        char path[4096], *seed = malloc(room);
        const size_t size = seed ? make(i, seed) : 0;
        snprintf(path, sizeof path, "%s/seed%u", argv[at], i);
        FILE *to = fopen(path, "we");
        if (!to || fwrite(seed, 1, size, to) != size || fclose(to) != 0)
            abort();
        free(seed);
    }
}

#endif
