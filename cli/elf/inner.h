/* What the readers of ELF files share. */
#ifndef AFTERFIN_CLI_ELF_INNER_H
#define AFTERFIN_CLI_ELF_INNER_H

#include "cli/elf/elf.h"

#include <elf.h>
#include <link.h>

enum { AF_ELF_HEADERS = 1024 }; /* program headers that are read at most */

/* All `size` bytes at this offset, or false. */
bool af_elf_at(int fd, uint64_t offset, void *to, size_t size);

/* The program headers of a native file; returns how many. 0: none, or not a file that the kernel would run. */
size_t af_elf_segments(int fd, ElfW(Phdr) out[AF_ELF_HEADERS]);

#endif
