/* What an ELF file tells before it is run. Nothing in a file is believed unchecked, and none is mapped: one that
 * shrinks meanwhile is a short read. */
#ifndef AFTERFIN_CLI_ELF_ELF_H
#define AFTERFIN_CLI_ELF_ELF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- elf.c: the few facts that decide whether a library can be preloaded ------------------------------------- */

struct af_elf {
    uint8_t class, data; /* ELFCLASS..., ELFDATA... */
    uint16_t machine;    /* EM_... */
    bool moves;          /* ET_DYN: is loaded anywhere (PIE); of native files and those of i386 */
    bool library;        /* ... and is opened by others: it has no entry, or needs libraries and no loader; as moves */
    char loader[PATH_MAX]; /* PT_INTERP; empty: none, or not read (of another machine) */
};

/* Is this native to the machine this command was built for? */
bool af_elf_native(const struct af_elf *elf);

/* Is it one of 32 bits that this machine runs beside its own: i386 on x86_64? */
bool af_elf_is_i386(const struct af_elf *elf);

/* Its architecture in words, for a message. */
const char *af_elf_machine(const struct af_elf *elf);

/* False: not an ELF file, or one that the kernel would not run. */
bool af_elf_read(int fd, struct af_elf *out);

/* ---- dynamic.c: what the dynamic linker reads ------------------------------------------------------------ */

/* The strings point into `strings`. */
struct af_elf_dynamic {
    char *strings;
    const char **needed, **imports; /* DT_NEEDED; names of undefined symbols */
    size_t n_needed, n_imports;
    const char *runpath; /* DT_RUNPATH, else DT_RPATH, or NULL */
};

/* False: it has nothing for the dynamic linker, or nothing that makes sense. Either way af_elf_dynamic_free. */
bool af_elf_dynamic(int fd, struct af_elf_dynamic *out);
bool af_elf_dynamic_of(const char *path, struct af_elf_dynamic *out);
void af_elf_dynamic_free(struct af_elf_dynamic *dynamic);

/* ---- code.c: what stands out in its code ------------------------------------------------------------------ */

struct af_elf_code {
    bool go;               /* Go's linker made it */
    bool looked;           /* its code was found, and is of this machine */
    uint64_t kernel_calls; /* instructions in it that enter the kernel */
    uint64_t opening;      /* those of them that plainly ask for a socket, or to connect, bind, listen or accept */
};
void af_elf_code(int fd, struct af_elf_code *out);
/* `go` alone, without a look at the code. */
bool af_elf_is_go(int fd);

/* Length of the x86-64 instruction at `code`; 0: there is none in these bytes. */
size_t af_x86_length(const uint8_t *code, size_t size);

#endif
