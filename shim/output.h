/* Writing where others read; see output.c. */
#ifndef AFTERFIN_SHIM_OUTPUT_H
#define AFTERFIN_SHIM_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* All of it, or -errno: to a descriptor of ours, O_NONBLOCK; and to stdout (1) or stderr (2) of the program's. -EAGAIN:
 * nobody reads there. Whole lines. */
long af_write_own(int fd, const char *data, size_t size);
long af_write_standard(int fd, const char *data, size_t size);
/* Is it a socket of a kind that may be the program's connection? */
bool af_is_internet(int fd);

#endif
