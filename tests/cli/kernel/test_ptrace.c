/* Who refused: what is said of Yama, which not every kernel has; the others are asked in earnest (set/test_set.c). */
#include "cli/kernel/ptrace.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

Test(ptrace, yama_is_named_with_its_sysctl_and_what_to_do) {
    static const struct {
        int64_t scope;
        bool all;
        const char *says[4];
    } rows[] = {
        { -1, false, { NULL } },
        { 0, false, { NULL } },
        { 1, false, { "ancestors", "kernel.yama.ptrace_scope=1", "sudo", "prctl(PR_SET_PTRACER)" } },
        { 1, true, { NULL } },
        { 2, false, { "CAP_SYS_PTRACE", "kernel.yama.ptrace_scope=2", "sudo" } },
        { 2, true, { NULL } },
        { 3, false, { "nobody", "kernel.yama.ptrace_scope=3", "next boot" } },
        { 3, true, { "nobody", "kernel.yama.ptrace_scope=3", "next boot" } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = af_refusal_by_yama(rows[i].scope, rows[i].all);
        cr_assert_eq(text != NULL, rows[i].says[0] != NULL, "row %zu: %s", i, text);
        for (size_t k = 0; k < 4 && rows[i].says[k]; k++)
            cr_expect(strstr(text, rows[i].says[k]), "row %zu: %s", i, text);
    }
}

Test(ptrace, other_errors_say_what_they_are) {
    static const struct {
        int error;
        const char *says;
    } rows[] = { { -ESRCH, "it has ended" }, { -ENOSYS, "Linux 5.6" }, { -EMFILE, "Too many open files" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect(strstr(af_refusal(getpid(), rows[i].error), rows[i].says), "%s", af_refusal(getpid(), rows[i].error));
}
