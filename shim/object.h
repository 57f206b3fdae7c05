/* A loaded object as ld.so sees it: where it lies, and its table of symbols. */
#ifndef AFTERFIN_SHIM_OBJECT_H
#define AFTERFIN_SHIM_OBJECT_H

#include "shim/shim.h"

#include <elf.h>
#include <link.h>

/* A symbol that is looked for, by the GNU hash of its name. Text in place, for a pointer would be a relocation. */
struct name {
    uint32_t hash;
    char text[20];
};

/* One that is longer than any of ours has no text. */
static inline struct name name_of(const char *text) {
    struct name name = { .hash = 5381 };
    size_t i = 0;
    for (; text[i]; i++) {
        if (i == sizeof name.text - 1)
            return (struct name){ 0 };
        name.text[i] = text[i];
        name.hash = name.hash * 33 + (unsigned char)text[i];
    }
    return name;
}

struct range {
    uintptr_t start, size;
};

struct object {
    uintptr_t base;
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Half) *versions;
    const uint32_t *hash;
};

static inline bool same(const char *a, const char *b) {
    while (*a == *b && *a)
        a++, b++;
    return *a == *b;
}

/* ld.so relocates these pointers in place on most architectures; where the section is read-only it cannot. */
static inline const void *pointer(const struct dl_phdr_info *info, ElfW(Addr) at) {
    return (const void *)(at < info->dlpi_addr ? at + info->dlpi_addr : at);
}

static inline bool read_dynamic(const struct dl_phdr_info *info, struct object *object) {
    *object = (struct object){ .base = info->dlpi_addr };
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = pointer(info, dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB)
            object->symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            object->strings = at;
        else if (dynamic->d_tag == DT_VERSYM)
            object->versions = at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            object->hash = at;
    }
    return object->symbols && object->strings && object->hash;
}

/* The table: bucket count, first symbol, Bloom words, Bloom shift; Bloom filter; buckets; chains. A symbol's
 * default version is the one without the hidden bit in its version number. */
enum { DEFAULT = 0, OLD = 0x8000 };
static inline const ElfW(Sym) *find(const struct object *o, const struct name *name, unsigned version) {
    uint32_t hash = name->hash;
    uint32_t n_buckets = o->hash[0], first = o->hash[1], n_bloom = o->hash[2], shift = o->hash[3];
    const ElfW(Addr) *bloom = (const void *)(o->hash + 4);
    const uint32_t *buckets = (const void *)(bloom + n_bloom);
    const uint32_t *chains = buckets + n_buckets;
    enum { BITS = 8 * sizeof(ElfW(Addr)) };
    ElfW(Addr) word = bloom[hash / BITS & (n_bloom - 1)];
    if (!(word >> hash % BITS & word >> (hash >> shift) % BITS & 1))
        return NULL;
    uint32_t i = buckets[hash % n_buckets];
    if (i < first)
        return NULL;
    for (;; i++) {
        uint32_t chain = chains[i - first];
        const ElfW(Sym) *symbol = &o->symbols[i];
        if ((chain | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF &&
            (o->versions ? o->versions[i] & OLD : DEFAULT) == version && same(o->strings + symbol->st_name, name->text))
            return symbol;
        if (chain & 1)
            return NULL;
    }
}

static inline bool is_this_library(const struct dl_phdr_info *info) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (uintptr_t)&af_real - start < info->dlpi_phdr[i].p_memsz)
            return true;
    }
    return false;
}

static inline struct range range_of(const struct dl_phdr_info *info) {
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD)
            continue;
        low = part->p_vaddr < low ? part->p_vaddr : low;
        high = part->p_vaddr + part->p_memsz > high ? part->p_vaddr + part->p_memsz : high;
    }
    return (struct range){ info->dlpi_addr + low, high > low ? high - low : 0 };
}

static inline bool is_in(const struct range *range, const void *at) {
    return (uintptr_t)at - range->start < range->size;
}

#endif
