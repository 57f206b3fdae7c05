/* Finds the next function in line for every row of calls.def.
 *
 * That is what dlsym(RTLD_NEXT) is for, but 60 calls of it cost more than all of exec, and it may not run
 * later, inside a hook, where a signal handler can have interrupted dlopen. So all names are looked up at
 * start, by their GNU hash in the objects that were loaded after this one (System V gABI, "Hash Table";
 * the GNU table is in glibc's elf/dl-lookup.c). Where an object has no such table or a name is an indirect
 * function, dlsym answers for that name. */
#include "shim/shim.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

struct af_real af_real;

static const struct name {
    const char *text;
    void **to;
} names[] = {
#define CALL(result, name, parameters, arguments) {#name, (void **)&af_real.name},
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters) {#name, (void **)&af_real.name},
#include "shim/calls.def"
#undef CALL
#undef ALIAS
#undef VARIADIC
};
enum { N_NAMES = sizeof names / sizeof *names };

struct object {
    uintptr_t base;
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Half) *versions;
    const uint32_t *hash;
};

static uint32_t gnu_hash(const char *name) {
    uint32_t hash = 5381;
    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static bool same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* ld.so relocates these pointers in place on most architectures; where the section is read-only it cannot. */
static const void *pointer(const struct dl_phdr_info *info, ElfW(Addr) at) {
    return (const void *)(at < info->dlpi_addr ? at + info->dlpi_addr : at);
}

static bool read_dynamic(const struct dl_phdr_info *info, struct object *object) {
    *object = (struct object){.base = info->dlpi_addr};
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
static const ElfW(Sym) *find(const struct object *o, const char *name, uint32_t hash) {
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
        bool hidden = o->versions && (o->versions[i] & 0x8000);
        if ((chain | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF && !hidden &&
            same(o->strings + symbol->st_name, name))
            return symbol;
        if (chain & 1)
            return NULL;
    }
}

static bool is_this_library(const struct dl_phdr_info *info) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD &&
            (uintptr_t)&af_real - start < info->dlpi_phdr[i].p_memsz)
            return true;
    }
    return false;
}

/* The objects come in search order; all before this library, and itself, do not count. */
static int look_in(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    bool *after_us = context;
    if (!*after_us) {
        *after_us = is_this_library(info);
        return 0;
    }
    struct object object;
    bool readable = read_dynamic(info, &object);
    for (int i = 0; i < N_NAMES; i++) {
        if (*names[i].to)
            continue;
        const ElfW(Sym) *symbol = readable ? find(&object, names[i].text, gnu_hash(names[i].text)) : NULL;
        if (!readable || (symbol && ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC))
            *names[i].to = dlsym(RTLD_NEXT, names[i].text);
        else if (symbol)
            *names[i].to = (void *)(object.base + symbol->st_value);
    }
    return 0;
}

void af_resolve(void) {
    bool after_us = false;
    dl_iterate_phdr(look_in, &after_us);
}
