/* See memory.h. */
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int status_without = AF_EXIT_FAILURE;
static const char *unwritten;
static int (*see_out)(void);

void af_memory_exits(int status) {
    status_without = status;
}

void af_memory_sees_out(int (*function)(void)) {
    see_out = function;
}

void af_memory_leaves(const char *file) {
    unwritten = file;
}

static void *or_exit(void *memory) {
    if (memory)
        return memory;
    af_tell("out of memory%s%s%s", unwritten ? ": " : "", unwritten ? unwritten : "",
            unwritten ? " is not written" : "");
    exit(see_out ? see_out() : status_without);
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

char *af_format_list(const char *format, va_list args) {
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    return or_exit(text);
}

char *af_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = af_format_list(format, args);
    va_end(args);
    return text;
}

void af_strings_add(struct af_strings *list, char *text) {
    list->all = af_room_for_one(list->all, list->n, sizeof *list->all);
    list->all[list->n++] = text;
}

bool af_strings_have(const struct af_strings *list, const char *text) {
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->all[i], text) == 0)
            return true;
    return false;
}

void af_strings_free(struct af_strings *list) {
    for (size_t i = 0; i < list->n; i++)
        free(list->all[i]);
    free(list->all);
    *list = (struct af_strings){ NULL, 0 };
}
