/* Hook: libraries that are opened into a namespace of their own (dlmopen), where they have a libc of their own. What they
 * have bound to one of its system calls is bound to the hook of that call instead, which tells their libc's errno how it
 * went, and leaves the program's as it was. What is more than a system call (streams, exit) stays their libc's.
 *
 * Children that another libc starts would be copies that nobody has told us of. So fork is theirs, and seen; a namespace
 * whose libraries start processes in another way is left alone. */
#include "shim/bind.h"

#include <dlfcn.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- in whose stead a call is made ----------------------------------------------------------------------------- */

enum { PLACES = 4 };
struct place {
    int *(*_Atomic errno_of)(void); /* NULL: nobody's yet */
    pid_t (*_Atomic fork)(void);
};
static struct place places[PLACES];

/* Closed with its namespace, another libc may lie there, with the same functions; or none. */
static bool is_gone(int *(*errno_of)(void)) {
    int (*ask)(const void *, Dl_info *) = af_ask_libc("dladdr");
    const void *at = (const void *)(uintptr_t)errno_of;
    Dl_info info;
    return ask && (!ask(at, &info) || info.dli_saddr != at);
}

static bool take(struct place *place, bool from_others, int *(*errno_of)(void)) {
    int *(*whose)(void) = atomic_load(&place->errno_of);
    if (whose == errno_of)
        return true;
    return (!whose || (from_others && is_gone(whose))) &&
           atomic_compare_exchange_strong(&place->errno_of, &whose, errno_of);
}

static int place_of(int *(*errno_of)(void), pid_t (*fork)(void)) {
    for (int i = 0; i < 2 * PLACES; i++)
        if (take(&places[i % PLACES], i >= PLACES, errno_of)) {
            atomic_store(&places[i % PLACES].fork, fork);
            return i % PLACES;
        }
    return AF_OWN_NAMESPACE;
}

/* `kept` is the program's errno. */
static long back(int place, int kept, long result) {
    if (result == -1)
        *atomic_load (&places[place].errno_of)() = errno;
    errno = kept;
    return result;
}

static int fcntl_from(int place, int fd, int command, void *argument) {
    const int kept = errno;
    return (int)back(place, kept, af_on_fcntl(fd, command, argument, false));
}

#ifdef __i386__ /* with time and offsets of 64 bits */
static int fcntl_of_64_from(int place, int fd, int command, void *argument) {
    const int kept = errno;
    return (int)back(place, kept, af_fcntl_of_64(fd, command, argument));
}

static int recvmmsg_of_64_from(int place, int fd, struct mmsghdr *messages, unsigned n, int flags,
                               struct af_time64 *timeout) {
    const int kept = errno;
    return (int)back(place, kept, af_recvmmsg_of_64(fd, messages, n, flags, timeout));
}
#endif

static long syscall_from(int place, long number, va_list rest) {
    const int kept = errno;
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    return back(place, kept, af_on_syscall(number, a));
}

static int prctl_from(int place, int option, va_list rest) {
    const int kept = errno;
    long a[6] = { option };
    for (int i = 1; i < 5; i++)
        a[i] = va_arg(rest, long);
    return (int)back(place, kept, af_on_syscall(SYS_prctl, a));
}

static pid_t fork_from(int place) {
    const int kept = errno;
    af_before_fork();
    pid_t child = atomic_load(&places[place].fork)();
    af_after_fork(child);
    errno = kept;
    return child;
}

/* ---- the functions that they call --------------------------------------------------------------------------------- */

#define JOINED(a, b) a##_##b
#define NAMED(a, b) JOINED(a, b)
#define OF(name) NAMED(name, PLACE)
#define NOT_RAW(...) (__VA_ARGS__, false)
#define CALL(result, name, parameters, arguments)
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters)
#define ALSO(name, target)

#define FUNCTION(result, name, parameters, arguments) \
    static result OF(elsewhere_##name) parameters { \
        const int kept = errno; \
        return (result)back(PLACE, kept, af_on_##name NOT_RAW arguments); \
    }
#define OTHERS \
    static int OF(elsewhere_fcntl)(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        return fcntl_from(PLACE, fd, command, argument); \
    } \
    static long OF(elsewhere_syscall)(long number, ...) { \
        va_list rest; \
        va_start(rest, number); \
        const long result = syscall_from(PLACE, number, rest); \
        va_end(rest); \
        return result; \
    } \
    static int OF(elsewhere_prctl)(int option, ...) { \
        va_list rest; \
        va_start(rest, option); \
        const int result = prctl_from(PLACE, option, rest); \
        va_end(rest); \
        return result; \
    } \
    static pid_t OF(elsewhere_fork)(void) { \
        return fork_from(PLACE); \
    }

#ifdef __i386__
#define OF_64 \
    static int OF(elsewhere_fcntl64)(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        return fcntl_of_64_from(PLACE, fd, command, argument); \
    } \
    static int OF(elsewhere_recvmmsg64)(int fd, struct mmsghdr *messages, unsigned n, int flags, \
                                        struct af_time64 *timeout) { \
        return recvmmsg_of_64_from(PLACE, fd, messages, n, flags, timeout); \
    }
#else
#define OF_64
#endif

#define PLACE 0
#define SYSTEM_CALL FUNCTION
#include "shim/calls.def"
OTHERS
OF_64
#undef PLACE
#define PLACE 1
#define SYSTEM_CALL FUNCTION
#include "shim/calls.def"
OTHERS
OF_64
#undef PLACE
#define PLACE 2
#define SYSTEM_CALL FUNCTION
#include "shim/calls.def"
OTHERS
OF_64
#undef PLACE
#define PLACE 3
#define SYSTEM_CALL FUNCTION
#include "shim/calls.def"
OTHERS
OF_64
#undef PLACE

#define IN_PLACE(name) \
    (place == 0   ? (void *)elsewhere_##name##_0 \
     : place == 1 ? (void *)elsewhere_##name##_1 \
     : place == 2 ? (void *)elsewhere_##name##_2 \
                  : (void *)elsewhere_##name##_3)

void *af_elsewhere(const char *text, int place) {
#define SYSTEM_CALL(result, name, parameters, arguments) \
    if (same(text, #name)) \
        return IN_PLACE(name);
#define SYSTEM_ALIAS(result, name, target, parameters, arguments) \
    if (same(text, #name)) \
        return IN_PLACE(target);
#include "shim/calls.def"
#ifdef __i386__ /* which fcntl of the two that its libc has been before 2.28, the name does not tell: the newer */
    if (same(text, "fcntl64") || same(text, "__fcntl_time64"))
        return IN_PLACE(fcntl64);
    if (same(text, "__recvmmsg64"))
        return IN_PLACE(recvmmsg64);
    if (same(text, "__prctl_time64"))
        return IN_PLACE(prctl);
#endif
    if (same(text, "fcntl") || same(text, "fcntl64"))
        return IN_PLACE(fcntl);
    if (same(text, "syscall"))
        return IN_PLACE(syscall);
    if (same(text, "prctl"))
        return IN_PLACE(prctl);
    return same(text, "fork") ? IN_PLACE(fork) : NULL;
}

/* ---- their libraries -------------------------------------------------------------------------------------------- */

struct walk {
    struct af_opening o;
    const void *errno_of, *threads; /* what is in their libc, and in its other part */
};

/* ld.so tells us where a library begins, and its dynamic section: the rest is in the library. */
static bool describe(const struct link_map *map, struct dl_phdr_info *info) {
    const ElfW(Ehdr) *head = (const void *)map->l_addr;
    if (!af_can_read(head, sizeof *head) || __builtin_memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_phentsize != sizeof(ElfW(Phdr)))
        return false;
    *info = (struct dl_phdr_info){ .dlpi_addr = map->l_addr,
                                   .dlpi_phdr = (const void *)(map->l_addr + head->e_phoff),
                                   .dlpi_phnum = head->e_phnum };
    if (!af_can_read(info->dlpi_phdr, head->e_phnum * sizeof(ElfW(Phdr))))
        return false;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return map->l_addr + info->dlpi_phdr[i].p_vaddr == (uintptr_t)map->l_ld;
    return false;
}

/* By a way that is not seen. */
static bool starts_no_process(void *context, const char *name, void **entry) {
    (void)context, (void)entry;
    return !same(name, "vfork") && !same(name, "clone") && !same(name, "posix_spawn") && !same(name, "posix_spawnp") &&
           !same(name, "system") && !same(name, "popen") && !same(name, "_Fork") && !same(name, "forkpty") &&
           !same(name, "daemon");
}

enum step { LEARN, LOOK, BIND };

static bool visit(struct walk *w, const struct link_map *map, enum step step) {
    struct dl_phdr_info info;
    struct object object;
    if (!describe(map, &info) || !read_dynamic(&info, &object))
        return true;
    const struct range range = range_of(&info);
    if (step == LEARN) {
        if (is_in(&range, w->errno_of))
            w->o.libc[0] = range;
        else if (is_in(&range, w->threads))
            w->o.libc[1] = range;
        return true;
    }
    if (range.start == w->o.libc[0].start || range.start == w->o.libc[1].start)
        return true;
    return step == LOOK ? af_each_import(&info, &object, starts_no_process, NULL)
                        : af_bind_library(&w->o, &info, &object);
}

static bool walk_all(struct walk *w, enum step step) {
    const struct link_map *map = w->o.handle; /* that is what a handle is */
    while (map->l_prev)
        map = map->l_prev;
    bool good = true;
    for (; map && good; map = map->l_next)
        good = visit(w, map, step);
    return good;
}

/* While it calls us nobody changes the list of another namespace either. */
static int walk(struct dl_phdr_info *info, size_t size, void *context) {
    struct walk *w = context;
    (void)info, (void)size;
    if (!w->o.libc[0].size && (!walk_all(w, LEARN) || !w->o.libc[0].size || !walk_all(w, LOOK)))
        return 1;
    w->o.asked.text[0] = 0;
    walk_all(w, BIND);
    return 1;
}

typedef void *dlmopen_function(long namespace, const char *file, int mode);
static dlmopen_function *_Atomic next;

static void *none(long namespace, const char *file, int mode) {
    (void)namespace, (void)file, (void)mode;
    return NULL;
}

/* musl has none, and a glibc before 2.34 may get libdl later than us. */
__attribute__((noinline)) static void find_next(void) {
    dlmopen_function *found = af_find_in(RTLD_NEXT, "dlmopen");
    if (!found)
        found = af_find_late("dlmopen");
    atomic_store(&next, found ? found : none);
}

__attribute__((noinline)) static void *open_and_bind(long namespace, const char *file, int mode) {
    struct walk w = { .o.handle = atomic_load(&next)(namespace, file, mode) };
    const int error = errno;
    int *(*errno_of)(void) = w.o.handle ? af_find_in(w.o.handle, "__errno_location") : NULL;
    pid_t (*fork)(void) = errno_of ? af_find_in(w.o.handle, "fork") : NULL;
    w.o.place = fork && errno_of != __errno_location ? place_of(errno_of, fork) : AF_OWN_NAMESPACE;
    if (w.o.place != AF_OWN_NAMESPACE) {
        w.errno_of = (const void *)(uintptr_t)errno_of;
        w.threads = af_find_in(w.o.handle, "pthread_create");
        for (dl_iterate_phdr(walk, &w); w.o.asked.text[0]; dl_iterate_phdr(walk, &w))
            af_ask_later(&w.o);
    }
    errno = error;
    return w.o.handle;
}

EXPORT void *af_export_dlmopen(long namespace, const char *file, int mode) __asm__("dlmopen");
EXPORT AF_JUMPS void *af_export_dlmopen(long namespace, const char *file, int mode) {
    if (AF_UNLIKELY(!atomic_load(&next)))
        find_next();
    if (namespace != LM_ID_BASE && af.on && !af_sealed && af_is_glibc() && file &&
        af_any_caller(file, __builtin_return_address(0)))
        return open_and_bind(namespace, file, mode);
    AF_JUMP atomic_load (&next)(namespace, file, mode);
}
