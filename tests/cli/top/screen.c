/* See screen.h. */
#include "tests/cli/top/screen.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static void blank(struct screen *s, unsigned row, unsigned from, unsigned to) {
    memset(s->cells[row] + from, ' ', to - from);
}

static void clear(struct screen *s) {
    memset(s->cells, 0, sizeof s->cells);
    for (unsigned row = 0; row < s->rows; row++)
        blank(s, row, 0, s->columns);
}

void screen_start(struct screen *s, int terminal, unsigned rows, unsigned columns) {
    *s = (struct screen){ .terminal = terminal, .rows = rows, .columns = columns, .bottom = rows - 1 };
    clear(s);
}

void screen_resize(struct screen *s, unsigned rows, unsigned columns) {
    const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    screen_start(s, s->terminal, rows, columns);
    cr_assert_eq(ioctl(s->terminal, TIOCSWINSZ, &size), 0);
}

/* ---- what comes -------------------------------------------------------------------------------------------- */

static void go(struct screen *s, unsigned row, unsigned column) {
    s->outside += row >= s->rows || column >= s->columns;
    s->row = row < s->rows ? row : s->rows - 1;
    s->column = column < s->columns ? column : s->columns - 1;
    s->wraps = false;
}

static void line_feed(struct screen *s) {
    s->wraps = false;
    if (s->row != s->bottom) {
        s->row += s->row + 1 < s->rows;
        return;
    }
    memmove(s->cells[s->top], s->cells[s->top + 1], (s->bottom - s->top) * sizeof *s->cells);
    blank(s, s->bottom, 0, s->columns);
}

static void reverse_line_feed(struct screen *s) {
    s->wraps = false;
    if (s->row != s->top) {
        s->row -= s->row > 0;
        return;
    }
    memmove(s->cells[s->top + 1], s->cells[s->top], (s->bottom - s->top) * sizeof *s->cells);
    blank(s, s->top, 0, s->columns);
}

/* What scrolls are the rows from `top` to `bottom`, from 1. */
static void set_scrolling(struct screen *s, unsigned top, unsigned bottom) {
    const bool fits = top < bottom && bottom <= s->rows; /* else it was for another size */
    s->top = fits && top ? top - 1 : 0;
    s->bottom = fits ? bottom - 1 : s->rows - 1;
    go(s, 0, 0);
}

static void put(struct screen *s, char c) {
    if (s->wraps) {
        s->outside++; /* nobody means to write on */
        s->column = 0;
        line_feed(s);
    }
    s->cells[s->row][s->column] = c;
    s->wraps = s->column + 1 == s->columns;
    s->column += !s->wraps;
}

/* ESC [ P ; Q LETTER */
static void control(struct screen *s, char letter) {
    unsigned p = 0, q = 0;
    int n = sscanf(s->sequence + 2, "%u;%u", &p, &q);
    const unsigned by = n > 0 && p ? p : 1;
    if (letter == 'H')
        go(s, n > 0 && p ? p - 1 : 0, n > 1 && q ? q - 1 : 0);
    else if (letter == 'A')
        go(s, s->row - by, s->column);
    else if (letter == 'B')
        go(s, s->row + by, s->column);
    else if (letter == 'C')
        go(s, s->row, s->column + by);
    else if (letter == 'D')
        go(s, s->row, s->column - by);
    else if (letter == 'K')
        blank(s, s->row, p == 1 ? 0 : s->column, p == 1 ? s->column + 1 : s->columns);
    else if (letter == 'J')
        for (unsigned row = s->row; row < s->rows; row++)
            blank(s, row, row == s->row ? s->column : 0, s->columns);
    else if (letter == 'r')
        set_scrolling(s, n > 0 ? p : 0, n > 1 ? q : 0);
    else if (!strchr("mhltc", letter))
        cr_assert(false, "a sequence that this terminal does not know: ESC%s", s->sequence + 1);
}

static bool is_complete(const char *sequence, size_t len) {
    const char last = sequence[len - 1];
    if (len < 2)
        return false;
    if (sequence[1] == '[')
        return len > 2 && last >= '@' && last <= '~';
    return strchr("()#", sequence[1]) ? len > 2 : true;
}

static void take(struct screen *s, char c) {
    const size_t len = strlen(s->sequence);
    if (len || c == '\033') {
        cr_assert_lt(len + 1, sizeof s->sequence);
        s->sequence[len] = c;
        s->sequence[len + 1] = 0;
        if (!is_complete(s->sequence, len + 1))
            return;
        if (s->sequence[1] == '[')
            control(s, c);
        else if (s->sequence[1] == 'M')
            reverse_line_feed(s);
        s->sequence[0] = 0;
    } else if (c == '\r') {
        s->column = 0;
        s->wraps = false;
    } else if (c == '\n') {
        line_feed(s);
    } else if (c == '\b') {
        go(s, s->row, s->column ? s->column - 1 : 0);
    } else if (c >= ' ') {
        put(s, c);
    }
}

/* ---- what is seen ------------------------------------------------------------------------------------------ */

static const char *find(const struct screen *s, const char *text, const char *also) {
    for (unsigned row = 0; row < s->rows; row++)
        if (strstr(s->cells[row], text) && strstr(s->cells[row], also))
            return s->cells[row];
    return NULL;
}

const char *screen_text(const struct screen *s) {
    static char text[SCREEN_ROWS * (SCREEN_COLUMNS + 2)];
    *text = 0;
    for (unsigned row = 0; row < s->rows; row++)
        strcat(strcat(text, s->cells[row]), "\n");
    return text;
}

static bool wait_for(struct screen *s, const char *text, const char *also, bool there) {
    const time_t deadline = time(NULL) + 30;
    while ((find(s, text, also) != NULL) != there) {
        struct pollfd p = { .fd = s->terminal, .events = POLLIN };
        char bytes[4096];
        ssize_t got = poll(&p, 1, 1000) > 0 ? read(s->terminal, bytes, sizeof bytes) : 0;
        for (ssize_t i = 0; i < got; i++)
            take(s, bytes[i]);
        if (got < 0 || time(NULL) > deadline)
            return false;
    }
    return true;
}

void screen_wait_row(struct screen *s, const char *text, const char *also) {
    bool there = wait_for(s, text, also, true);
    cr_assert(there, "no '%s' with '%s' on the screen:\n%s", text, also, screen_text(s));
}

void screen_wait(struct screen *s, const char *text) {
    screen_wait_row(s, text, "");
}

void screen_wait_gone(struct screen *s, const char *text) {
    bool gone = wait_for(s, text, "", false);
    cr_assert(gone, "still '%s' on the screen:\n%s", text, screen_text(s));
}

void screen_type(const struct screen *s, const char *keys) {
    cr_assert_eq(write(s->terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}
