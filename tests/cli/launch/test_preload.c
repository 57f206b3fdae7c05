/* CMD that has a runtime which wants to come first. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <stdlib.h>
#include <unistd.h>

/* A program with AddressSanitizer as a library, gcc's or clang's; NULL: it cannot be made here. */
static const char *sanitized(const char *how) {
    const char *path = scratch_path(), *source = text("%s.c", path);
    FILE *file = fopen(source, "we");
    fputs(
        "#include <sys/socket.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        "int main(void) { close(socket(AF_INET, SOCK_STREAM, 0)); puts(getenv(\"ASAN_OPTIONS\") ?: \"\"); return 0; }\n",
        file);
    fclose(file);
    struct ended e = shell("%s -fsanitize=address -o %s %s && %s", how, path, source, path);
    return e.status == 0 ? path : NULL;
}

Test(preload, a_program_with_the_address_sanitizer_runs_and_is_counted) {
    static const char *const ways[] = {
        "gcc", "clang -shared-libasan -Wl,-rpath,$(dirname $(clang -print-file-name=libclang_rt.asan-$(uname -m).so))"
    };
    size_t seen = 0;
    for (size_t i = 0; i < ROWS(ways); i++) {
        const char *program = sanitized(ways[i]);
        if (!program)
            continue;
        seen++;
        struct ended e = command(NULL, "run", "-q", "--", program, NULL);
        cr_expect(e.status == 0 && strcmp(e.out, "verify_asan_link_order=0\n") == 0, "%s: %d %s%s", ways[i], e.status,
                  e.out, e.err);
        e = command("ASAN_OPTIONS=verbosity=0", "run", "-p", "log=stderr", "-q", "--", program, NULL);
        cr_expect(e.status == 0 && strcmp(e.out, "verbosity=0:verify_asan_link_order=0\n") == 0, "%s: %s%s", ways[i],
                  e.out, e.err);
        const char *line = log_line(e.err, 0);
        cr_expect(line && log_number(line, "sockets") == 1, "%s: %s", ways[i], e.err);
    }
    if (!seen)
        cr_skip_test("no compiler with its sanitizers");
    const struct ended none = command(NULL, "run", "-q", "--", "printenv", "ASAN_OPTIONS", NULL);
    cr_assert(none.status == 1 && !*none.out, "who does not need it does not get it: %s", none.out);
}

/* Nothing is mounted there, in a namespace of its own. */
Test(preload, the_library_is_found_without_proc) {
    struct ended e = run_argv(NULL,
                              (const char *[]){ "unshare", "-m", "sh", "-c",
                                                "mount -t tmpfs none /proc && exec \"$0\" env", command_path(), NULL });
    if (e.status != 0 && !*e.out && strstr(e.err, "unshare"))
        cr_skip_test("no mount namespace of our own: %s", e.err);
    cr_expect(strstr(e.out, "LD_PRELOAD=") && strstr(e.out, preload_path()), "%d %s%s", e.status, e.out, e.err);
}
