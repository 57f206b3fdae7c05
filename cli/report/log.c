/* A log, line by line. Nearly all lines are plain ones (plain.c), read where they lie in one large buffer; what else there
 * is goes through line.c, and is named on stderr where it is no line of ours, or broken. */
#include "cli/report/log.h"
#include "cli/output/busy.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/text.h"
#include "cli/report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Told of one file; bytes of a line, of which ours have some thousands; and of what is read at once, which stays in the
 * processor's cache. */
enum { MOST_COMPLAINTS = 10, LONGEST_LINE = 1 << 20, BLOCK = 256 << 10 };

/* ---- its lines ----------------------------------------------------------------------------------------------- */

struct file {
    int fd, error;
    char *buffer; /* LONGEST_LINE + BLOCK + 1 */
    size_t from, to;
    bool ended;
};

/* More behind what there is. */
static void read_block(struct file *f) {
    if (f->from) {
        memmove(f->buffer, f->buffer + f->from, f->to - f->from);
        f->to -= f->from;
        f->from = 0;
    }
    const ssize_t got = read(f->fd, f->buffer + f->to, BLOCK);
    if (got > 0)
        f->to += (size_t)got;
    else if (got == 0 || errno != EINTR)
        f->ended = true;
    if (got < 0 && errno != EINTR)
        f->error = errno;
}

/* The next line without its newline (a CR before it is of the newline), and a NUL. NULL: there is none, or it is longer than
 * any of ours: then *size says LONGEST_LINE. */
static char *next_line(struct file *f, size_t *size) {
    char *newline;
    size_t seen = 0;
    while (!(newline = memchr(f->buffer + f->from + seen, '\n', f->to - f->from - seen)) && !f->ended) {
        seen = f->to - f->from;
        if (seen >= LONGEST_LINE)
            break;
        read_block(f);
    }
    char *line = f->buffer + f->from;
    *size = newline ? (size_t)(newline - line) : f->to - f->from;
    if (*size >= LONGEST_LINE)
        *size = LONGEST_LINE;
    if (f->error || *size == LONGEST_LINE || (!newline && !*size))
        return NULL;
    f->from += *size + (newline != NULL);
    *size -= newline && *size && line[*size - 1] == '\r';
    line[*size] = 0;
    return line;
}

/* ---- what they tell ------------------------------------------------------------------------------------------ */

/* A log in the middle of being read. */
struct place {
    struct af_entries *entries;
    const char *name;
    size_t line, complaints;
    struct af_log_line told;
};

static const char *read_line(struct place *p, char *line, size_t size) {
    const char *why = af_log_any(line, size, &p->told);
    if (why)
        return why;
    af_entries_take(p->entries, p->told.program, p->told.program_size, &p->told.image);
    free((char *)p->told.program);
    return NULL;
}

/* Where in `from` a line of ours begins, its end if none does. */
static char *next_start(char *from, char *end) {
    static const char *const starts[] = { "afterfin version=", "{\"version\"" };
    char *first = end;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        char *at = memmem(from, (size_t)(end - from), starts[i], strlen(starts[i]));
        first = at && at < first ? at : first;
    }
    return first;
}

static void take(struct place *p, char *line, size_t size, bool piece) {
    const char *why = read_line(p, line, size);
    p->entries->lines += !why;
    p->entries->skipped += why != NULL;
    if (why && p->complaints++ >= MOST_COMPLAINTS)
        return;
    if (why && piece)
        af_tell("report: %s:%zu: %s: left out, %zu byte%s", p->name, p->line, why, size, af_plural(size, "", "s"));
    else if (why)
        af_tell("report: %s:%zu: %s", p->name, p->line, why);
}

/* A disk that was full has cut a line off, newline and all, and the next one stands right behind it. A whole line may
 * have such a beginning in it too, as some program's name. */
static void take_odd_line(struct place *p, char *line, size_t size) {
    char *end = line + size, *next = size ? next_start(line + 1, end) : end;
    if (next < end) {
        char *copy = memcpy(af_array(NULL, size + 1, 1), line, size + 1);
        const char *why = read_line(p, copy, size);
        free(copy);
        p->entries->lines += !why;
        if (!why)
            return;
    }
    for (bool pieces = next < end; line < end; line = next, next = line < end ? next_start(line + 1, end) : end) {
        const char first = *next;
        *next = 0;
        take(p, line, (size_t)(next - line), pieces);
        *next = first;
    }
}

static void take_line(struct place *p, char *line, size_t size) {
    if (!af_log_plain(line, size, &p->told)) {
        take_odd_line(p, line, size);
        return;
    }
    af_entries_take(p->entries, p->told.program, p->told.program_size, &p->told.image);
    p->entries->lines++;
}

/* ---- a file -------------------------------------------------------------------------------------------------- */

static bool read_file(struct af_entries *entries, int fd, const char *name) {
    struct place p = { .entries = entries, .name = name };
    struct file f = { .fd = fd, .buffer = af_array(NULL, LONGEST_LINE + BLOCK + 1, 1) };
    size_t size;
    for (char *line; (line = next_line(&f, &size));) {
        p.line++;
        if (p.line % 1024 == 0)
            af_busy("lines", entries->lines + entries->skipped, 0);
        take_line(&p, line, size);
    }
    free(f.buffer);
    free(p.told.image.pairs.text);
    if (p.complaints > MOST_COMPLAINTS)
        af_tell("report: %s: and %zu more line%s not of afterfin's log, or broken", name,
                p.complaints - MOST_COMPLAINTS, af_plural(p.complaints - MOST_COMPLAINTS, " that is", "s that are"));
    if (f.error)
        af_tell("report: %s: %s", name, strerror(f.error));
    else if (size == LONGEST_LINE)
        af_tell("report: %s:%zu: a line of more than %d bytes: it is no log, and is read no further", name, p.line + 1,
                LONGEST_LINE);
    return !f.error && size != LONGEST_LINE;
}

bool af_report_read_log(struct af_entries *entries, const char *path) {
    if (strcmp(path, "-") == 0)
        return read_file(entries, STDIN_FILENO, "stdin");
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        af_tell("report: %s: %s", path, strerror(errno));
        return false;
    }
    const bool ok = read_file(entries, fd, path);
    close(fd);
    return ok;
}
