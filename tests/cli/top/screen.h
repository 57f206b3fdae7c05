/* What a terminal of type vt100 shows: as much of it as ncurses asks of one, for a program that writes ASCII. */
#ifndef AFTERFIN_TESTS_CLI_TOP_SCREEN_H
#define AFTERFIN_TESTS_CLI_TOP_SCREEN_H

#include <stdbool.h>

enum { SCREEN_ROWS = 60, SCREEN_COLUMNS = 200 };

struct screen {
    int terminal; /* what is shown comes from there */
    unsigned rows, columns;
    unsigned row, column; /* of the cursor */
    unsigned top, bottom; /* rows: what scrolls */
    bool wraps;           /* the last column was written: the next character goes to the next row */
    char cells[SCREEN_ROWS][SCREEN_COLUMNS + 1];
    char sequence[32]; /* an escape sequence that has begun */
    unsigned outside;  /* characters and cursor positions that this terminal does not have */
};

void screen_start(struct screen *screen, int terminal, unsigned rows, unsigned columns);
/* It changes its size: the program is told, what is shown goes. */
void screen_resize(struct screen *screen, unsigned rows, unsigned columns);
/* Read until a row has `text`, or both, in it, or none has; after 30 s the test has failed. */
void screen_wait(struct screen *screen, const char *text);
void screen_wait_row(struct screen *screen, const char *text, const char *also);
void screen_wait_gone(struct screen *screen, const char *text);
/* All of it, for messages. */
const char *screen_text(const struct screen *screen);
void screen_type(const struct screen *screen, const char *keys);

#endif
