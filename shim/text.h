/* Text without stdio: appended to room of the caller's, counted where it does not fit. A struct af_text with
 * no room measures. Async-signal-safe. */
#ifndef AFTERFIN_SHIM_TEXT_H
#define AFTERFIN_SHIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct af_text {
    char *to;
    size_t room;
    size_t size; /* of all that was put, whether it fitted or not */
};

void af_put(struct af_text *text, const char *string);
void af_put_char(struct af_text *text, char c);
void af_put_number(struct af_text *text, uint64_t n);
/* n in `digits` digits, zeros in front. */
void af_put_padded(struct af_text *text, uint64_t n, int digits);
/* What is not fit to be shown (controls, marks that turn the order of text) as \xNN, a byte each. */
void af_put_fit(struct af_text *text, const char *string);
/* Between quotes, escaped as logfmt has it (\", \\, \n, \xNN), or as JSON has it (RFC 8259; \uNNNN what is not fit, and a byte
 * that is not UTF-8 as U+00NN). */
void af_put_logfmt(struct af_text *text, const char *string);
void af_put_json(struct af_text *text, const char *string, size_t size);
/* How many bytes the character at `at` has, 0 where there is none; it ends within `room`. */
size_t af_utf8(const char *at, size_t room);
/* "2026-11-23T12:00:00.123Z" from nanoseconds since 1970. */
void af_put_time(struct af_text *text, uint64_t ns);

#endif
