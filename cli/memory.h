/* Memory of the command, which cannot do anything useful without: failure says so and exits. */
#ifndef AFTERFIN_CLI_MEMORY_H
#define AFTERFIN_CLI_MEMORY_H

#include <stddef.h>

/* realloc to n elements of `size` (at least one). */
void *af_array(void *old, size_t n, size_t size);
/* Room for one element more than the n there are: grows by doubling. */
void *af_room_for_one(void *old, size_t n, size_t size);
char *af_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
