/* Where machine output goes. */
#ifndef AFTERFIN_CLI_OUTPUT_FILE_H
#define AFTERFIN_CLI_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Write all of `text` to stdout (path NULL) or to a file, whose readers see the old one or the whole new one. False:
 * it has been said why in the name of `command`, `what` being the text's name. */
bool af_output(const char *text, const char *command, const char *what, const char *path);

/* Is it to be expected that this succeeds? Asked before what is to be written is there; a FIFO, which would wait for its
 * reader, is taken at its word. False: it has been said why not. */
bool af_output_will(const char *command, const char *what, const char *path);

/* A path that is to be written to: a regular file is replaced as a whole, links followed; what stands for something else
 * (/dev/stdout, /dev/fd/3, a FIFO) is written to as it is. The descriptor, or -1: errno tells. Either way it is to be
 * closed: `ok` says whether all was written. False: it was not, or could not be put in place; errno tells. */
struct af_output_file {
    int fd;
    char *name, *target;
};
int af_output_open(struct af_output_file *file, const char *path);
bool af_output_close(struct af_output_file *file, bool ok);

/* write(2) all of it. False: errno tells. */
bool af_write_all(int fd, const char *data, size_t size);

#endif
