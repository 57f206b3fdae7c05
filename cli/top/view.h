/* Rows as they are shown: chosen, in order, opened up; the same on the screen, on paper and in JSON. */
#ifndef AFTERFIN_CLI_TOP_VIEW_H
#define AFTERFIN_CLI_TOP_VIEW_H

#include "cli/output/table.h"
#include "cli/top/top.h"

enum af_top_column {
    AF_SHOW_PID,
    AF_SHOW_RUNNING,
    AF_SHOW_PROGRAM,
    AF_SHOW_ENDED,
    AF_SHOW_OPEN,
    AF_SHOW_NEW,
    AF_SHOW_TIME_WAIT,
    AF_SHOW_LEFT,
    AF_SHOW_AVOIDED,
    AF_SHOW_SHARE,
    AF_SHOW_BAR,
    AF_SHOW_FULL_IN,
    AF_SHOW_BUSIEST,
    AF_SHOW_COLUMNS
};

/* Which row it is, over many samples. */
struct af_top_id {
    struct af_sample_key key;
    char program[AF_PROGRAM_SIZE];
    bool unknown;
};
struct af_top_id af_top_id_of(const struct af_top_row *row);
bool af_top_same(const struct af_top_id *x, const struct af_top_id *y);

struct af_top_ask {
    enum af_top_by by;
    enum af_top_column sort;
    bool reversed;
    const char *filter;       /* what a program's name, a pid or an endpoint has in it; empty: all */
    struct af_top_id *opened; /* rows whose endpoints are shown */
    size_t n_opened;
    bool live; /* with bars beside SHARE, and a + behind what grew since the last look */
};

/* The column to sort by, from its name; AF_SHOW_COLUMNS: none has it. Names separated by commas, for a message. */
enum af_top_column af_top_column_named(const char *name);
const char *af_top_column_names(void);
/* The next one (step 1) or the one before (-1) that this view can be sorted by. */
enum af_top_column af_top_column_beside(enum af_top_column column, int step, enum af_top_by by);

struct af_top_view {
    const struct af_top_row **rows; /* those asked for, in order */
    size_t n;
    const struct af_top_row **of_line; /* for each line of the table, whose it is */
    bool *is_row;                      /* it is the row's own line, and none of its endpoints' */
    struct af_table table;
};

/* The rows must outlive it. */
void af_top_view(struct af_top_view *view, const struct af_top_rows *rows, const struct af_top_ask *ask);
void af_top_view_free(struct af_top_view *view);

/* What stands above the table: sums of all rows, asked for or not; what was asked, "every" or "in" s seconds; the
 * range of ports. From malloc. */
char *af_top_sums(const struct af_top_rows *rows, const struct af_top_view *view);
char *af_top_setting(const struct af_top_sample *now, const struct af_top_ask *ask, const char *when, double s);
/* Why no row is shown. */
char *af_top_empty(const struct af_top_rows *rows, const struct af_top_ask *ask);

/* JSON to stdout (path NULL), or to a file. False: it has been said why. */
bool af_top_write_json(const struct af_top_rows *rows, const struct af_top_view *view, const struct af_top_sample *now,
                       double interval_s, enum af_top_by by, const char *path);

#endif
