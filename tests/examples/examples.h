/* The files of examples/ as a person uses them: the commands that their first lines tell one to type, and their paths
 * on a machine or in an image brought down into a directory of the test's own. */
#ifndef AFTERFIN_TESTS_EXAMPLES_EXAMPLES_H
#define AFTERFIN_TESTS_EXAMPLES_EXAMPLES_H

#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <ctype.h>

static inline char *text_of(const char *path) {
    const char *text = file_text(path);
    cr_assert(text, "%s is read from the root of the sources", path);
    return (char *)text;
}

/* The rest of the first line `#   COMMAND...` that begins with `command`. */
static inline const char *typed(const char *path, const char *command) {
    char *rest = NULL;
    for (char *line = strtok_r(text_of(path), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "#   ", 4) == 0 && strncmp(line + 4, command, strlen(command)) == 0)
            return line + 4 + strlen(command);
    give_up("%s does not tell to type: %s", path, command);
    return NULL;
}

/* `text` with `by` in place of each `path` that a word begins with. */
static inline const char *moved(const char *text, const char *path, const char *by) {
    char *out = NULL;
    size_t size;
    FILE *to = open_memstream(&out, &size);
    for (const char *at = text; *at;) {
        bool begins = at == text || strchr(" =\"'", at[-1]);
        if (begins && strncmp(at, path, strlen(path)) == 0) {
            fputs(by, to);
            at += strlen(path);
        } else {
            fputc(*at++, to);
        }
    }
    fclose(to);
    return out;
}

/* In a namespace with nothing in TIME_WAIT: `line` ends well, says on stderr that it avoided n, and leaves none. */
static inline void expect_avoided(const char *line, long n, const char *what) {
    struct ended e = shell("%s", line);
    ns_settle();
    cr_assert_eq(e.status, 0, "%s: %s\n%d: %s", what, line, e.status, e.err);
    cr_expect_eq(log_lines(e.err), 1, "%s: %s", what, e.err);
    cr_expect_eq(log_number(log_line(e.err, 0), "avoided"), n, "%s: %s", what, e.err);
    cr_expect_eq(ns_tw(), 0, "%s", what);
}

#endif
