/* See table.h. */
#include "cli/output/table.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_WIDTH = 80, SHORTEST_TEXT = 8, INDENT = 8 };

size_t af_width_of(int fd) {
    struct winsize size;
    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_WIDTH;
}

bool af_colour_on(int fd) {
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fd) && !(no && *no) && !(terminal && strcmp(terminal, "dumb") == 0);
}

static struct af_table_line *add_line(struct af_table *table) {
    table->lines = af_room_for_one(table->lines, table->n_lines, sizeof *table->lines);
    struct af_table_line *line = &table->lines[table->n_lines++];
    *line = (struct af_table_line){ NULL, NULL };
    return line;
}

char **af_table_row(struct af_table *table) {
    struct af_table_line *line = add_line(table);
    line->cells = af_array(NULL, table->n_columns, sizeof *line->cells);
    memset(line->cells, 0, table->n_columns * sizeof *line->cells);
    return line->cells;
}

void af_table_note(struct af_table *table, char *note) {
    add_line(table)->note = note;
}

void af_table_free(struct af_table *table) {
    for (size_t i = 0; i < table->n_lines; i++) {
        for (size_t c = 0; table->lines[i].cells && c < table->n_columns; c++)
            free(table->lines[i].cells[c]);
        free(table->lines[i].cells);
        free(table->lines[i].note);
    }
    free(table->lines);
}

static void make(const struct af_table *table, size_t i, const char **cells) {
    for (size_t c = 0; c < table->n_columns; c++)
        cells[c] = "";
    table->make(table->context, i, cells);
}

static void measure_row(const struct af_table *table, const char *const *cells, size_t *widths, bool *filled) {
    for (size_t c = 0; c < table->n_columns; c++) {
        const size_t width = af_columns(cells[c]);
        widths[c] = width > widths[c] ? width : widths[c];
        filled[c] |= width > 1 || (width && *cells[c] != '0' && *cells[c] != '-');
    }
}

/* How wide each column wants to be; 0: not at all. Line by line: of a million a column at a time would miss every cache.
 * `cells`: room for a row. */
static void measure(const struct af_table *table, size_t *widths, const char **cells) {
    bool *filled = af_array(NULL, table->n_columns, sizeof *filled);
    for (size_t c = 0; c < table->n_columns; c++) {
        widths[c] = strlen(table->columns[c].title);
        filled[c] = !table->columns[c].optional;
    }
    for (size_t i = 0; i < table->n_lines; i++)
        if (table->lines[i].cells)
            measure_row(table, (const char *const *)table->lines[i].cells, widths, filled);
    for (size_t i = 0; i < table->n_made; i++) {
        make(table, i, cells);
        measure_row(table, cells, widths, filled);
    }
    for (size_t c = 0; c < table->n_columns; c++)
        widths[c] = filled[c] ? widths[c] : 0;
    free(filled);
}

static size_t total(const size_t *widths, size_t n) {
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += widths[i] ? widths[i] + 1 : 0;
    return sum ? sum - 1 : 0;
}

/* Leave columns out, only spare ones or any, until the rest is no wider than that. */
static void leave_out(const struct af_table *table, size_t *widths, size_t width, bool spare) {
    const size_t n = table->n_columns;
    while (total(widths, n) > width) {
        size_t least = n;
        for (size_t i = 0; i < n; i++)
            if (widths[i] && table->columns[i].rank && (table->columns[i].spare || !spare) &&
                (least == n || table->columns[i].rank > table->columns[least].rank))
                least = i;
        if (least == n)
            return;
        widths[least] = 0;
    }
}

static void shorten(const struct af_table *table, size_t *widths, size_t width, bool legible) {
    const size_t n = table->n_columns;
    for (size_t i = 0; i < n; i++) {
        const size_t least = legible && table->columns[i].least ? table->columns[i].least : SHORTEST_TEXT;
        while (table->columns[i].text && widths[i] > least && total(widths, n) > width)
            widths[i]--;
    }
}

/* Spare columns go first, then texts are shortened, then others go, then texts are shortened as far as can be. */
static void squeeze(const struct af_table *table, size_t *widths, size_t width) {
    leave_out(table, widths, width, true);
    shorten(table, widths, width, true);
    leave_out(table, widths, width, false);
    shorten(table, widths, width, false);
}

static void put_blanks(FILE *to, size_t n) {
    for (; n; n--)
        putc_unlocked(' ', to);
}

/* `shown`: room for the widest cell. */
static void print_row(const struct af_table *table, const size_t *widths, const char *const *cells, char *shown,
                      FILE *to) {
    size_t pending = 0; /* blanks, not printed at the end of a line */
    bool first = true;
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!widths[i])
            continue;
        const size_t used = af_fit(cells[i], widths[i], shown), rest = widths[i] - used;
        const bool text = table->columns[i].text;
        pending += !first;
        first = false;
        if (*shown) {
            put_blanks(to, pending + (text ? 0 : rest));
            fputs_unlocked(shown, to);
        }
        pending = *shown ? (text ? rest : 0) : pending + widths[i];
    }
    putc_unlocked('\n', to);
}

static char *room_for(const struct af_table *table, const size_t *widths) {
    size_t widest = 0;
    for (size_t i = 0; i < table->n_columns; i++)
        widest = widths[i] > widest ? widths[i] : widest;
    return af_array(NULL, widest + 3, 4);
}

void af_print_wrapped(FILE *to, size_t width, size_t indent, const char *text) {
    const size_t room = width > indent + SHORTEST_TEXT ? width - indent : SHORTEST_TEXT, size = strlen(text);
    char *line = af_array(NULL, size + 1, 4), *shown = line;
    af_show(text, line, 4 * size);
    while (*line) {
        const size_t len = af_words_in(line, room);
        fprintf(to, "%*s%.*s\n", (int)indent, "", (int)len, line);
        line += len;
        line += *line == ' ';
    }
    free(shown);
}

void af_table_print(struct af_table *table, FILE *to, size_t width, bool colour) {
    size_t *widths = af_array(NULL, table->n_columns, sizeof *widths);
    const char **cells = af_array(NULL, table->n_columns, sizeof *cells);
    measure(table, widths, cells);
    squeeze(table, widths, width);
    char *shown = room_for(table, widths);
    for (size_t i = 0; i < table->n_columns; i++)
        cells[i] = table->columns[i].title;
    fputs(colour ? "\033[1m" : "", to);
    print_row(table, widths, cells, shown, to);
    fputs(colour ? "\033[0m" : "", to);
    for (size_t i = 0; i < table->n_lines; i++)
        if (table->lines[i].cells)
            print_row(table, widths, (const char *const *)table->lines[i].cells, shown, to);
        else
            af_print_wrapped(to, width, width > 40 ? INDENT : 2, table->lines[i].note);
    for (size_t i = 0; i < table->n_made; i++) {
        make(table, i, cells);
        print_row(table, widths, cells, shown, to);
    }
    free(shown);
    free(widths);
    free(cells);
}
