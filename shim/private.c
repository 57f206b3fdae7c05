/* Private memory that stays: what is known of sockets, and the table. A fork copies the page tables of all of it, and each
 * mapping: few connections share a mapping with the ledger's map (memory.c), for many there are huge pages. */
#include "shim/shim.h"

#include <sys/mman.h>

static void *map_some(uintptr_t hint, size_t size, int flags) {
    long made = AF_SYS6(SYS_mmap, hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return af_sys_failed(made) ? NULL : (void *)made;
}

static void *map(uintptr_t hint, size_t size) {
    void *made = map_some(hint, size, MAP_NORESERVE);
    if (made)
        AF_SYS3(SYS_madvise, made, size, MADV_DONTDUMP);
    return made;
}

void *af_room(size_t size) {
    return map_some(0, size, 0);
}

void *af_lasting_room(size_t size) {
    return map(0, size);
}

void af_give_back(void *room, size_t size) {
    if (room)
        AF_SYS2(SYS_munmap, room, size);
}

/* What is left of the last huge page: from here to its end. */
static _Atomic uintptr_t rest;

void *af_private(size_t size) {
    for (uintptr_t at = atomic_load(&rest); at % AF_HUGE && at % AF_HUGE + size <= AF_HUGE;)
        if (atomic_compare_exchange_weak(&rest, &at, at + size))
            return (void *)at;
    return map(0, size);
}

/* Below the libraries, with some room for what comes in between: a fork then copies no further page of the directory. */
static uintptr_t first_place(void) {
    enum { BELOW = 64 << 20 };
    const uintptr_t page = (uintptr_t)atomic_load_explicit(&af.fork_page, memory_order_relaxed);
    return page > 2ul * BELOW ? (page - BELOW) & -(uintptr_t)AF_HUGE : 0;
}

/* Side by side, as long as there is room: that is one mapping. */
void *af_private_huge(void) {
    static _Atomic uintptr_t end;
    const uintptr_t behind = atomic_load(&end);
    void *made = map(behind ? behind : first_place(), AF_HUGE);
    if (!made)
        return NULL;
    AF_SYS3(SYS_madvise, made, AF_HUGE, MADV_HUGEPAGE);
    atomic_store(&end, (uintptr_t)made + AF_HUGE);
    if ((uintptr_t)made % AF_HUGE == 0)
        atomic_store(&rest, (uintptr_t)made + AF_HUGE - AF_HUGE_REST);
    return made;
}
