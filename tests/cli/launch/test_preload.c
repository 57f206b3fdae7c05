/* CMD that has a runtime which wants to come first. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <stdlib.h>
#include <unistd.h>

/* A program as gcc makes it with -fsanitize=address; NULL: it cannot here. */
static const char *sanitized(void) {
    const char *path = scratch_path(), *source = text("%s.c", path);
    FILE *file = fopen(source, "we");
    fputs(
        "#include <sys/socket.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        "int main(void) { close(socket(AF_INET, SOCK_STREAM, 0)); puts(getenv(\"ASAN_OPTIONS\") ?: \"\"); return 0; }\n",
        file);
    fclose(file);
    struct ended e = run(NULL, "gcc -fsanitize=address -o %s %s", path, source);
    return e.status == 0 ? path : NULL;
}

Test(preload, a_program_with_the_address_sanitizer_runs_and_is_counted) {
    const char *program = sanitized();
    if (!program)
        cr_skip_test("no gcc with its sanitizers");
    struct ended e = command(NULL, "run", "-q", "--", program, NULL);
    cr_assert(e.status == 0 && strcmp(e.out, "verify_asan_link_order=0\n") == 0, "%d %s%s", e.status, e.out, e.err);
    e = command("ASAN_OPTIONS=verbosity=0", "run", "-p", "log=stderr", "-q", "--", program, NULL);
    cr_assert(e.status == 0 && strcmp(e.out, "verbosity=0:verify_asan_link_order=0\n") == 0, "%s%s", e.out, e.err);
    cr_assert_eq(log_number(log_line(e.err, 0), "sockets"), 1, "%s", e.err);
    e = command(NULL, "run", "-q", "--", "printenv", "ASAN_OPTIONS", NULL);
    cr_assert(e.status == 1 && !*e.out, "who does not need it does not get it: %s", e.out);
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
