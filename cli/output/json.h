/* What every subcommand's JSON is made with. */
#ifndef AFTERFIN_CLI_OUTPUT_JSON_H
#define AFTERFIN_CLI_OUTPUT_JSON_H

#include "policy/policy.h"

#include <jansson.h>

/* How documents are laid out. */
enum { AF_JSON_LAYOUT = JSON_INDENT(2) | JSON_REAL_PRECISION(12) };

/* A string; what is not fit in it becomes \xNN (text.h: af_utf8_text). */
json_t *af_json_text(const char *from, size_t size);
/* The text of a document, from malloc, in which nothing is unfit, names of members neither; NULL: no memory. */
char *af_json_dump(const json_t *all, size_t flags);
/* "10.0.0.5:443" */
json_t *af_json_address(const struct af_addr *addr);
void af_json_put(json_t *object, const char *name, uint64_t n);
/* {"name": n}: what `from` has, or NULL, is added to what is in `to`. */
void af_json_add(json_t *to, json_t *from);
/* Write it as af_output (output.h) does, and free it. */
bool af_json_write(json_t *all, const char *command, const char *path);

#endif
