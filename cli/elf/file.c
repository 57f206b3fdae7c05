/* See elf.h. Every read is bounded, every number from the file checked before use. */
#include "cli/elf/inner.h"

#include <endian.h>
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

bool af_elf_native(const struct af_elf *elf) {
    return elf->class == NATIVE_CLASS && elf->data == NATIVE_DATA && elf->machine == NATIVE_MACHINE;
}

bool af_elf_is_i386(const struct af_elf *elf) {
    return NATIVE_MACHINE == EM_X86_64 && elf->class == ELFCLASS32 && elf->data == NATIVE_DATA &&
           elf->machine == EM_386;
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

bool af_elf_at(int fd, uint64_t offset, void *to, size_t size) {
    return offset <= INT64_MAX - size && pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* A path that ends inside its segment, or none. */
static void read_loader(int fd, uint64_t offset, size_t size, char loader[PATH_MAX]) {
    if (size < 2 || size > PATH_MAX || !af_elf_at(fd, offset, loader, size) || loader[size - 1] != 0)
        loader[0] = 0;
}

/* False: no ELF file. Of another class than ours only its beginning, the same in both, makes sense. */
static bool read_head(int fd, ElfW(Ehdr) *file, struct af_elf *out) {
    memset(out, 0, sizeof *out);
    if (!af_elf_at(fd, 0, file, sizeof *file) || memcmp(file->e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    out->class = file->e_ident[EI_CLASS];
    out->data = file->e_ident[EI_DATA];
    out->machine = out->data == NATIVE_DATA ? file->e_machine : __builtin_bswap16(file->e_machine);
    out->moves = af_elf_native(out) && file->e_type == ET_DYN;
    return true;
}

/* SIZE_MAX: not a file that the kernel would run. */
static size_t read_segments(int fd, const ElfW(Ehdr) *file, ElfW(Phdr) out[AF_ELF_HEADERS]) {
    if ((file->e_type != ET_EXEC && file->e_type != ET_DYN) || file->e_phentsize != sizeof *out ||
        file->e_phnum > AF_ELF_HEADERS || !af_elf_at(fd, file->e_phoff, out, file->e_phnum * sizeof *out))
        return SIZE_MAX;
    return file->e_phnum;
}

size_t af_elf_segments(int fd, ElfW(Phdr) out[AF_ELF_HEADERS]) {
    ElfW(Ehdr) file;
    struct af_elf elf;
    size_t n = read_head(fd, &file, &elf) && af_elf_native(&elf) ? read_segments(fd, &file, out) : 0;
    return n == SIZE_MAX ? 0 : n;
}

static bool read_i386(int fd, struct af_elf *out) {
    Elf32_Ehdr file;
    Elf32_Phdr header;
    if (!af_elf_at(fd, 0, &file, sizeof file) || (file.e_type != ET_EXEC && file.e_type != ET_DYN) ||
        file.e_phentsize != sizeof header || file.e_phnum > AF_ELF_HEADERS)
        return false;
    out->moves = file.e_type == ET_DYN;
    out->library = out->moves && file.e_entry == 0;
    for (size_t i = 0; i < file.e_phnum && !out->loader[0]; i++) {
        if (!af_elf_at(fd, file.e_phoff + (uint64_t)i * sizeof header, &header, sizeof header))
            return false;
        if (header.p_type == PT_INTERP)
            read_loader(fd, header.p_offset, header.p_filesz, out->loader);
    }
    out->library &= !out->loader[0];
    return true;
}

/* Who needs libraries, and nobody to load them, is loaded by others itself: older linkers gave that an entry, too. */
static bool needs_others(int fd) {
    struct af_elf_dynamic dynamic;
    const bool needs = af_elf_dynamic(fd, &dynamic) && dynamic.n_needed > 0;
    af_elf_dynamic_free(&dynamic);
    return needs;
}

bool af_elf_read(int fd, struct af_elf *out) {
    static ElfW(Phdr) headers[AF_ELF_HEADERS];
    ElfW(Ehdr) file;
    if (!read_head(fd, &file, out))
        return false;
    if (af_elf_is_i386(out))
        return read_i386(fd, out);
    if (!af_elf_native(out))
        return true;
    const size_t n = read_segments(fd, &file, headers);
    for (size_t i = 0; n != SIZE_MAX && i < n && !out->loader[0]; i++)
        if (headers[i].p_type == PT_INTERP)
            read_loader(fd, headers[i].p_offset, headers[i].p_filesz, out->loader);
    out->library = out->moves && !out->loader[0] && (file.e_entry == 0 || needs_others(fd));
    return n != SIZE_MAX;
}
