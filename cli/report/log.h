/* One line of a log, and what it tells of a process image. */
#ifndef AFTERFIN_CLI_REPORT_LOG_H
#define AFTERFIN_CLI_REPORT_LOG_H

#include "cli/ledgers/entries.h"

/* `image` without its name, which is af_entry_program's. The pairs' text is used again for the next line. */
struct af_log_line {
    const char *program;
    size_t program_size;
    struct af_entry image;
};

/* plain.c: a line as the library writes nearly all of them, every field in its place and nothing escaped; in one pass.
 * False: it is another one, good or not. */
bool af_log_plain(const char *line, size_t size, struct af_log_line *out);

/* line.c: any line that ends in a NUL, which is overwritten. NULL, or why it is none; `out->program` is then from malloc. */
const char *af_log_any(char *line, size_t size, struct af_log_line *out);

#endif
