/* Messages of the command: one line each, on stderr. */

#include "cli/output/say.h"
#include "cli/output/busy.h"
#include "cli/output/table.h"
#include "cli/output/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_SHOWN = 4 /* \xNN */ };

static void (*hears)(const char *line);

void af_tell_to(void (*hear)(const char *line)) {
    hears = hear;
}

static void ignore(const char *line) {
    (void)line;
}

bool af_hush_on_connection(void) {
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;
    const bool is_one = getsockopt(STDERR_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain != AF_UNIX;
    if (is_one)
        af_tell_to(ignore);
    return is_one;
}

/* Newlines in place of blanks where it would not fit; a word that does not fit at all is the terminal's business. */
static void wrap(char *line) {
    const size_t width = af_width_of(STDERR_FILENO);
    while (isatty(STDERR_FILENO) && *(line += af_words_in(line, width)))
        if (*line == ' ')
            *line++ = '\n';
}

void af_tell(const char *format, ...) {
    char text[1024], line[LONGEST_SHOWN * sizeof text + 1];
    int used = snprintf(text, sizeof text, "afterfin: ");
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text + used, sizeof text - (size_t)used, format, args);
    va_end(args);
    if (wanted < 0)
        return;
    size_t len = af_show(text, line, sizeof line - 2);
    if (hears) {
        hears(line);
        return;
    }
    af_busy_hide();
    wrap(line);
    line[len] = '\n'; /* one write, so that lines of several processes do not mix */
    fwrite(line, 1, len + 1, stderr);
}

enum { WORD_MAX = 32 };

static unsigned least(unsigned a, unsigned b, unsigned c) {
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edits (insert, delete, replace, swap two neighbours) from a to b. */
static unsigned distance(const char *a, const char *b) {
    size_t m = strlen(a), n = strlen(b);
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    if (m > WORD_MAX || n > WORD_MAX)
        return WORD_MAX;
    for (unsigned i = 0; i <= m; i++)
        for (unsigned j = 0; j <= n; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, d[i][j]);
        }
    return d[m][n];
}

const char *af_closest(const char *text, const void *records, size_t n, size_t stride) {
    const char *best = NULL;
    unsigned best_distance = WORD_MAX;
    for (size_t i = 0; i < n; i++) {
        const char *word;
        memcpy(&word, (const char *)records + i * stride, sizeof word);
        const unsigned edits = word ? distance(text, word) : WORD_MAX;
        const size_t letters = word && strlen(word) > strlen(text) ? strlen(word) : strlen(text);
        if (edits < best_distance && edits * 3 <= letters) {
            best = word;
            best_distance = edits;
        }
    }
    return best;
}
