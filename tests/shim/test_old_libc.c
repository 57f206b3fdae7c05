/* Beside a libc that lacks what came late: here libc.so.6 itself, with names taken out of its table of symbols. */
#include "tests/shim/ending_rows.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

/* All that the library uses or exports and glibc 2.17 lacks; and dlsym, which before 2.34 comes with libdl alone. */
static const char *const lacking[] = { "close_range", "closefrom",       "pidfd_getfd", "execveat",
                                       "_Fork",       "forkpty",         "dlsym",       "dlvsym",
                                       "fcntl64",     "strerrorname_np", "dlerror" };

static void take_out(ElfW(Sym) *symbol, const char *name, size_t found[]) {
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
        if (strcmp(name, lacking[i]) == 0) {
            symbol->st_name = 0;
            found[i]++;
        }
}

/* It is what this program runs with. */
static void copy_libc(const char *path) {
    Dl_info info;

    cr_assert(dladdr((void *)(uintptr_t)&fopen, &info), "where is libc?");
    struct ended e = run(NULL, "cp %s %s", info.dli_fname, path);
    cr_assert_eq(e.status, 0, "%s", e.err);
}

/* Victims find it from now on. */
static void lack(void) {
    const char *directory = directory_made(), *path = text("%s/libc.so.6", directory);
    size_t found[sizeof lacking / sizeof *lacking] = { 0 };

    copy_libc(path);
    FILE *file = fopen(path, "r+");
    ElfW(Ehdr) header;
    cr_assert(file && fread(&header, sizeof header, 1, file) == 1);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    char *image = malloc(size);
    rewind(file);
    cr_assert_eq(fread(image, 1, size, file), size);
    ElfW(Shdr) *sections = (void *)(image + header.e_shoff);
    for (int i = 0; i < header.e_shnum; i++)
        if (sections[i].sh_type == SHT_DYNSYM) {
            ElfW(Sym) *symbols = (void *)(image + sections[i].sh_offset);
            const char *names = image + sections[sections[i].sh_link].sh_offset;
            for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; s++)
                take_out(&symbols[s], names + symbols[s].st_name, found);
        }
    rewind(file);
    cr_assert_eq(fwrite(image, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    cr_assert(found[0] && found[6], "%s has no such names", path);
    setenv("LD_LIBRARY_PATH", directory, 1);
}

Test(old_libc, without_the_library_a_program_misses_what_is_missing) {
    lack();
    struct ended e = run(NULL, "daemonizes 127.0.0.1 1 0 0 0");
    cr_assert(e.status == 127 && strstr(e.err, "close_range"), "%d %s", e.status, e.err);
}

Test(old_libc, every_way_to_close_copy_and_leave_works_and_is_counted) {
    lack();
    rows_logged(&close_ways);
    rows_logged(&copy_ways);
    rows_logged(&leave_ways);
}

Test(old_libc, every_way_to_fork_and_to_run_another_program_works_and_is_counted) {
    lack();
    rows_logged(&fork_ways);
    rows_logged(&birth_ways);
    rows_logged(&exec_ways);
    rows_logged(&sent_ways);
}
