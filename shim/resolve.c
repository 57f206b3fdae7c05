/* Finds the next function in line for every row of calls.def, and the few that the library calls itself.
 *
 * That is what dlsym(RTLD_NEXT) is for, but 60 calls of it cost more than all of exec, and it may not run
 * later, inside a hook, where a signal handler can have interrupted dlopen. So all names are looked up at
 * start, by their GNU hash in the objects that were loaded after this one (System V gABI, "Hash Table";
 * the GNU table is in glibc's elf/dl-lookup.c). Where an object has no such table or a name is an indirect
 * function, dlsym answers for that name. Every program pays for this at its start: names and hashes are
 * constants that need no relocation. What a libc does not have libc.c does. */
#include "shim/object.h"

#include <dlfcn.h>

struct af_real af_real;

/* In the oldest version that there is, which every glibc has; in libdl before 2.34, and where a program has no libdl there
 * is none. musl knows no versions. */
#if defined __x86_64__
#define OLDEST "GLIBC_2.2.5"
#define OLDEST_DLOPEN OLDEST
#elif defined __i386__
#define OLDEST "GLIBC_2.0"
#define OLDEST_DLOPEN "GLIBC_2.1" /* and of dlvsym */
#else
#define OLDEST "GLIBC_2.17"
#define OLDEST_DLOPEN OLDEST
#endif
extern void *oldest_dlsym(void *handle, const char *name) __attribute__((weak));
__asm__(".symver oldest_dlsym, dlsym@" OLDEST);
/* In glibc alone. A program that has a dlsym of its own may call dlopen in it, which is then what we are looking for. */
extern void *oldest_dlvsym(void *handle, const char *name, const char *version) __attribute__((weak));
__asm__(".symver oldest_dlvsym, dlvsym@" OLDEST_DLOPEN);

/* Where other libraries that have some of these functions lie; libc, where the search ends, is not among them. */
enum { MAX_WRAPPERS = 8 };
static struct range wrappers[MAX_WRAPPERS];
static unsigned n_wrappers;

/* GNU hash: 5381 * 33^n + sum of c[i] * 33^(n-1-i), as a constant, for names of up to 20 characters. */
#define P1 33u
#define P2 (P1 * P1)
#define P4 (P2 * P2)
#define P8 (P4 * P4)
#define P16 (P8 * P8)
#define POWER(n) \
    ((1 & (n) ? P1 : 1u) * (2 & (n) ? P2 : 1u) * (4 & (n) ? P4 : 1u) * (8 & (n) ? P8 : 1u) * (16 & (n) ? P16 : 1u))
#define TERM(s, i) ((i) < sizeof(s) - 1 ? (uint32_t)(s)[(i) < sizeof(s) ? (i) : 0] * POWER(sizeof(s) - 2 - (i)) : 0)
#define TERMS(s, i) (TERM(s, i) + TERM(s, i + 1) + TERM(s, i + 2) + TERM(s, i + 3) + TERM(s, i + 4))
#define HASH(s) (5381u * POWER(sizeof(s) - 1) + TERMS(s, 0) + TERMS(s, 5) + TERMS(s, 10) + TERMS(s, 15))

/* In the order of struct af_real; text in place, for a pointer would be a relocation. */
static const struct name names[] = {
#define CALL(result, name, parameters, arguments) { HASH(#name), #name },
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters) { HASH(#name), #name },
#define ALSO(name, target)
#define HELPER(result, name, parameters) { HASH(#name), #name },
#include "shim/calls.def"
    AF_HELPERS(HELPER)
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
#undef HELPER
};
enum { N_NAMES = sizeof names / sizeof *names };
_Static_assert(sizeof af_real == N_NAMES * sizeof(void *), "one pointer a name");

bool af_is_next_in_line(const void *caller) {
    extern const char __ehdr_start[] __attribute__((visibility("hidden"))),
        _end[] __attribute__((visibility("hidden")));
    if ((uintptr_t)caller - (uintptr_t)__ehdr_start < (uintptr_t)(_end - __ehdr_start))
        return true; /* who is called by a hook, and jumps to syscall, has the hook for his caller */
    for (unsigned i = 0; i < n_wrappers; i++)
        if (is_in(&wrappers[i], caller))
            return true;
    return false;
}

/* Without a dlsym of libc's an indirect function can be asked here too, for libc is ready when constructors run. */
static void *address_of(const struct object *object, const ElfW(Sym) *symbol, const char *name) {
    void *at = (void *)(object->base + symbol->st_value);
    if (AF_LIKELY(ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC))
        return at;
    return oldest_dlsym ? oldest_dlsym(RTLD_NEXT, name) : ((void *(*)(void))at)();
}

/* What dlsym did not find is not for the program's dlerror to tell. */
void *af_find_in(void *handle, const char *name) {
    void *found = oldest_dlsym ? oldest_dlsym(handle, name) : NULL;
    char *(*error)(void) = found || !oldest_dlsym ? NULL : oldest_dlsym(RTLD_DEFAULT, "dlerror");
    if (error)
        error();
    return found;
}

void *af_ask_libc(const char *name) {
    return af_find_in(RTLD_NEXT, name);
}

/* How many names are still missing after this object; *found is how many it has given. */
static int look_up(const struct object *object, bool readable, int *found) {
    void **to = (void **)&af_real;
    int missing = 0;
    *found = 0;
    for (const struct name *name = names; name < names + N_NAMES; name++, to++) {
        if (*to)
            continue;
        const ElfW(Sym) *symbol = readable ? find(object, name, DEFAULT) : NULL;
        if (!readable)
            *to = af_ask_libc(name->text);
        else if (symbol)
            *to = address_of(object, symbol, name->text);
        missing += !*to;
        *found += *to != NULL;
    }
    return missing;
}

static bool has_libc_come(void) {
    return af_real.__cxa_atexit != NULL;
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
    bool readable = read_dynamic(info, &object), behind_libc = has_libc_come();
    if (!readable && behind_libc)
        return 0;
    int found, missing = look_up(&object, readable, &found);
    if (found && missing && !has_libc_come() && n_wrappers < MAX_WRAPPERS)
        wrappers[n_wrappers++] = range_of(info);
    return missing == 0;
}

static void ask_for_dlopen(void) {
    static const char *const versions[] = { "GLIBC_2.34", OLDEST_DLOPEN };
    for (int i = 0; i < 2 && oldest_dlvsym && !af_real.dlopen; i++)
        af_real.dlopen = oldest_dlvsym(RTLD_NEXT, "dlopen", versions[i]);
}

/* A program may have a dl_iterate_phdr of its own, which tells less, or nothing before main: dlsym knows. */
static void ask_for_the_rest(void) {
    void **to = (void **)&af_real;
    ask_for_dlopen();
    for (const struct name *name = names; name < names + N_NAMES; name++, to++)
        if (!*to)
            *to = af_ask_libc(name->text);
}

void af_resolve(void) {
    bool after_us = false;
    if (dl_iterate_phdr(look_in, &after_us))
        return;
    if (!has_libc_come())
        ask_for_the_rest();
    af_stand_in();
}

/* One name, asked for when it is needed. */
struct wanted {
    struct name name;
    unsigned version;
    void *found;
};

static int look_for(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct wanted *wanted = context;
    struct object object;
    if (is_this_library(info) || !read_dynamic(info, &object))
        return 0;
    const ElfW(Sym) *symbol = find(&object, &wanted->name, wanted->version);
    wanted->found = symbol ? (void *)(object.base + symbol->st_value) : NULL;
    return symbol != NULL;
}

static void *look_everywhere(const char *name, unsigned version) {
    struct wanted wanted = { .name = name_of(name), .version = version };
    dl_iterate_phdr(look_for, &wanted);
    return wanted.found;
}

void *af_find_old(const char *name) {
    return look_everywhere(name, OLD);
}

void *af_find_late(const char *name) {
    return look_everywhere(name, DEFAULT);
}
