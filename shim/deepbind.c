/* Hook: libraries that are opened so that libc comes before everything preloaded (RTLD_DEEPBIND; PHP opens its extensions
 * so). What such a library, and what came with it, has bound to a function of libc's that is intercepted is bound to ours
 * instead, in its own table of relocations; all else stays as it asked for.
 *
 * dlopen looks at its caller: at where that looks for libraries, and its namespace. So it is jumped to. Only where the
 * caller makes no difference is it called, for what it has opened to be seen when it is back. */
#include "shim/bind.h"

#include <dlfcn.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))

#if __SIZEOF_POINTER__ == 8
typedef ElfW(Rela) relocation;
#define SYMBOL_OF ELF64_R_SYM
enum { TABLE = DT_RELA, TABLE_SIZE = DT_RELASZ };
#else
typedef ElfW(Rel) relocation;
#define SYMBOL_OF ELF32_R_SYM
enum { TABLE = DT_REL, TABLE_SIZE = DT_RELSZ };
#endif

/* ---- one entry ------------------------------------------------------------------------------------------------ */

static void *ours_of(const struct af_opening *o, const char *text) {
    if (o->place != AF_OWN_NAMESPACE)
        return af_elsewhere(text, o->place);
    const struct name name = name_of(text);
    const ElfW(Sym) *symbol = name.text[0] ? find(&o->ours, &name, DEFAULT) : NULL;
    return symbol ? (void *)(o->ours.base + symbol->st_value) : NULL;
}

static bool is_libcs(const struct af_opening *o, const void *function) {
    return is_in(&o->libc[0], function) || is_in(&o->libc[1], function);
}

enum answer { NO, YES, ASK };

static enum answer is_ours_to_bind(struct af_opening *o, const struct range *self, void *bound, const char *name,
                                   void *function) {
    if (!is_in(self, bound))
        return is_libcs(o, bound) ? YES : NO;
    for (unsigned i = 0; i < o->n_later; i++)
        if (o->later[i].function == function)
            return o->later[i].is_libcs ? YES : NO;
    o->asked = name_of(name);
    return o->asked.text[0] && o->n_later < AF_LATER ? ASK : NO;
}

void af_ask_later(struct af_opening *o) {
    const unsigned i = o->n_later++;
    o->later[i].function = ours_of(o, o->asked.text);
    o->later[i].is_libcs = is_libcs(o, af_find_in(o->handle, o->asked.text));
}

static void write_entry(const struct range *sealed, void **entry, void *function) {
    const uintptr_t page = (uintptr_t)entry & -af.page;
    const bool is_sealed = is_in(sealed, entry);
    if (is_sealed && AF_SYS3(SYS_mprotect, page, af.page, PROT_READ | PROT_WRITE) < 0)
        return;
    __atomic_store_n(entry, function, __ATOMIC_RELEASE);
    if (is_sealed)
        AF_SYS3(SYS_mprotect, page, af.page, PROT_READ);
}

/* ---- one library ------------------------------------------------------------------------------------------------ */

struct tables {
    const relocation *at[2]; /* of data, of calls */
    size_t size[2];
};

static struct tables tables_of(const struct dl_phdr_info *info) {
    struct tables t = { 0 };
    const ElfW(Dyn) *entry = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; entry && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == TABLE || entry->d_tag == DT_JMPREL)
            t.at[entry->d_tag == DT_JMPREL] = pointer(info, entry->d_un.d_ptr);
        else if (entry->d_tag == TABLE_SIZE || entry->d_tag == DT_PLTRELSZ)
            t.size[entry->d_tag == DT_PLTRELSZ] = entry->d_un.d_val / sizeof(relocation);
    }
    return t;
}

/* What ld.so has made read-only once it had written it, as whole pages: what is left of the last one stays writable. */
static struct range sealed_of(const struct dl_phdr_info *info) {
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
            const uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, start = at & -af.page;
            const uintptr_t end = (at + info->dlpi_phdr[i].p_memsz) & -af.page;
            return (struct range){ start, end > start ? end - start : 0 };
        }
    return (struct range){ 0 };
}

static bool is_writable(const struct dl_phdr_info *info, const void *at) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const struct range part = { info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, info->dlpi_phdr[i].p_memsz };
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_W && is_in(&part, at))
            return true;
    }
    return false;
}

bool af_each_import(const struct dl_phdr_info *info, const struct object *object, af_visit *visit, void *context) {
    const struct tables tables = tables_of(info);
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; tables.at[t] && i < tables.size[t]; i++) {
            const uint32_t symbol = (uint32_t)SYMBOL_OF(tables.at[t][i].r_info);
            void **entry = (void **)(object->base + tables.at[t][i].r_offset);
            if (!symbol || object->symbols[symbol].st_shndx != SHN_UNDEF || (uintptr_t)entry % sizeof *entry)
                continue;
            if (!visit(context, object->strings + object->symbols[symbol].st_name, entry))
                return false;
        }
    return true;
}

struct binding {
    struct af_opening *o;
    const struct dl_phdr_info *info;
    struct range self, sealed;
};

static bool bind_entry(void *context, const char *name, void **entry) {
    const struct binding *b = context;
    void *function = ours_of(b->o, name);
    if (!function || !is_writable(b->info, entry))
        return true;
    const enum answer answer = is_ours_to_bind(b->o, &b->self, *entry, name, function);
    if (answer == YES)
        write_entry(&b->sealed, entry, function);
    return answer != ASK;
}

bool af_bind_library(struct af_opening *o, const struct dl_phdr_info *info, const struct object *object) {
    struct binding binding = { o, info, range_of(info), sealed_of(info) };
    return af_each_import(info, object, bind_entry, &binding);
}

/* ---- all that has come ------------------------------------------------------------------------------------------ */

static int learn(struct dl_phdr_info *info, size_t size, void *context) {
    struct af_opening *o = context;
    const struct range range = range_of(info);
    (void)size;
    o->n_before++;
    o->gone = info->dlpi_subs;
    if (is_this_library(info))
        read_dynamic(info, &o->ours);
    if (is_in(&range, (void *)(uintptr_t)af_real.__cxa_atexit))
        o->libc[0] = range;
    else if (is_in(&range, (void *)(uintptr_t)af_real.close) && !af_is_next_in_line((void *)(uintptr_t)af_real.close))
        o->libc[1] = range;
    return 0;
}

/* Where others have gone meanwhile the order tells nothing. */
static int bind_new(struct dl_phdr_info *info, size_t size, void *context) {
    struct af_opening *o = context;
    struct object object;
    (void)size;
    const bool is_new = o->at++ >= o->n_before || info->dlpi_subs != o->gone;
    if (is_new && !is_this_library(info) && read_dynamic(info, &object)) {
        const struct range range = range_of(info);
        if (range.start != o->libc[0].start && range.start != o->libc[1].start)
            return !af_bind_library(o, info, &object);
    }
    return 0;
}

__attribute__((noinline)) static void *open_and_bind(const char *file, int mode) {
    struct af_opening o = { .place = AF_OWN_NAMESPACE };
    dl_iterate_phdr(learn, &o);
    o.handle = af_real.dlopen(file, mode);
    int error = errno;
    while (o.handle && o.ours.hash && dl_iterate_phdr(bind_new, &o)) {
        af_ask_later(&o);
        o.at = 0;
    }
    errno = error;
    return o.handle;
}

/* ---- who calls -------------------------------------------------------------------------------------------------- */

struct caller {
    const void *at;
    bool is_here, has_path; /* it is of the namespace that we are of; it says itself where libraries are */
};

static int look_at_caller(struct dl_phdr_info *info, size_t size, void *context) {
    struct caller *caller = context;
    const struct range range = range_of(info);
    (void)size;
    if (!is_in(&range, caller->at))
        return 0;
    caller->is_here = true;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Dyn) *entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            for (; entry->d_tag != DT_NULL; entry++)
                caller->has_path |= entry->d_tag == DT_RPATH || entry->d_tag == DT_RUNPATH;
    }
    return 1;
}

__attribute__((noinline)) bool af_any_caller(const char *file, const void *at) {
    struct caller caller = { .at = at };
    bool is_path = false;
    dl_iterate_phdr(look_at_caller, &caller);
    for (const char *c = file; *c; c++) {
        is_path |= *c == '/';
        if (*c == '$') /* $ORIGIN is the caller's */
            return false;
    }
    return caller.is_here && (is_path || !caller.has_path);
}

EXPORT void *af_export_dlopen(const char *file, int mode) __asm__("dlopen");
EXPORT AF_JUMPS void *af_export_dlopen(const char *file, int mode) {
    if (AF_UNLIKELY(!af_real.dlopen))
        af_resolve();
    if (AF_UNLIKELY(mode & RTLD_DEEPBIND) && af.on && !af_sealed && af_is_glibc() && file &&
        af_any_caller(file, __builtin_return_address(0)))
        return open_and_bind(file, mode);
    AF_JUMP af_real.dlopen(file, mode);
}
