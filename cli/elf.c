/* See elf.h. Every read is bounded, every number from the file checked before use. */
#include "cli/elf.h"

#include <elf.h>
#include <endian.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#if __ELF_NATIVE_CLASS == 64
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif
#define NATIVE_DATA (__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)

#if defined __x86_64__
#define NATIVE_MACHINE EM_X86_64
#elif defined __aarch64__
#define NATIVE_MACHINE EM_AARCH64
#else
#error "which EM_ number has this architecture?"
#endif

enum { MAX_HEADERS = 1024 };

bool af_elf_native(const struct af_elf *elf) {
    return elf->class == NATIVE_CLASS && elf->data == NATIVE_DATA && elf->machine == NATIVE_MACHINE;
}

const char *af_elf_machine(const struct af_elf *elf) {
    switch (elf->machine) {
    case EM_386: return "32-bit x86";
    case EM_X86_64: return elf->class == ELFCLASS32 ? "x32" : "x86-64";
    case EM_ARM: return "32-bit ARM";
    case EM_AARCH64: return "64-bit ARM";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "64-bit PowerPC";
    case EM_S390: return "s390";
    case EM_MIPS: return "MIPS";
    default: return "another architecture";
    }
}

/* A path that ends inside its segment, or none. */
static void read_loader(int fd, const ElfW(Phdr) *header, char loader[PATH_MAX]) {
    size_t size = header->p_filesz;
    if (size < 2 || size > PATH_MAX || header->p_offset > INT64_MAX / 2 ||
        pread(fd, loader, size, (off_t)header->p_offset) != (ssize_t)size || loader[size - 1] != 0)
        loader[0] = 0;
}

bool af_elf_read(int fd, struct af_elf *out) {
    ElfW(Ehdr) file;
    memset(out, 0, sizeof *out);
    if (pread(fd, &file, sizeof file, 0) != (ssize_t)sizeof file || memcmp(file.e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    out->class = file.e_ident[EI_CLASS];
    out->data = file.e_ident[EI_DATA];
    /* e_machine lies in the same place in both classes. */
    out->machine = out->data == NATIVE_DATA ? file.e_machine : __builtin_bswap16(file.e_machine);
    if (!af_elf_native(out))
        return true;
    if ((file.e_type != ET_EXEC && file.e_type != ET_DYN) || file.e_phentsize != sizeof(ElfW(Phdr)) ||
        file.e_phnum > MAX_HEADERS || file.e_phoff > INT64_MAX / 2)
        return false;
    for (unsigned i = 0; i < file.e_phnum && !out->loader[0]; i++) {
        ElfW(Phdr) header;
        if (pread(fd, &header, sizeof header, (off_t)(file.e_phoff + i * sizeof header)) != (ssize_t)sizeof header)
            return false;
        if (header.p_type == PT_INTERP)
            read_loader(fd, &header, out->loader);
    }
    return true;
}
