/* See elf_invariants.h. */
#include "tests/cli/elf/elf_invariants.h"
#include "cli/elf/elf.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#if defined __x86_64__
#define NATIVE EM_X86_64
#define CODE "\xb8\x29\0\0\0\x0f\x05\xc3" /* mov $41, %eax; syscall; ret */
#else
#define NATIVE EM_AARCH64
#define CODE "\xc8\x18\x80\xd2\x01\0\0\xd4" /* mov x8, #198; svc #0 */
#endif
#define STRINGS "\0libc.so.6\0connect\0/opt/lib"
#define NAMES "\0.text\0.shstrtab"

enum { LOADER, LOAD, DYNAMIC, NOTE, SEGMENTS };

/* Loaded at address 0: addresses in it are offsets. */
struct seed {
    Elf64_Ehdr file;
    Elf64_Phdr segments[SEGMENTS];
    Elf64_Shdr sections[3];
    Elf64_Dyn dynamic[7];
    Elf64_Sym symbols[2];
    struct {
        Elf64_Nhdr head;
        char name[4], text[8];
    } note;
    uint32_t hash[8];
    char loader[32], strings[sizeof STRINGS], names[sizeof NAMES], code[sizeof CODE - 1];
};
#define AT(field) offsetof(struct seed, field)
#define SPAN(field) .p_offset = AT(field), .p_vaddr = AT(field), .p_filesz = sizeof((struct seed *)0)->field

size_t elf_seed(unsigned which, void *out) {
    const Elf64_Sxword table = which & 2 ? DT_HASH : DT_GNU_HASH;
    struct seed seed = {
        .file = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                  .e_type = ET_DYN,
                  .e_machine = NATIVE,
                  .e_version = EV_CURRENT,
                  .e_entry = AT(code),
                  .e_phoff = AT(segments),
                  .e_shoff = AT(sections),
                  .e_ehsize = sizeof(Elf64_Ehdr),
                  .e_phentsize = sizeof(Elf64_Phdr),
                  .e_phnum = SEGMENTS,
                  .e_shentsize = sizeof(Elf64_Shdr),
                  .e_shnum = 3,
                  .e_shstrndx = 2 },
        .segments = { [LOADER] = { .p_type = PT_INTERP, SPAN(loader) },
                      [LOAD] = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = sizeof seed },
                      [DYNAMIC] = { .p_type = PT_DYNAMIC, SPAN(dynamic) },
                      [NOTE] = { .p_type = PT_NOTE, SPAN(note) } },
        .sections = { [1] = { .sh_name = 1,
                              .sh_type = SHT_PROGBITS,
                              .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                              .sh_offset = AT(code),
                              .sh_size = sizeof seed.code },
                      [2] = { .sh_name = 7,
                              .sh_type = SHT_STRTAB,
                              .sh_offset = AT(names),
                              .sh_size = sizeof seed.names } },
        .dynamic = { { DT_NEEDED, { 1 } },
                     { DT_STRTAB, { AT(strings) } },
                     { DT_STRSZ, { sizeof seed.strings } },
                     { DT_SYMTAB, { AT(symbols) } },
                     { DT_RUNPATH, { 19 } },
                     { table, { AT(hash) } } },
        .symbols = { [1] = { .st_name = 11, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC) } },
        .note = { { 4, 8, 4 }, "Go", "build" },
        .hash = { 1, 2, 1 }, /* of both: one bucket; then two symbols, or from the second on */
        .loader = "/lib64/ld-linux-x86-64.so.2",
        .strings = STRINGS,
        .names = NAMES,
    };
    seed.note.name[0] = which & 1 ? 'G' : 'X';
    memcpy(seed.code, CODE, sizeof seed.code);
    memcpy(out, &seed, sizeof seed);
    return sizeof seed;
}

static const char *names_broken(const struct af_elf_dynamic *d, size_t size) {
    const char *const *const lists[] = { d->needed, d->imports };
    const size_t n[] = { d->n_needed, d->n_imports };
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < n[i]; k++)
            if (lists[i][k] < d->strings || strlen(lists[i][k]) > size)
                return i ? "a name that is not among the strings" : "a library that is not among the strings";
    return d->runpath && strlen(d->runpath) > size ? "a search path that is longer than the file" : NULL;
}

const char *elf_broken(int fd) {
    struct stat st;
    struct af_elf elf;
    struct af_elf_code code;
    struct af_elf_dynamic dynamic;
    if (fstat(fd, &st) != 0)
        return "no file";
    const bool read = af_elf_read(fd, &elf);
    if (memchr(elf.loader, 0, sizeof elf.loader) == NULL)
        return "a loader's name without an end";
    af_elf_code(fd, &code);
    const bool has = af_elf_dynamic(fd, &dynamic);
    const char *broken = has ? names_broken(&dynamic, (size_t)st.st_size) : NULL;
    if ((code.looked || has) && !(read && af_elf_native(&elf)))
        broken = "read further than a file that is none of ours";
    if (code.kernel_calls > (uint64_t)st.st_size || code.opening > code.kernel_calls)
        broken = "more instructions than bytes";
    af_elf_dynamic_free(&dynamic);
    return broken;
}
