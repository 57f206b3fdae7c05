/* What must hold of any file that is taken for a program, shared by fuzz_elf.c and test_elf.c. */
#ifndef AFTERFIN_TESTS_CLI_ELF_ELF_INVARIANTS_H
#define AFTERFIN_TESTS_CLI_ELF_ELF_INVARIANTS_H

#include <stddef.h>

enum { ELF_SEEDS = 4, ELF_SEED_ROOM = 4096 };

/* A small dynamic program, whole, that needs libc.so.6, imports connect, has one syscall instruction, and was made
 * by Go if `which` is odd. Returns its size. */
size_t elf_seed(unsigned which, void *out);

/* Read the open file in every way; NULL, or what does not hold. */
const char *elf_broken(int fd);

#endif
