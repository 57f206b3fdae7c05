/* See memory.h. */
#include "cli/memory.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *or_exit(void *memory) {
    if (memory)
        return memory;
    af_tell("out of memory");
    exit(AF_EXIT_FAILURE);
}

void *af_array(void *old, size_t n, size_t size) {
    return or_exit(reallocarray(old, n ? n : 1, size));
}

void *af_room_for_one(void *old, size_t n, size_t size) {
    if (n & (n - 1) || n == 1)
        return old;
    /* A power of two (or 0) is full. */
    return af_array(old, n ? 2 * n : 2, size);
}

char *af_format(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return or_exit(text);
}
