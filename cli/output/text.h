/* Strings that came from somewhere else (a program's name, its arguments), made fit to print. */
#ifndef AFTERFIN_CLI_OUTPUT_TEXT_H
#define AFTERFIN_CLI_OUTPUT_TEXT_H

#include <stddef.h>

/* Length of the well-formed UTF-8 character at s (n bytes are there); 0: it is none. */
size_t af_utf8_length(const char *s, size_t n);

/* `text` cut to `width` columns, its end then replaced by an ellipsis. Control characters, and bytes that are
 * no character of the locale, become \xNN. Returns the columns used; out has room for 4 bytes a column + 8. */
size_t af_fit(const char *text, size_t width, char *out);

/* Columns that the whole of `text` takes, shown like that. */
size_t af_columns(const char *text);

#endif
