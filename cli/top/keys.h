/* What the user of the live view does: keys -> what is asked for, and where the cursor is. No terminal in here. */
#ifndef AFTERFIN_CLI_TOP_KEYS_H
#define AFTERFIN_CLI_TOP_KEYS_H

#include "cli/top/view.h"

enum { AF_FILTER_SIZE = 128 };

struct af_top_state {
    struct af_top_ask ask;          /* its filter is the one below */
    const struct af_top_view *view; /* what is on the screen */
    size_t at;                      /* the cursor's row in it */
    struct af_top_id cursor;        /* which that is, so that it stays there when the order changes */
    size_t page;                    /* rows that fit on the screen */
    char filter[AF_FILTER_SIZE];
    bool typing /* the filter */, help, quit;
    double delay_s;
    int asked_pid; /* not 0: it is asked what is to be set there */
    char asked_program[64];
    char refused[160]; /* why it is not asked: shown until the next key */
    const char *set;   /* that has been answered: to be carried out, for asked_pid */
};

void af_top_key(struct af_top_state *state, int key);

/* After the view has been made anew: find the cursor's row, or stay where it was. */
void af_top_find_cursor(struct af_top_state *state);
/* Forget opened rows that are not among these any more. */
void af_top_drop_opened(struct af_top_state *state, const struct af_top_rows *rows);

/* The keys, as many as there is room for on one line; the i-th line of the help, NULL behind the last. From
 * malloc. */
char *af_top_hint(const struct af_top_state *state, size_t width);
char *af_top_help_line(size_t i);

#endif
