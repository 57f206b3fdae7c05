/* How far something is that takes long: one line on a terminal's stderr, gone when it is done. */
#ifndef AFTERFIN_CLI_OUTPUT_BUSY_H
#define AFTERFIN_CLI_OUTPUT_BUSY_H

#include <stddef.h>

/* From now on, until af_busy_end, af_busy may say how far `command` is. Before, it says nothing. */
void af_busy_begin(const char *command);
/* So much is `done` of `all` (0: not known) `what`, "ledgers". Called as often as one likes: it says nothing in the first two
 * seconds, nor more than a few times a second, nor where stderr is no terminal. */
void af_busy(const char *what, size_t done, size_t all);
/* Before anything else is printed: the line goes, if there is one. */
void af_busy_end(void);
/* The same, and it may come again: for a message in between. */
void af_busy_hide(void);

#endif
