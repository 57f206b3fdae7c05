/* See elf.h. Found as the dynamic linker finds it, by PT_DYNAMIC: section headers may have been cut off. */
#include "cli/elf/inner.h"
#include "cli/output/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ENTRIES = 1 << 14, MAX_SYMBOLS = 1 << 20 };
enum { MAX_STRINGS = 1 << 28 };

struct file {
    int fd;
    ElfW(Phdr) segments[AF_ELF_HEADERS];
    size_t n_segments;
    ElfW(Dyn) *entries;
    size_t n_entries;
};

/* Addresses in it are those of memory: the segment that is loaded there says where in the file they are. */
static bool offset_of(const struct file *f, uint64_t address, uint64_t *offset) {
    for (size_t i = 0; i < f->n_segments; i++) {
        const ElfW(Phdr) *s = &f->segments[i];
        if (s->p_type != PT_LOAD || address < s->p_vaddr || address - s->p_vaddr >= s->p_filesz)
            continue;
        *offset = s->p_offset + (address - s->p_vaddr);
        return *offset >= s->p_offset;
    }
    return false;
}

static bool value_of(const struct file *f, int64_t tag, uint64_t *value) {
    for (size_t i = 0; i < f->n_entries; i++)
        if (f->entries[i].d_tag == tag) {
            *value = f->entries[i].d_un.d_val;
            return true;
        }
    return false;
}

static bool read_entries(struct file *f) {
    for (size_t i = 0; i < f->n_segments; i++) {
        const ElfW(Phdr) *s = &f->segments[i];
        const size_t n = s->p_filesz / sizeof *f->entries;
        if (s->p_type != PT_DYNAMIC || n == 0 || n > MAX_ENTRIES)
            continue;
        f->entries = af_array(NULL, n, sizeof *f->entries);
        if (!af_elf_at(f->fd, s->p_offset, f->entries, n * sizeof *f->entries))
            return false;
        while (f->n_entries < n && f->entries[f->n_entries].d_tag != DT_NULL)
            f->n_entries++;
        return true;
    }
    return false;
}

/* A GNU hash table has undefined symbols before those that it finds, save some whose address was taken. Its last
 * chain ends where the symbols end. Where it finds none, GNU ld does not say how many there are: the strings follow
 * the symbols then. */
static size_t count_hashed(const struct file *f, uint64_t at) {
    uint32_t head[4], last = 0, hash; /* buckets, first symbol found, words of the Bloom filter */
    uint64_t symbols = 0, strings = 0;
    if (!af_elf_at(f->fd, at, head, sizeof head) || head[0] > MAX_SYMBOLS || head[2] > MAX_SYMBOLS)
        return 0;
    const uint64_t buckets = at + sizeof head + head[2] * sizeof(ElfW(Addr)), chains = buckets + head[0] * 4ull;
    for (uint32_t i = 0, bucket; i < head[0] && af_elf_at(f->fd, buckets + i * 4ull, &bucket, 4); i++)
        last = bucket > last ? bucket : last;
    while (last >= head[1] && last < MAX_SYMBOLS && af_elf_at(f->fd, chains + (last++ - head[1]) * 4ull, &hash, 4))
        if (hash & 1)
            return last;
    if (head[1] > 1 || !value_of(f, DT_SYMTAB, &symbols) || !value_of(f, DT_STRTAB, &strings) || strings < symbols)
        return head[1];
    return (strings - symbols) / sizeof(ElfW(Sym));
}

static size_t count_symbols(const struct file *f) {
    uint64_t table, at;
    uint32_t head[2];
    size_t n = 0;
    if (value_of(f, DT_HASH, &table) && offset_of(f, table, &at) && af_elf_at(f->fd, at, head, sizeof head))
        n = head[1];
    else if (value_of(f, DT_GNU_HASH, &table) && offset_of(f, table, &at))
        n = count_hashed(f, at);
    return n < MAX_SYMBOLS ? n : MAX_SYMBOLS;
}

/* Memory follows what is really there, not what the file says. */
static bool read_strings(const struct file *f, struct af_elf_dynamic *out, size_t *size) {
    uint64_t table, at, want;
    if (!value_of(f, DT_STRTAB, &table) || !value_of(f, DT_STRSZ, &want) || !want || want > MAX_STRINGS ||
        !offset_of(f, table, &at))
        return false;
    char last;
    if (!af_elf_at(f->fd, at + want - 1, &last, 1))
        return false;
    *size = want;
    out->strings = af_array(NULL, want + 1, 1);
    out->strings[want] = 0;
    return af_elf_at(f->fd, at, out->strings, want);
}

static const char *string_at(const struct af_elf_dynamic *d, size_t size, uint64_t at) {
    return at < size ? d->strings + at : NULL;
}

static void take_entries(const struct file *f, struct af_elf_dynamic *out, size_t size) {
    uint64_t path;
    out->needed = af_array(NULL, f->n_entries, sizeof *out->needed);
    for (size_t i = 0; i < f->n_entries; i++) {
        const char *name = f->entries[i].d_tag == DT_NEEDED ? string_at(out, size, f->entries[i].d_un.d_val) : NULL;
        if (name)
            out->needed[out->n_needed++] = name;
    }
    if (value_of(f, DT_RUNPATH, &path) || value_of(f, DT_RPATH, &path))
        out->runpath = string_at(out, size, path);
}

static void take_imports(const struct file *f, struct af_elf_dynamic *out, size_t size) {
    uint64_t table, at;
    const size_t n = count_symbols(f);
    if (!value_of(f, DT_SYMTAB, &table) || !offset_of(f, table, &at))
        return;
    for (size_t i = 0; i < n; i++) {
        ElfW(Sym) symbol;
        if (!af_elf_at(f->fd, at + i * sizeof symbol, &symbol, sizeof symbol))
            return;
        const char *name = symbol.st_shndx == SHN_UNDEF ? string_at(out, size, symbol.st_name) : NULL;
        if (!name || !*name)
            continue;
        out->imports = af_room_for_one(out->imports, out->n_imports, sizeof *out->imports);
        out->imports[out->n_imports++] = name;
    }
}

bool af_elf_dynamic(int fd, struct af_elf_dynamic *out) {
    struct file *f = af_array(NULL, 1, sizeof *f); /* too large for a small stack */
    size_t size;
    memset(f, 0, sizeof *f);
    memset(out, 0, sizeof *out);
    f->fd = fd;
    f->n_segments = af_elf_segments(fd, f->segments);
    const bool ok = read_entries(f) && read_strings(f, out, &size);
    if (ok) {
        take_entries(f, out, size);
        take_imports(f, out, size);
    }
    free(f->entries);
    free(f);
    return ok;
}

bool af_elf_dynamic_of(const char *path, struct af_elf_dynamic *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    memset(out, 0, sizeof *out);
    if (fd < 0)
        return false;
    const bool ok = af_elf_dynamic(fd, out);
    close(fd);
    return ok;
}

void af_elf_dynamic_free(struct af_elf_dynamic *d) {
    free(d->strings);
    free(d->needed);
    free(d->imports);
    memset(d, 0, sizeof *d);
}
