/* See elf.h. Bytes that look like an instruction are often part of another one: on x86-64 every instruction is
 * walked over by its length, as a disassembler does. */
#include "cli/elf/inner.h"

#include <string.h>
#include <sys/syscall.h>

enum { CHUNK = 1 << 16, LONGEST = 15, MAX_SECTIONS = 4096, MAX_CODE = 1 << 30 };

struct span {
    uint64_t offset, size;
};

/* ---- Go ------------------------------------------------------------------------------------------------------- */

/* Its linker leaves a note that strip(1) does not take away: name "Go", type 4; unless it was told to give the program
 * no build id. Then a section tells. */
static bool has_go_note(int fd, const ElfW(Phdr) *segment) {
    uint8_t notes[4096];
    const size_t size = segment->p_filesz < sizeof notes ? segment->p_filesz : sizeof notes;
    if (segment->p_type != PT_NOTE || !af_elf_at(fd, segment->p_offset, notes, size))
        return false;
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) + 4 <= size;) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        at += sizeof note;
        if (note.n_type == 4 && note.n_namesz == 4 && memcmp(notes + at, "Go\0", 4) == 0)
            return true;
        const uint64_t rest = (((uint64_t)note.n_namesz + 3) & ~3ull) + (((uint64_t)note.n_descsz + 3) & ~3ull);
        at = rest > size ? size : at + rest;
    }
    return false;
}

/* ---- where the code is ---------------------------------------------------------------------------------------- */

static bool is_named(int fd, const ElfW(Shdr) *names, const ElfW(Shdr) *section, const char *name, size_t size) {
    char text[16];
    return section->sh_name < names->sh_size && af_elf_at(fd, names->sh_offset + section->sh_name, text, size) &&
           memcmp(text, name, size) == 0;
}

static bool find_section(int fd, const char *name, struct span *out) {
    ElfW(Ehdr) file;
    ElfW(Shdr) names, section;
    if (!af_elf_at(fd, 0, &file, sizeof file) || file.e_shentsize != sizeof section || file.e_shnum > MAX_SECTIONS ||
        file.e_shstrndx >= file.e_shnum ||
        !af_elf_at(fd, file.e_shoff + file.e_shstrndx * sizeof names, &names, sizeof names))
        return false;
    for (unsigned i = 0; i < file.e_shnum; i++)
        if (af_elf_at(fd, file.e_shoff + i * sizeof section, &section, sizeof section) &&
            section.sh_type == SHT_PROGBITS && is_named(fd, &names, &section, name, strlen(name) + 1)) {
            *out = (struct span){ section.sh_offset, section.sh_size };
            return true;
        }
    return false;
}

/* .text by its name; without section headers, the segment that is executed first. */
static bool find_text(int fd, const ElfW(Phdr) *segments, size_t n, struct span *out) {
    ElfW(Ehdr) file;
    if (find_section(fd, ".text", out))
        return true;
    if (!af_elf_at(fd, 0, &file, sizeof file))
        return false;
    for (size_t i = 0; i < n; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_flags & PF_X &&
            file.e_entry - segments[i].p_vaddr < segments[i].p_filesz) {
            *out = (struct span){ segments[i].p_offset, segments[i].p_filesz };
            return true;
        }
    return false;
}

/* ---- what is in it -------------------------------------------------------------------------------------------- */

struct counted {
    uint64_t calls, opening;
    uint32_t number; /* of the system call, as far as it was put into its register as a constant */
};

static void count_call(struct counted *c) {
    c->calls++;
    c->opening += c->number == SYS_socket || c->number == SYS_connect || c->number == SYS_bind ||
                  c->number == SYS_listen || c->number == SYS_accept || c->number == SYS_accept4;
    c->number = UINT32_MAX;
}

/* In the whole instructions of `code`; returns how many bytes they are. `last`: no more follow. */
#if defined __x86_64__
static size_t count(const uint8_t *code, size_t size, bool last, struct counted *c) {
    size_t at = 0;
    while (at < size && (last || size - at >= LONGEST)) {
        size_t length = af_x86_length(code + at, size - at);
        if (length == 5 && code[at] == 0xb8) /* mov $N, %eax */
            memcpy(&c->number, code + at + 1, sizeof c->number);
        if (length == 2 && code[at] == 0x0f && code[at + 1] == 0x05) /* syscall */
            count_call(c);
        at += length ? length : 1; /* data between functions */
    }
    return at;
}
#else
static size_t count(const uint8_t *code, size_t size, bool last, struct counted *c) {
    size_t at = 0;
    for (; size - at >= 4; at += 4) {
        uint32_t instruction;
        memcpy(&instruction, code + at, sizeof instruction);
        if ((instruction & 0x7fe0001f) == 0x52800008) /* mov x8, #N */
            c->number = instruction >> 5 & 0xffff;
        if (instruction == 0xd4000001) /* svc #0 */
            count_call(c);
    }
    return last ? size : at;
}
#endif

static bool read_code(int fd, struct span text, struct counted *c) {
    static uint8_t code[CHUNK];
    for (size_t kept = 0; text.size > 0;) {
        const size_t more = text.size < CHUNK - kept ? text.size : CHUNK - kept;
        if (!af_elf_at(fd, text.offset, code + kept, more))
            return false;
        text.offset += more;
        text.size -= more;
        const size_t done = count(code, kept + more, text.size == 0, c);
        kept += more - done;
        memmove(code, code + done, kept);
    }
    return true;
}

static bool is_go(int fd, const ElfW(Phdr) *segments, size_t n) {
    struct span section;
    bool go = n > 0 && find_section(fd, ".go.buildinfo", &section);
    for (size_t i = 0; i < n; i++)
        go |= has_go_note(fd, &segments[i]);
    return go;
}

bool af_elf_is_go(int fd) {
    static ElfW(Phdr) segments[AF_ELF_HEADERS];
    return is_go(fd, segments, af_elf_segments(fd, segments));
}

void af_elf_code(int fd, struct af_elf_code *out) {
    static ElfW(Phdr) segments[AF_ELF_HEADERS];
    struct span text;
    struct counted counted = { .number = UINT32_MAX };
    memset(out, 0, sizeof *out);
    const size_t n = af_elf_segments(fd, segments);
    out->go = is_go(fd, segments, n);
    out->looked = n > 0 && find_text(fd, segments, n, &text) && text.size <= MAX_CODE && read_code(fd, text, &counted);
    out->kernel_calls = counted.calls;
    out->opening = counted.opening;
}
