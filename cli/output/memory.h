/* Memory of the command, which cannot do anything useful without: failure says so and exits. */
#ifndef AFTERFIN_CLI_OUTPUT_MEMORY_H
#define AFTERFIN_CLI_OUTPUT_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* What to exit with from now on, in place of AF_EXIT_FAILURE; and the file (NULL: none) that is not written then. */
void af_memory_exits(int status);
/* Or with what this returns, where something is to be seen to its end first: it has no memory to ask for. NULL: nothing is. */
void af_memory_sees_out(int (*see_out)(void));
void af_memory_leaves(const char *file);

/* realloc to n elements of `size` (at least one). */
void *af_array(void *old, size_t n, size_t size);
/* Room for one element more than the n there are: grows by doubling. */
void *af_room_for_one(void *old, size_t n, size_t size);
char *af_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *af_format_list(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* Strings from malloc, in a list that owns them. */
struct af_strings {
    char **all;
    size_t n;
};
void af_strings_add(struct af_strings *list, char *text);
bool af_strings_have(const struct af_strings *list, const char *text);
void af_strings_free(struct af_strings *list);

#endif
