/* What every subcommand's JSON is made with. */
#ifndef AFTERFIN_CLI_JSON_H
#define AFTERFIN_CLI_JSON_H

#include "ledger/layout.h"

#include <jansson.h>

/* A string; bytes that are no UTF-8 become U+FFFD. */
json_t *af_json_text(const char *from, size_t size);
void af_json_put(json_t *object, const char *name, uint64_t n);
/* One number a row of counters.def. */
void af_json_put_counts(json_t *object, const uint64_t count[AF_COUNTERS]);

/* Write it to stdout (path NULL) or to a file, and free it. A reader of the file sees the old one or the whole
 * new one. False: it has been said why, in the name of `command`. */
bool af_json_write(json_t *all, const char *command, const char *path);

#endif
