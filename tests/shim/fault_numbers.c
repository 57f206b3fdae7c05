/* The numbers that the calls of fault_calls.def have in programs of 32 bits (i386), and their names there. */
#include "tests/shim/fault_numbers.h"

#include <string.h>

#ifdef __x86_64__
#include <asm/unistd_32.h>

/* As shim/sys.h has it. */
#define __NR_newfstatat __NR_fstatat64
#undef __NR_mmap
#define __NR_mmap __NR_mmap2
#undef __NR_geteuid
#define __NR_geteuid __NR_geteuid32

static const struct {
    const char *name;
    long number;
} calls[] = {
#define CALL(name, ...) { #name, __NR_##name },
#define LEFT(name)
#include "tests/shim/fault_calls.def"
#undef CALL
#undef LEFT
};

long number_in_i386(const char *name) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    return -1;
}
#else
long number_in_i386(const char *name) {
    (void)name;
    return -1;
}
#endif

const char *name_in_i386(const char *name) {
    static const char *const others[][2] = { { "mmap", "mmap2" },
                                             { "newfstatat", "fstatat64" },
                                             { "geteuid", "geteuid32" } };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i][0]) == 0)
            return others[i][1];
    return name;
}
