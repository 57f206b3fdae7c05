/* Strings that came from somewhere else (a program's name, its arguments, a file's name, a line of a log), made fit to
 * print. Whatever the command writes goes through here: messages (say.h), columns and lines (table.h), the live view,
 * JSON and metrics (file.h, json.h). */
#ifndef AFTERFIN_CLI_OUTPUT_TEXT_H
#define AFTERFIN_CLI_OUTPUT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* May this character be shown as it is? Not what a terminal obeys (C0, DEL, C1), what ends a line (U+2028, U+2029),
 * nor what turns the direction of the text around it (U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069). */
bool af_is_fit(uint32_t c);

/* Length of the well-formed UTF-8 character at s (n bytes are there), which is put into *c (or NULL); 0: it is none. */
size_t af_utf8_length(const char *s, size_t n, uint32_t *c);

/* For a terminal: characters that are not fit, take no column, or are none of the locale become \xNN, a byte each. */

/* `text` cut to `width` columns, its end then replaced by an ellipsis. Returns the columns used; out has room for 4
 * bytes a column + 8. */
size_t af_fit(const char *text, size_t width, char *out);
/* Columns that the whole of `text` takes, shown like that. */
size_t af_columns(const char *text);
/* The whole of it, as far as `room` bytes and a NUL allow; allocates nothing. Returns its bytes. */
size_t af_show(const char *text, char *out, size_t room);
/* How many bytes of a text that af_show has made fit into so many columns: at least one character. */
size_t af_bytes_in(const char *shown, size_t columns);
/* The same up to a blank, where there is one, or to its end. */
size_t af_words_in(const char *shown, size_t columns);

/* Of a number: `one` of one, `more` of none or several. */
const char *af_plural(uint64_t n, const char *one, const char *more);

/* For machines: UTF-8, in which characters that are not fit, and bytes that are no character, are \xNN too, so that two
 * names stay two; newlines and tabs, which every format escapes, stay. What has been through it is not changed by it
 * again. From malloc; its length goes to *length (or NULL). */
char *af_utf8_text(const char *from, size_t size, size_t *length);
/* The same within the text of a JSON document, where a backslash is two. */
char *af_utf8_json(const char *from, size_t size);

#endif
