/* Where machine output goes. */
#ifndef AFTERFIN_CLI_OUTPUT_FILE_H
#define AFTERFIN_CLI_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Write all of `text` to stdout (path NULL) or to a file, whose readers see the old one or the whole new one. False:
 * it has been said why in the name of `command`, `what` being the text's name. */
bool af_output(const char *text, const char *command, const char *what, const char *path);

/* write(2) all of it. False: errno tells. */
bool af_write_all(int fd, const char *data, size_t size);

#endif
