/* libFuzzer's way into reader_invariants.c: `make fuzz`. The input is a whole file. Whether a process lives is
 * asked of no kernel here: /proc would be read a thousand times a second, and would make the runs differ. */
#include "cli/kernel/process.h"
#include "cli/ledgers/collect.h"
#include "tests/fuzz/seeds.h"
#include "tests/ledger/reader_invariants.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int directory = -1, file = -1;

uint64_t af_own_namespace(const char *name) {
    (void)name;
    return 1;
}

bool af_process_running(uint64_t pid_ns, int32_t pid, uint64_t start_ticks) {
    return (pid_ns ^ (uint64_t)pid ^ start_ticks) & 1;
}

void af_process_list_anew(void) {
}

bool af_wait_for_writer(unsigned *spent_ms) {
    (void)spent_ms;
    return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    char path[4096];
    snprintf(path, sizeof path, "%s.ledgers", (*argv)[0]);
    mkdir(path, 0700);
    if ((directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    file = openat(directory, "x.ledger", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    write_seeds(*argc, *argv, READER_SEEDS, READER_SEED_ROOM, reader_seed);
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
