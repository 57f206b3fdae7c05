/* The system calls that the library makes: the manual names each, for who writes a filter that kills. */
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <ctype.h>

/* A word of its own, not a part of another. */
static bool names(const char *page, const char *word) {
    size_t len = strlen(word);

    for (const char *at = page; (at = strstr(at, word)); at += len)
        if (!isalnum((unsigned char)at[-1]) && at[-1] != '_' && !isalnum((unsigned char)at[len]) && at[len] != '_')
            return true;
    return false;
}

Test(added_calls, the_manual_names_every_system_call_of_the_sources) {
    const char *page = file_text("man/afterfin.7.in");
    struct ended e =
        shell("grep -ohE '(AF_SYS[0-9]|af_sys)\\(SYS_[a-z0-9_]+' shim/*.[ch] | sed 's/.*SYS_//' | sort -u");
    char *rest = NULL;
    int n = 0;

    cr_assert(page && (page = strstr(page, "besides the")), "the list is not where it was");
    for (char *call = strtok_r(strdup(e.out), "\n", &rest); call; call = strtok_r(NULL, "\n", &rest), n++)
        cr_expect(strcmp(call, "ppoll") == 0 /* poll, where there is none */ || names(page, call), "%s", call);
    cr_assert_gt(n, 20);
}
