/* See top_live.h: a look every few seconds, frames, messages. */
#include "cli/top/live.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/top/keys.h"
#include "cli/top/screen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROOMY = 8 /* lines of a terminal from which on all above the table is shown */ };
static const double SLOW = 0.5 /* connect gets slow then */, NEARLY_FULL = 0.9, SOON_S = 60;

struct live {
    const struct af_top_request *request;
    struct af_top_state state;
    struct af_top_sample before, now;
    bool have_before;
    enum af_top_by made_by;        /* what the rows were made for */
    struct af_top_rows rows, past; /* of the look before; none where they were made for the other view */
    struct af_top_view view;
    size_t scroll; /* the first line of the table that is shown */
};

/* ---- messages: they go to a line of the screen ------------------------------------------------------------- */

static char heard[256]; /* the last one; allocates nothing, for it may be that memory has run out */
static size_t n_heard;  /* since the last look */

static void hear(const char *line) {
    n_heard++;
    snprintf(heard, sizeof heard, "%s", line);
}

/* Something is wrong deep below, and exit was called there: its reason is to be read after all. */
static void say_last(void) {
    af_tell_to(NULL);
    af_screen_close();
    if (n_heard)
        af_tell("%s", heard + strlen("afterfin: "));
}

/* ---- looks ------------------------------------------------------------------------------------------------- */

static void make_rows(struct live *l) {
    if (l->made_by != l->state.ask.by)
        af_top_rows_free(&l->past);
    af_top_rows_free(&l->rows);
    af_top_rows(&l->rows, l->have_before ? &l->before : NULL, &l->now, l->state.ask.by);
    l->made_by = l->state.ask.by;
    if (l->past.all)
        af_top_mark_grown(&l->rows, &l->past);
    af_top_drop_opened(&l->state, &l->rows);
}

/* Where the kernel's table cannot be read this time the last frame stays. */
static void look(struct live *l) {
    struct af_top_sample next;
    n_heard = 0;
    if (!af_top_take(l->request->directory, &next, l->now.at_real, true))
        return;
    af_top_rows_free(&l->past); /* they refer to the sample before */
    l->past = l->rows;
    l->rows = (struct af_top_rows){ 0 };
    if (l->have_before)
        af_top_sample_free(&l->before);
    l->before = l->now;
    l->now = next;
    l->have_before = true;
    make_rows(l);
}

/* The rows refer to the sample, the view to the rows. */
static void make_view(struct live *l) {
    if (l->made_by != l->state.ask.by)
        make_rows(l);
    af_top_view_free(&l->view);
    af_top_view(&l->view, &l->rows, &l->state.ask);
    l->state.view = &l->view;
    af_top_find_cursor(&l->state);
}

/* ---- frames ------------------------------------------------------------------------------------------------ */

static enum af_style style_of(const struct live *l, size_t line) {
    const struct af_top_row *row = l->view.of_line[line];
    const struct af_top_share *share = &row->busiest;
    if (!l->view.is_row[line])
        return AF_PLAIN;
    if (row == l->view.rows[l->state.at])
        return AF_SELECTED;
    if (!share->at)
        return AF_PLAIN;
    const double used = (double)(share->used - share->taken_over) / share->of;
    if (used >= NEARLY_FULL || (share->full_in_s >= 0 && share->full_in_s < SOON_S))
        return AF_ALARM;
    return used >= SLOW ? AF_WARNING : AF_PLAIN;
}

/* The cursor's row must be seen, and of its endpoints as much as there is room for. */
static void scroll_to_cursor(struct live *l, size_t room) {
    const struct af_top_view *v = &l->view;
    size_t first = 0, end;
    while (first < v->table.n_lines && v->of_line[first] != v->rows[l->state.at])
        first++;
    for (end = first; end < v->table.n_lines && v->of_line[end] == v->of_line[first]; end++)
        ;
    if (end > l->scroll + room)
        l->scroll = end - room;
    if (first < l->scroll)
        l->scroll = first;
    if (l->scroll + room > v->table.n_lines)
        l->scroll = v->table.n_lines > room ? v->table.n_lines - room : 0;
}

/* Every line of the table is one of the screen. */
static void draw_table(struct live *l, size_t top, size_t room, size_t width) {
    char *text = NULL, *rest = NULL;
    size_t size = 0, n = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return;
    af_table_print(&l->view.table, to, width, false);
    fclose(to);
    if (l->view.n)
        scroll_to_cursor(l, room);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++)
        if (n == 0)
            af_screen_put(top, AF_HEADER, line);
        else if (n > l->scroll && n - l->scroll <= room)
            af_screen_put(top + n - l->scroll, style_of(l, n - 1), line);
    free(text);
}

static void put(size_t row, enum af_style style, char *text) {
    af_screen_put(row, style, text);
    free(text);
}

/* Where there are more lines than there is room for, the last one says so. */
static void draw_help(size_t top, size_t room) {
    char *line = af_top_help_line(0);
    for (size_t i = 0; i < room && line; i++) {
        char *next = af_top_help_line(i + 1);
        const bool cut = next && i + 1 == room;
        put(top + i, AF_PLAIN, cut ? af_format("  and more: afterfin(1)") : af_format("%s", line));
        free(line);
        line = next;
    }
    free(line);
}

static size_t draw_head(const struct live *l, size_t height) {
    put(0, AF_PLAIN, af_top_sums(&l->rows, &l->view));
    if (height < ROOMY)
        return 1;
    put(1, AF_PLAIN, af_top_setting(&l->now, &l->state.ask, "every", l->state.delay_s));
    return 2;
}

static void draw(struct live *l) {
    size_t height, width;
    af_screen_begin(&height, &width);
    make_view(l);
    const size_t top = draw_head(l, height), below = 1 + (n_heard > 0);
    const size_t room = height > top + 1 + below ? height - top - 1 - below : 1;
    l->state.page = room;
    if (l->state.help)
        draw_help(top, room + 1);
    else
        draw_table(l, top, room, width);
    if (!l->view.n && !l->state.help)
        put(top + 1, AF_PLAIN, af_top_empty(&l->rows, &l->state.ask));
    if (n_heard)
        put(height - 2, AF_ALARM,
            n_heard > 1 ? af_format("%s (and %zu more)", heard, n_heard - 1) : af_format("%s", heard));
    put(height - 1, l->state.typing || l->state.asked_pid || *l->state.refused ? AF_HEADER : AF_PLAIN,
        af_top_hint(&l->state, width));
    af_screen_end();
}

/* ---- the loop ---------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The question stands for as long as it takes. */
static void carry_out(struct live *l) {
    n_heard = 0;
    af_top_set(l->state.asked_pid, l->state.set);
    l->state.asked_pid = 0;
    l->state.set = NULL;
}

/* A key is answered at once, from what was seen last; a new delay counts from the last look. */
static void loop(struct live *l) {
    double looked = seconds();
    while (!l->state.quit && !af_screen_ended()) {
        draw(l);
        const double left = looked + l->state.delay_s - seconds();
        int key = af_screen_key(left > 0 ? left : 0);
        while (key != AF_KEY_NONE) {
            make_view(l); /* the key before may have changed it */
            af_top_key(&l->state, key);
            if (l->state.set)
                carry_out(l);
            key = l->state.quit ? AF_KEY_NONE : af_screen_key(0); /* what is typed behind q is not ours */
        }
        if (seconds() >= looked + l->state.delay_s && !l->state.quit && !af_screen_ended()) {
            looked = seconds();
            look(l);
        }
    }
}

int af_top_live(const struct af_top_request *request, struct af_top_sample *first) {
    struct live l = { .request = request, .now = *first, .made_by = request->by };
    l.state.delay_s = request->delay_s ? request->delay_s : 2;
    l.state.ask = (struct af_top_ask){
        .by = request->by, .sort = request->sort, .reversed = request->reversed, .filter = l.state.filter, .live = true
    };
    if (request->filter)
        snprintf(l.state.filter, sizeof l.state.filter, "%s", request->filter);
    make_rows(&l);
    if (!af_screen_open("top"))
        return AF_EXIT_FAILURE;
    atexit(say_last);
    af_tell_to(hear);
    loop(&l);
    n_heard = 0;
    af_tell_to(NULL);
    af_screen_close();
    if (af_screen_ended()) { /* whoever waits for us is to see what ended us */
        signal(af_screen_ended(), SIG_DFL);
        raise(af_screen_ended());
    }
    af_top_view_free(&l.view);
    af_top_rows_free(&l.rows);
    af_top_rows_free(&l.past);
    af_top_sample_free(&l.now);
    if (l.have_before)
        af_top_sample_free(&l.before);
    free(l.state.ask.opened);
    return 0;
}
