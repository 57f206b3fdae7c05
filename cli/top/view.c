/* See top_view.h: which rows, in which order, and the cells of their lines. */
#include "cli/top/view.h"
#include "cli/kernel/process.h"
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- columns, and what they sort by ------------------------------------------------------------------------ */

enum { BAR = 10 };

/* An endpoint stands where the name does, and is worth more columns than some counts. */
/* clang-format off */
#define COLUMNS(shortest_name)                                                                        \
    {                                                                                                 \
        [AF_SHOW_PID] = { "PID", .optional = true, .rank = 3 },                                       \
        [AF_SHOW_RUNNING] = { "RUNNING", .optional = true, .rank = 6 },                               \
        [AF_SHOW_PROGRAM] = { "PROGRAM", .text = true, .least = (shortest_name) },                    \
        [AF_SHOW_ENDED] = { "ENDED", .text = true, .optional = true, .rank = 10 },                    \
        [AF_SHOW_OPEN] = { "OPEN", .rank = 4 },                                                       \
        [AF_SHOW_NEW] = { "NEW/S", .rank = 7 },                                                       \
        [AF_SHOW_TIME_WAIT] = { "TIME_WAIT", .rank = 0 },                                             \
        [AF_SHOW_LEFT] = { "LEFT", .optional = true, .rank = 9 },                                     \
        [AF_SHOW_AVOIDED] = { "AVOIDED", .rank = 8 },                                                 \
        [AF_SHOW_SHARE] = { "SHARE", .rank = 1 },                                                     \
        [AF_SHOW_BAR] = { "", .text = true, .least = BAR, .optional = true, .spare = true, .rank = 12 }, \
        [AF_SHOW_FULL_IN] = { "FULL_IN", .rank = 5 },                                                 \
        [AF_SHOW_BUSIEST] = { "BUSIEST", .text = true, .optional = true, .spare = true, .rank = 11 }, \
    }
/* clang-format on */
static const struct af_column columns[AF_SHOW_COLUMNS] = COLUMNS(13);
static const struct af_column opened_columns[AF_SHOW_COLUMNS] = COLUMNS(21);

static int number_order(double x, double y) {
    return x < y ? 1 : x > y ? -1 : 0; /* the most first */
}

static int by_pid(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order(y->pid, x->pid);
}
static int by_running(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order((double)x->running, (double)y->running);
}
static int by_program(const struct af_top_row *x, const struct af_top_row *y) {
    return strcmp(x->program, y->program);
}
static int by_open(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order((double)x->open, (double)y->open);
}
static int by_new(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order(x->new_per_s, y->new_per_s);
}
static int by_time_wait(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order((double)x->time_wait, (double)y->time_wait);
}
static int by_avoided(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order((double)x->avoided, (double)y->avoided);
}
static double share_of(const struct af_top_row *row) {
    return row->busiest.at ? (double)row->busiest.used / row->busiest.of : -1;
}
static int by_share(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order(share_of(x), share_of(y));
}
/* The soonest first; where nothing fills up, last. */
static double full_in(const struct af_top_row *row) {
    return row->busiest.full_in_s < 0 ? 1e300 : row->busiest.full_in_s;
}
static int by_full_in(const struct af_top_row *x, const struct af_top_row *y) {
    return number_order(full_in(y), full_in(x));
}

static const struct sorting {
    const char *name;
    int (*compare)(const struct af_top_row *x, const struct af_top_row *y);
} sortings[AF_SHOW_COLUMNS] = {
    [AF_SHOW_PID] = { "pid", by_pid },
    [AF_SHOW_RUNNING] = { "running", by_running },
    [AF_SHOW_PROGRAM] = { "program", by_program },
    [AF_SHOW_OPEN] = { "open", by_open },
    [AF_SHOW_NEW] = { "new", by_new },
    [AF_SHOW_TIME_WAIT] = { "time_wait", by_time_wait },
    [AF_SHOW_AVOIDED] = { "avoided", by_avoided },
    [AF_SHOW_SHARE] = { "share", by_share },
    [AF_SHOW_FULL_IN] = { "full_in", by_full_in },
};

enum af_top_column af_top_column_named(const char *name) {
    enum af_top_column c = 0;
    while (c < AF_SHOW_COLUMNS && !(sortings[c].name && strcmp(sortings[c].name, name) == 0))
        c++;
    return c;
}

const char *af_top_column_names(void) {
    static char names[128];
    if (!*names)
        for (int c = 0; c < AF_SHOW_COLUMNS; c++)
            if (sortings[c].name)
                strcat(strcat(names, *names ? ", " : ""), sortings[c].name);
    return names;
}

enum af_top_column af_top_column_beside(enum af_top_column column, int step, enum af_top_by by) {
    const enum af_top_column other = by == AF_BY_PROCESS ? AF_SHOW_RUNNING : AF_SHOW_PID;
    int c = column;
    do
        c = (c + step + AF_SHOW_COLUMNS) % AF_SHOW_COLUMNS;
    while (!sortings[c].name || c == (int)other);
    return (enum af_top_column)c;
}

/* ---- which rows, in which order ---------------------------------------------------------------------------- */

struct af_top_id af_top_id_of(const struct af_top_row *row) {
    struct af_top_id id = { .key = row->key, .unknown = row->unknown };
    strncpy(id.program, row->program, sizeof id.program - 1);
    return id;
}

bool af_top_same(const struct af_top_id *x, const struct af_top_id *y) {
    return x->unknown == y->unknown && af_sample_key_compare(&x->key, &y->key) == 0 &&
           strcmp(x->program, y->program) == 0;
}

static void endpoint_text(const struct af_top_endpoint *e, char out[AF_ADDR_TEXT]) {
    const struct af_endpoint endpoint = { .addr = e->addr, .accepted = e->accepted };
    af_endpoint_text(&endpoint, out);
}

static bool is_wanted(const struct af_top_row *row, const struct af_top_ask *ask) {
    if (!ask->filter || !*ask->filter || strcasestr(row->program, ask->filter))
        return true;
    char *pid = af_pid_text(row->pid, row->pid_ns), text[AF_ADDR_TEXT];
    bool wanted = row->pid && strstr(pid, ask->filter);
    free(pid);
    for (size_t i = 0; i < row->n_endpoints && !wanted; i++) {
        endpoint_text(&row->endpoints[i], text);
        wanted = strstr(text, ask->filter);
    }
    return wanted;
}

/* Rows that tie stay where they are from frame to frame. */
static int row_order(const void *a, const void *b, void *context) {
    const struct af_top_row *x = *(const struct af_top_row *const *)a, *y = *(const struct af_top_row *const *)b;
    const struct af_top_ask *ask = context;
    int order = sortings[ask->sort].compare(x, y);
    order = ask->reversed ? -order : order;
    order = order ? order : strcmp(x->program, y->program);
    order = order ? order : af_sample_key_compare(&x->key, &y->key);
    return order ? order : x->unknown - y->unknown;
}

/* ---- cells ------------------------------------------------------------------------------------------------- */

static char *number(uint64_t n) {
    return af_format("%llu", (unsigned long long)n);
}

/* A place for the mark, so that numbers stay below each other. */
static char *marked(uint64_t n, bool more, bool live) {
    return live ? af_format("%llu%c", (unsigned long long)n, more ? '+' : ' ') : number(n);
}

static char *rate_text(double per_s) {
    return per_s < 0 ? af_format("-") : af_format("%.1f", per_s);
}

static char *share_text(const struct af_top_share *share) {
    return share->at ? af_format("%.1f%%", 100.0 * share->used / share->of) : af_format("-");
}

/* What is in use at all is seen, and so is a port that is left. */
static char *bar_text(const struct af_top_share *share) {
    size_t n = share->at ? ((size_t)share->used * BAR + share->of / 2) / share->of : 0;
    if (!share->at)
        return af_format("%s", "");
    n = n > BAR ? BAR : n;
    n = share->used && !n ? 1 : share->used < share->of && n == BAR ? BAR - 1 : n;
    return af_format("%.*s%.*s", (int)n, "##########", (int)(BAR - n), "..........");
}

static char *full_in_text(const struct af_top_share *share) {
    const double s = share->full_in_s;
    if (!share->at || s < 0)
        return af_format("-");
    return s < 600 ? af_format("%.0fs", s) : s < 36000 ? af_format("%.0fm", s / 60) : af_format("%.0fh", s / 3600);
}

static char *busiest_text(const struct af_top_share *share) {
    char text[AF_ADDR_TEXT] = "";
    if (share->at)
        af_addr_text(&share->at->peer, text);
    return af_format("%s", text);
}

/* What a line does not say stays empty. */
static char **add_line(struct af_top_view *view, const struct af_top_row *row, bool is_row) {
    const size_t n = view->table.n_lines;
    view->of_line = af_room_for_one(view->of_line, n, sizeof *view->of_line);
    view->is_row = af_room_for_one(view->is_row, n, sizeof *view->is_row);
    view->of_line[n] = row;
    view->is_row[n] = is_row;
    return af_table_row(&view->table);
}

static void fill_up(char **cells) {
    for (int c = 0; c < AF_SHOW_COLUMNS; c++)
        cells[c] = cells[c] ? cells[c] : af_format("%s", "");
}

static void add_row(struct af_top_view *view, const struct af_top_row *row, const struct af_top_ask *ask) {
    const enum af_top_by by = ask->by;
    char **cells = add_line(view, row, true);
    cells[AF_SHOW_PROGRAM] = af_format("%s", row->program);
    cells[AF_SHOW_TIME_WAIT] = marked(row->time_wait, row->more_time_wait, ask->live);
    if (by == AF_BY_PROCESS)
        cells[AF_SHOW_PID] = row->unknown ? af_format("-") : af_pid_text(row->pid, row->pid_ns);
    else
        cells[AF_SHOW_RUNNING] = row->unknown ? af_format("-") : number(row->running);
    if (by == AF_BY_PROCESS && !row->unknown && row->fate != AF_FATE_RUNNING)
        cells[AF_SHOW_ENDED] = af_format("%s", af_fate_name(row->fate));
    cells[AF_SHOW_OPEN] = !af_top_is_counted(row) ? af_format(ask->live ? "- " : "-")
                                                  : marked(row->open, row->more_open, ask->live);
    cells[AF_SHOW_NEW] = rate_text(row->new_per_s);
    cells[AF_SHOW_AVOIDED] = af_top_is_counted(row) ? number(row->avoided) : af_format("-");
    cells[AF_SHOW_SHARE] = share_text(&row->busiest);
    cells[AF_SHOW_BAR] = ask->live ? bar_text(&row->busiest) : NULL;
    cells[AF_SHOW_FULL_IN] = full_in_text(&row->busiest);
    cells[AF_SHOW_BUSIEST] = busiest_text(&row->busiest);
    fill_up(cells);
}

static void add_endpoint(struct af_top_view *view, const struct af_top_row *row, const struct af_top_endpoint *e,
                         bool live) {
    char **cells = add_line(view, row, false), text[AF_ADDR_TEXT];
    endpoint_text(e, text);
    cells[AF_SHOW_PROGRAM] = af_format("  %s", text);
    cells[AF_SHOW_OPEN] = !af_top_is_counted(row) ? af_format(live ? "- " : "-") : marked(e->open, false, live);
    cells[AF_SHOW_TIME_WAIT] = marked(e->time_wait, false, live);
    cells[AF_SHOW_LEFT] = e->left ? number(e->left) : af_format("-");
    cells[AF_SHOW_SHARE] = share_text(&e->share);
    cells[AF_SHOW_BAR] = live ? bar_text(&e->share) : NULL;
    cells[AF_SHOW_FULL_IN] = full_in_text(&e->share);
    fill_up(cells);
}

static void add_endpoints(struct af_top_view *view, const struct af_top_row *row, bool live) {
    for (size_t i = 0; i < row->n_endpoints && i < AF_TOP; i++)
        add_endpoint(view, row, &row->endpoints[i], live);
    if (row->n_endpoints > AF_TOP || !row->n_endpoints) {
        char **cells = add_line(view, row, false);
        cells[AF_SHOW_PROGRAM] = row->n_endpoints ? af_format("  and %zu more", row->n_endpoints - AF_TOP)
                                                  : af_format("  no endpoint");
        fill_up(cells);
    }
}

static bool is_opened(const struct af_top_row *row, const struct af_top_ask *ask) {
    const struct af_top_id id = af_top_id_of(row);
    for (size_t i = 0; i < ask->n_opened; i++)
        if (af_top_same(&ask->opened[i], &id))
            return true;
    return false;
}

void af_top_view(struct af_top_view *view, const struct af_top_rows *rows, const struct af_top_ask *ask) {
    *view = (struct af_top_view){ .table.columns = ask->n_opened ? opened_columns : columns,
                                  .table.n_columns = AF_SHOW_COLUMNS };
    view->rows = af_array(NULL, rows->n, sizeof *view->rows);
    for (size_t i = 0; i < rows->n; i++)
        if (is_wanted(&rows->all[i], ask))
            view->rows[view->n++] = &rows->all[i];
    if (view->n)
        qsort_r(view->rows, view->n, sizeof *view->rows, row_order, (void *)ask);
    for (size_t i = 0; i < view->n; i++) {
        add_row(view, view->rows[i], ask);
        if (is_opened(view->rows[i], ask))
            add_endpoints(view, view->rows[i], ask->live);
    }
}

void af_top_view_free(struct af_top_view *view) {
    af_table_free(&view->table);
    free(view->rows);
    free(view->of_line);
    free(view->is_row);
    memset(view, 0, sizeof *view);
}

/* ---- above the table --------------------------------------------------------------------------------------- */

char *af_top_sums(const struct af_top_rows *rows, const struct af_top_view *view) {
    uint64_t running = 0, open = 0, time_wait = 0, unknown = 0;
    bool counted = false, uncounted = false;
    double new_per_s = -1;
    for (size_t i = 0; i < rows->n; i++) {
        const struct af_top_row *row = &rows->all[i];
        running += row->running;
        open += row->open;
        counted |= af_top_is_counted(row);
        uncounted |= row->outside > 0;
        time_wait += row->time_wait;
        unknown += row->unknown ? row->time_wait : 0;
        if (row->new_per_s >= 0)
            new_per_s = (new_per_s > 0 ? new_per_s : 0) + row->new_per_s;
    }
    char *rate = rate_text(new_per_s), *opened = counted || !uncounted ? number(open) : af_format("-");
    char *hidden = view->n < rows->n ? af_format(", %zu of %zu row%s", view->n, rows->n, af_plural(rows->n, "", "s"))
                                     : af_format("%s", "");
    char *elsewhere = rows->elsewhere
                          ? af_format(", %llu in other network namespaces", (unsigned long long)rows->elsewhere)
                          : af_format("%s", "");
    char *text = af_format("%llu TIME_WAIT (%llu unknown%s), %s open, %s new/s, %llu running%s",
                           (unsigned long long)time_wait, (unsigned long long)unknown, elsewhere, opened, rate,
                           (unsigned long long)running, hidden);
    free(elsewhere);
    free(rate);
    free(opened);
    free(hidden);
    return text;
}

char *af_top_setting(const struct af_top_sample *now, const struct af_top_ask *ask, const char *when, double s) {
    const struct af_ephemeral *ports = &now->namespaces[0].ports;
    const bool filtered = ask->filter && *ask->filter;
    char *range = ports->n ? af_format("ports %u-%u: %u", ports->low, ports->high, ports->n)
                           : af_format("range of ports not known");
    char *reuse = now->tw_reuse < 0 ? af_format("%s", "") : af_format(", tcp_tw_reuse %d", now->tw_reuse);
    char *filter = filtered ? af_format(" with '%s'", ask->filter) : af_format("%s", "");
    char *text = af_format("by %s%s, %s %.*gs%s; %s%s", sortings[ask->sort].name, ask->reversed ? " reversed" : "",
                           when, s < 10 ? 3 : 4, s, filter, range, reuse);
    free(range);
    free(reuse);
    free(filter);
    return text;
}

char *af_top_empty(const struct af_top_rows *rows, const struct af_top_ask *ask) {
    return rows->n ? af_format("no row has '%s' in it", ask->filter)
                   : af_format("no process with a TCP socket is recorded here, and there is no TIME_WAIT");
}
