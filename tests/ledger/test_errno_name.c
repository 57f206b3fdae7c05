/* The names of errnos against libc's own. */
#include "ledger/errno_name.h"

#include <criterion/criterion.h>
#include <string.h>

Test(errno_name, is_what_libc_calls_it) {
    for (int error = 1; error < 300; error++) {
        const char *name = strerrorname_np(error);
        cr_expect_str_eq(af_errno_name((uint32_t)error), name ? name : "unknown", "%d", error);
    }
    cr_expect_str_eq(af_errno_name(0), "unknown");
    cr_expect_str_eq(af_errno_name(UINT32_MAX), "unknown");
}
