/* Beside a libc that lacks what came late: here libc.so.6 itself, with names taken out of its table of symbols. A glibc
 * older than 2.31 (make check-old-glibc) is nowhere to be had: of 2.17 this is what there is to see. */
#include "tests/harness/shell.h"
#include "tests/shim/ending_rows.h"

#include <dlfcn.h>
#include <glob.h>
#include <regex.h>
#include <unistd.h>

/* All that the library uses or exports and glibc 2.17 lacks, or has in another library than libc: there libdl, of which a
 * program may have none. Programs of this machine find it by its versions, so theirs go too. */
#define LACKING \
    "close_range closefrom pidfd_getfd execveat _Fork forkpty dlsym dlvsym dlopen dlmopen dladdr dlerror fcntl64 strerrorname_np"

/* What this program runs with. */
static const char *this_libc(void) {
    Dl_info info;

    cr_assert(dladdr((void *)(uintptr_t)&fopen, &info), "where is libc?");
    return info.dli_fname;
}

/* Victims find it from now on. */
static void lack(void) {
    const char *directory = directory_made();
    struct ended e = run(NULL, "build/tests/libc/lack %s %s/libc.so.6 " LACKING, this_libc(), directory);

    cr_assert(e.status == 0 && atoi(e.out) >= 14, "%d %s%s", e.status, e.out, e.err);
    setenv("LD_LIBRARY_PATH", directory, 1);
}

/* ---- is that all? ------------------------------------------------------------------------------------------------ */

static const char *symbols; /* "socket@@GLIBC_2.2.5", each with a line of its own */

static void expect_old_or_lacking(const char *name) {
    const char *found = strstr(symbols, text("\n%s@@GLIBC_", name));
    int major = 0, minor = 0;

    if (strcmp(name, "pthread_create") == 0)
        return; /* looked for where libpthread may be as well as libc; victims here have threads */
    if (!found || sscanf(strstr(found, "GLIBC_"), "GLIBC_%d.%d", &major, &minor) != 2)
        return; /* only in another libc, or another library */
    cr_expect((major == 2 && minor <= 17) || strstr(" " LACKING " ", text(" %s ", name)),
              "%s came with glibc %d.%d, and is not taken out", name, major, minor);
}

/* Every `group` of the pattern; how many there are. */
static unsigned expect_of_source(const char *path, const char *pattern, int group) {
    const char *source = file_text(path);
    regmatch_t found[4];
    regex_t regex;
    unsigned n = 0;

    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED), 0);
    for (; regexec(&regex, source, 4, found, 0) == 0; source += found[0].rm_eo, n++)
        expect_old_or_lacking(text("%.*s", (int)(found[group].rm_eo - found[group].rm_so),
                                   source + found[group].rm_so));
    regfree(&regex);
    return n;
}

Test(old_libc, lacks_each_name_that_the_library_looks_for_and_2_17_has_not) {
    glob_t sources = { 0 };
    unsigned n = 0;
    struct ended e = shell("echo; readelf -W --dyn-syms %s | sed -n 's/.* \\([^ ]*@@GLIBC_[0-9.]*\\).*/\\1/p'",
                           this_libc());

    if (e.status != 0 || !strstr(e.out, "\nsocket@@GLIBC_"))
        cr_skip_test("readelf is not there, or this libc has no versions: %s", e.err);
    symbols = e.out;
#define EXPECT(result, name, ...) expect_old_or_lacking(#name);
#define CALL EXPECT
#define ALIAS EXPECT
#define VARIADIC EXPECT
#define ALSO(name, target) expect_old_or_lacking(#name);
#include "shim/calls.def"
    cr_expect_geq(expect_of_source("shim/shim.h", "HELPER\\([^,()]*, ([A-Za-z0-9_]+), \\(", 1), 5);
    cr_assert_eq(glob("shim/*.c", 0, NULL, &sources), 0);
    for (size_t i = 0; i < sources.gl_pathc; i++)
        n += expect_of_source(sources.gl_pathv[i], "(ask_libc|find_(in|late|old))\\([^\"\n;]*\"([A-Za-z0-9_]+)\"", 3);
    cr_expect_geq(n, 10, "%u names in quotes", n);
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
