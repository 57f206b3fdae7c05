/* What is read out of programs is what binutils read, and no file upsets it. */
#include "cli/elf/elf.h"
#include "tests/cli/elf/elf_invariants.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_seed(unsigned which, unsigned char seed[ELF_SEED_ROOM], size_t *size) {
    int fd = memfd_create("seed", MFD_CLOEXEC);
    *size = elf_seed(which, seed);
    cr_assert_eq(pwrite(fd, seed, *size, 0), (ssize_t)*size);
    return fd;
}

Test(elf, tells_what_a_program_needs_imports_and_does_by_itself) {
    for (unsigned i = 0; i < ELF_SEEDS; i++) {
        unsigned char seed[ELF_SEED_ROOM];
        size_t size;
        struct af_elf elf;
        struct af_elf_dynamic d;
        struct af_elf_code code;
        int fd = open_seed(i, seed, &size);
        cr_assert(af_elf_read(fd, &elf) && af_elf_native(&elf) && elf.moves, "%u", i);
        cr_assert(af_elf_dynamic(fd, &d), "%u", i);
        cr_expect(d.n_needed == 1 && strcmp(d.needed[0], "libc.so.6") == 0, "%u: %zu", i, d.n_needed);
        cr_expect(d.n_imports == 1 && strcmp(d.imports[0], "connect") == 0, "%u: %zu", i, d.n_imports);
        cr_expect_str_eq(d.runpath, "/opt/lib", "%u", i);
        af_elf_code(fd, &code);
        cr_expect(code.looked && code.kernel_calls == 1, "%u: %lu", i, (unsigned long)code.kernel_calls);
        cr_expect_eq(code.opening, 1, "%u: %lu", i, (unsigned long)code.opening);
        cr_expect_eq(code.go, i & 1, "%u", i);
        af_elf_dynamic_free(&d);
        close(fd);
    }
}

static const char *const files[] = {
    "/bin/sh",
    "/usr/bin/curl",
    "/usr/bin/gcc",
    "/usr/sbin/nginx",
    "/usr/bin/redis-server",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libcurl.so.4",
    "/lib64/ld-linux-x86-64.so.2",
    "build/afterfin",
    "build/tests/victims/cycles",
    "/usr/bin/prometheus",
};

/* "3 25": libraries needed, symbols imported. */
Test(elf, counts_libraries_and_imports_as_readelf_does) {
    if (shell("readelf --version").status != 0)
        cr_skip_test("no readelf");
    for (size_t i = 0; i < ROWS(files); i++) {
        struct af_elf_dynamic d;
        char counted[64];
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        cr_assert(af_elf_dynamic(fd, &d), "%s", files[i]);
        snprintf(counted, sizeof counted, "%zu\n%zu\n", d.n_needed, d.n_imports);
        struct ended e = shell("readelf -dW %s | grep -c '(NEEDED)'; readelf --dyn-syms -W %s | "
                               "awk '$7 == \"UND\" && $8 != \"\"' | wc -l",
                               files[i], files[i]);
        cr_expect_str_eq(counted, e.out, "%s: %s, and readelf: %s", files[i], counted, e.out);
        af_elf_dynamic_free(&d);
        close(fd);
    }
}

Test(elf, counts_instructions_that_enter_the_kernel_as_objdump_does) {
    const char *instruction =
#if defined __x86_64__
        "syscall";
#else
        "svc";
#endif
    if (shell("objdump --version").status != 0)
        cr_skip_test("no objdump");
    for (size_t i = 0; i + 1 < ROWS(files); i++) { /* the last would take it long */
        struct af_elf_code code;
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        af_elf_code(fd, &code);
        close(fd);
        struct ended e = shell("objdump -d -j .text --no-show-raw-insn %s | grep -c -w '\\s%s'", files[i], instruction);
        cr_expect(code.looked && code.kernel_calls == (uint64_t)atoi(e.out), "%s: %lu, and objdump: %s", files[i],
                  (unsigned long)code.kernel_calls, e.out);
    }
}

Test(elf, survives_any_bytes) {
    srandom(1);
    for (unsigned which = 0; which < ELF_SEEDS; which++) {
        unsigned char seed[ELF_SEED_ROOM], bytes[ELF_SEED_ROOM];
        size_t size;
        int fd = open_seed(which, seed, &size);
        for (int i = 0; i < 4000; i++) {
            memcpy(bytes, seed, size);
            for (int n = random() % 4; n >= 0; n--)
                bytes[4 + (size_t)random() % (size - 4)] = random() % 3 ? (unsigned char)random() : 0xff;
            cr_assert_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
            const char *broken = elf_broken(fd);
            cr_assert_null(broken, "seed %u, %d: %s", which, i, broken);
        }
        cr_assert_eq(pwrite(fd, seed, size, 0), (ssize_t)size);
        for (off_t n = (off_t)size; n >= 0; n--) {
            cr_assert_eq(ftruncate(fd, n), 0);
            const char *broken = elf_broken(fd);
            cr_assert_null(broken, "seed %u, %ld bytes: %s", which, (long)n, broken);
        }
        close(fd);
    }
}
