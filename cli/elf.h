/* The few facts of an ELF file that decide whether a library can be preloaded into it. */
#ifndef AFTERFIN_CLI_ELF_H
#define AFTERFIN_CLI_ELF_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct af_elf {
    uint8_t class, data; /* ELFCLASS..., ELFDATA... */
    uint16_t machine;    /* EM_... */
    char loader[PATH_MAX]; /* PT_INTERP; empty: none, or not read (another class or byte order than ours) */
};

/* Is this native to the machine this command was built for? */
bool af_elf_native(const struct af_elf *elf);

/* Its architecture in words, for a message. */
const char *af_elf_machine(const struct af_elf *elf);

/* False: not an ELF file, or one that the kernel would not run. Nothing in the file is believed unchecked. */
bool af_elf_read(int fd, struct af_elf *out);

#endif
