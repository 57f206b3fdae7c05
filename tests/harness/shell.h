/* Command lines, as a person types them in the root of the sources. */
#ifndef AFTERFIN_TESTS_HARNESS_SHELL_H
#define AFTERFIN_TESTS_HARNESS_SHELL_H

#include "tests/harness/harness.h"

#include <stdarg.h>
#include <stdlib.h>

#define ROWS(array) (sizeof(array) / sizeof *(array))

/* Run one, without what the make that runs us has left in the environment. */
static inline struct ended shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline struct ended shell(const char *format, ...) {
    char line[4096];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    cr_assert(n > 0 && n < (int)sizeof line);
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    return run_argv(NULL, (const char *const[]){ "sh", "-c", line, NULL });
}

#endif
