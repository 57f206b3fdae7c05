/* Where machine output goes. */
#ifndef AFTERFIN_CLI_OUTPUT_FILE_H
#define AFTERFIN_CLI_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Write all of `text` to stdout (path NULL) or to a file, whose readers see the old one or the whole new one. False:
 * it has been said why in the name of `command`, `what` being the text's name. */
bool af_output(const char *text, const char *command, const char *what, const char *path);

/* The regular file that is to be made, or replaced, where a path is to be written to, links followed; from malloc. NULL:
 * it stands for something else (/dev/stdout, /dev/fd/3, a FIFO), which is to be written to as it is. */
char *af_output_target(const char *path);

/* write(2) all of it. False: errno tells. */
bool af_write_all(int fd, const char *data, size_t size);

#endif
