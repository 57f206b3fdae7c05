/* libFuzzer's way into invariants.c: `make fuzz`. The input is a whole file, or the code in it. */
#include "cli/elf/elf.h"
#include "tests/cli/elf/elf_invariants.h"
#include "tests/fuzz/seeds.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    file = memfd_create("fuzz", MFD_CLOEXEC);
    write_seeds(*argc, *argv, ELF_SEEDS, ELF_SEED_ROOM, elf_seed);
    return file < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    const char *broken = elf_broken(file);
    for (size_t at = 0, length; !broken && at < size; at += length ? length : 1) {
        length = af_x86_length(data + at, size - at);
        if (length > size - at)
            broken = "an instruction that is longer than its code";
    }
    if (broken) {
        fprintf(stderr, "does not hold: %s\n", broken);
        abort();
    }
    return 0;
}
