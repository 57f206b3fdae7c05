/* libFuzzer's way into reader_invariants.c: `make fuzz`. The input is a whole file. Whether a process lives is
 * asked of no kernel here: /proc would be read a thousand times a second, and would make the runs differ. */
#include "cli/alive.h"
#include "tests/reader_invariants.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int directory = -1, file = -1;

uint64_t af_own_namespace(const char *name) {
    (void)name;
    return 1;
}

bool af_is_alive(uint64_t pid_ns, int32_t pid, uint64_t start_ticks) {
    return (pid_ns ^ (uint64_t)pid ^ start_ticks) & 1;
}

void af_alive_look_again(void) {
}

/* Whole ledgers to begin with, in the first directory that is named. */
static void write_seeds(const char *corpus) {
    static char seed[READER_SEED_ROOM];
    for (unsigned i = 0; i < READER_SEEDS; i++) {
        char path[4096];
        size_t size = reader_seed(i, seed);
        snprintf(path, sizeof path, "%s/seed%u", corpus, i);
        FILE *to = fopen(path, "we");
        if (!to || fwrite(seed, 1, size, to) != size || fclose(to) != 0)
            abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static char path[] = "/tmp/afterfin-fuzz.XXXXXX";
    if (!mkdtemp(path) || (directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    file = openat(directory, "x.ledger", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (int i = 1; i < *argc; i++)
        if ((*argv)[i][0] != '-') {
            write_seeds((*argv)[i]);
            break;
        }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    const char *broken = reader_broken(directory);
    if (broken) {
        fprintf(stderr, "does not hold: %s\n", broken);
        abort();
    }
    return 0;
}
