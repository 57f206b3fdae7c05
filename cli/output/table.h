/* Columns on a terminal: never wider than it. */
#ifndef AFTERFIN_CLI_OUTPUT_TABLE_H
#define AFTERFIN_CLI_OUTPUT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct af_column {
    const char *title;
    bool text;     /* to the left, and may be cut; else a number, to the right */
    size_t least;  /* columns that a text is left with if others can go instead; 0: 8 */
    bool optional; /* left out where every cell is "0", "-" or empty */
    bool spare;    /* left out before any text is cut */
    int rank;      /* where the width does not do, the highest is left out first; 0: never */
};

struct af_table_line {
    char **cells; /* one a column; NULL: a note */
    char *note;
};

struct af_table {
    const struct af_column *columns;
    size_t n_columns;
    struct af_table_line *lines;
    size_t n_lines;
    /* Rows after these that are made when they are wanted, twice: the cells of a million are not kept. `make` points the
     * n_columns cells, which are empty before, to text that is good until the next call. */
    size_t n_made;
    void (*make)(void *context, size_t i, const char **cells);
    void *context;
};

/* A new row; its cells, n_columns strings from malloc, are to be filled in, and belong to the table then. */
char **af_table_row(struct af_table *table);
/* A line between rows: words, wrapped at blanks. `note`, from malloc, belongs to the table then. */
void af_table_note(struct af_table *table, char *note);
void af_table_print(struct af_table *table, FILE *to, size_t width, bool colour);
void af_table_free(struct af_table *table);

/* Words from column `indent` on, wrapped at blanks so as not to be wider than `width`. */
void af_print_wrapped(FILE *to, size_t width, size_t indent, const char *text);

/* The terminal's width behind this descriptor; 80 where it is none. */
size_t af_width_of(int fd);
/* Is it a terminal, and has nobody said NO_COLOR (no-color.org)? */
bool af_colour_on(int fd);

#endif
