/* Messages of the command. */
#ifndef AFTERFIN_CLI_OUTPUT_SAY_H
#define AFTERFIN_CLI_OUTPUT_SAY_H

#include <stdbool.h>
#include <stddef.h>

/* What the command exits with where something went wrong: in itself; in what it was asked; and of run and compare,
 * whose other statuses are those of CMD. */
enum { AF_EXIT_FAILURE = 1, AF_EXIT_USAGE = 2, AF_EXIT_RUN = 125 };

/* One line on stderr, "afterfin: " in front, made fit for a terminal (text.h), and wrapped at blanks where stderr is one.
 * Allocates nothing. */
void af_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From now on hand each line, without its end, to `hear` instead; NULL: to stderr again. */
void af_tell_to(void (*hear)(const char *line));
/* Is stderr an internet socket, as under inetd? It is CMD's then, which speaks a protocol there: nothing is said any more. */
bool af_hush_on_connection(void);

/* Of n words `stride` bytes apart (each record begins with a const char *), the one that `text` most likely
 * stands for, or NULL. */
const char *af_closest(const char *text, const void *records, size_t n, size_t stride);

#endif
