/* See top_keys.h. */
#include "cli/top/keys.h"
#include "cli/output/memory.h"
#include "cli/top/live.h"
#include "cli/top/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cursor -------------------------------------------------------------------------------------------- */

static void go_to(struct af_top_state *s, size_t at) {
    const size_t n = s->view->n;
    s->at = at < n ? at : n ? n - 1 : 0;
    if (n)
        s->cursor = af_top_id_of(s->view->rows[s->at]);
}

void af_top_find_cursor(struct af_top_state *s) {
    for (size_t i = 0; i < s->view->n; i++) {
        const struct af_top_id id = af_top_id_of(s->view->rows[i]);
        if (af_top_same(&id, &s->cursor)) {
            s->at = i;
            return;
        }
    }
    go_to(s, s->at);
}

static void up(struct af_top_state *s) {
    go_to(s, s->at ? s->at - 1 : 0);
}

static void down(struct af_top_state *s) {
    go_to(s, s->at + 1);
}

static void page_up(struct af_top_state *s) {
    go_to(s, s->at > s->page ? s->at - s->page : 0);
}

static void page_down(struct af_top_state *s) {
    go_to(s, s->at + s->page);
}

static void first(struct af_top_state *s) {
    go_to(s, 0);
}

static void last(struct af_top_state *s) {
    go_to(s, s->view->n);
}

/* ---- opened rows ------------------------------------------------------------------------------------------- */

static size_t find_opened(const struct af_top_ask *ask, const struct af_top_id *id) {
    size_t i = 0;
    while (i < ask->n_opened && !af_top_same(&ask->opened[i], id))
        i++;
    return i;
}

static void open_or_close(struct af_top_state *s) {
    struct af_top_ask *ask = &s->ask;
    if (!s->view->n)
        return;
    const size_t i = find_opened(ask, &s->cursor);
    if (i < ask->n_opened) {
        ask->opened[i] = ask->opened[--ask->n_opened];
        return;
    }
    ask->opened = af_array(ask->opened, ask->n_opened + 1, sizeof *ask->opened);
    ask->opened[ask->n_opened++] = s->cursor;
}

/* Those of the other view stay: it is asked again when it is looked at. */
void af_top_drop_opened(struct af_top_state *s, const struct af_top_rows *rows) {
    struct af_top_ask *ask = &s->ask;
    for (size_t i = ask->n_opened; i-- > 0;) {
        bool there = (ask->opened[i].key.image_pid == 0) != (ask->by == AF_BY_PROGRAM);
        for (size_t k = 0; k < rows->n && !there; k++) {
            const struct af_top_id id = af_top_id_of(&rows->all[k]);
            there = af_top_same(&id, &ask->opened[i]);
        }
        if (!there)
            ask->opened[i] = ask->opened[--ask->n_opened];
    }
}

/* ---- what is asked ----------------------------------------------------------------------------------------- */

static void other_view(struct af_top_state *s) {
    const bool by_process = s->ask.by == AF_BY_PROCESS;
    s->ask.by = by_process ? AF_BY_PROGRAM : AF_BY_PROCESS;
    if (s->ask.sort == AF_SHOW_PID || s->ask.sort == AF_SHOW_RUNNING)
        s->ask.sort = by_process ? AF_SHOW_RUNNING : AF_SHOW_PID;
    s->at = 0;
}

static void sort_next(struct af_top_state *s) {
    s->ask.sort = af_top_column_beside(s->ask.sort, 1, s->ask.by);
}

static void sort_before(struct af_top_state *s) {
    s->ask.sort = af_top_column_beside(s->ask.sort, -1, s->ask.by);
}

static void reverse(struct af_top_state *s) {
    s->ask.reversed = !s->ask.reversed;
}

static void filter(struct af_top_state *s) {
    s->typing = true;
}

static void leave(struct af_top_state *s) {
    s->filter[0] = 0;
    s->typing = false;
}

/* Why a row is no process that runs, and whose number is one of ours; from malloc. NULL: it is. */
static char *why_not_to_set(const struct af_top_state *s, const struct af_top_row *row) {
    if (!row)
        return af_format("no row, no process to set");
    if (s->ask.by != AF_BY_PROCESS)
        return af_format("a program is no process to set; p shows processes");
    if (row->unknown)
        return af_format("nobody knows whose these are: no process to set");
    if (row->fate != AF_FATE_RUNNING)
        return af_format("%d %s has ended: no process to set", row->pid, row->program);
    if (row->pid_ns)
        return af_format("%d %s is in another pid namespace: to be set from there", row->pid, row->program);
    return NULL;
}

static void ask_to_set(struct af_top_state *s) {
    const struct af_top_row *row = s->view->n ? s->view->rows[s->at] : NULL;
    char *why = why_not_to_set(s, row);
    snprintf(s->refused, sizeof s->refused, "%s", why ? why : "");
    free(why);
    if (*s->refused)
        return;
    s->asked_pid = row->pid;
    snprintf(s->asked_program, sizeof s->asked_program, "%s", row->program);
}

static void help(struct af_top_state *s) {
    s->help = true;
}

static void quit(struct af_top_state *s) {
    s->quit = true;
}

static const double delays[] = {
    AF_DELAY_MIN_MS / 1e3, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, AF_DELAY_MAX_MS / 1e3
};
enum { DELAYS = sizeof delays / sizeof *delays };

static void slower(struct af_top_state *s) {
    size_t i = 0;
    while (i < DELAYS - 1 && delays[i] <= s->delay_s)
        i++;
    s->delay_s = delays[i];
}

static void faster(struct af_top_state *s) {
    size_t i = DELAYS - 1;
    while (i > 0 && delays[i] >= s->delay_s)
        i--;
    s->delay_s = delays[i];
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

/* Every key, once. `hint` is on the bottom line; where the terminal is narrow, as many as fit. */
static const struct {
    int keys[3];
    const char *shown, *help, *hint;
    void (*act)(struct af_top_state *);
} actions[] = {
    { { 'q' }, "q", "quit", "q quit", quit },
    { { 'h', '?' }, "h ?", "this list", "h help", help },
    { { AF_KEY_ENTER, ' ' }, "Enter Space", "show or hide a row's endpoints", "Enter peers", open_or_close },
    { { 'p' }, "p", "a row a process, or a program", "p programs", other_view },
    { { 's', '>' }, "s >", "sort by the next column", "s sort", sort_next },
    { { '<' }, "<", "sort by the column before", NULL, sort_before },
    { { 'r' }, "r", "sort the other way round", "r reverse", reverse },
    { { '/' }, "/", "only rows with a text in them; Esc: all again", "/ filter", filter },
    { { AF_KEY_ESCAPE }, "Esc", "no filter", NULL, leave },
    { { 'a' }, "a", "afterfin set for the row's process; asks first", "a set", ask_to_set },
    { { '+', '=' }, "+", "look less often", "+- delay", slower },
    { { '-' }, "-", "look more often", NULL, faster },
    { { AF_KEY_UP, 'k' }, "Up k", "a row up", NULL, up },
    { { AF_KEY_DOWN, 'j' }, "Down j", "a row down", NULL, down },
    { { AF_KEY_PAGE_UP }, "PgUp", "a page up", NULL, page_up },
    { { AF_KEY_PAGE_DOWN }, "PgDn", "a page down", NULL, page_down },
    { { AF_KEY_HOME, 'g' }, "Home g", "the first row", NULL, first },
    { { AF_KEY_END, 'G' }, "End G", "the last row", NULL, last },
};
enum { ACTIONS = sizeof actions / sizeof *actions };

/* A character of UTF-8 goes as a whole. */
static void rub_out(char *text) {
    size_t len = strlen(text);
    while (len && (text[len - 1] & 0xc0) == 0x80)
        len--;
    text[len ? len - 1 : 0] = 0;
}

static void type(struct af_top_state *s, int key) {
    const size_t len = strlen(s->filter);
    if (key == AF_KEY_ESCAPE)
        leave(s);
    else if (key == AF_KEY_ENTER)
        s->typing = false;
    else if (key == AF_KEY_BACKSPACE)
        rub_out(s->filter);
    else if (key >= ' ' && key < 256 && len + 1 < sizeof s->filter)
        s->filter[len] = (char)key, s->filter[len + 1] = 0;
}

void af_top_key(struct af_top_state *s, int key) {
    if (key == AF_KEY_NONE)
        return;
    s->refused[0] = 0;
    if (s->typing) {
        type(s, key);
        return;
    }
    if (s->asked_pid) {
        s->set = key == 'y' ? "linger=ack-always" : key == 'o' ? "linger=off" : NULL;
        s->asked_pid = s->set ? s->asked_pid : 0;
        return;
    }
    if (s->help) { /* any key leaves it, and does nothing else */
        s->help = false;
        s->quit = key == 'q';
        return;
    }
    for (size_t i = 0; i < ACTIONS; i++)
        for (int k = 0; k < 3; k++)
            if (actions[i].keys[k] && actions[i].keys[k] == key)
                actions[i].act(s);
}

char *af_top_hint(const struct af_top_state *s, size_t width) {
    if (s->typing)
        return af_format("filter: %s_  (Enter: keep it, Esc: all rows)", s->filter);
    if (s->asked_pid)
        return af_format("set %d %s? y linger=ack-always, o linger=off, other keys: nothing", s->asked_pid,
                         s->asked_program);
    if (*s->refused)
        return af_format("%s", s->refused);
    char *text = af_format("%s", "");
    for (size_t i = 0; i < ACTIONS; i++) {
        if (!actions[i].hint || strlen(text) + 2 + strlen(actions[i].hint) > width)
            continue;
        char *longer = af_format("%s%s%s", text, *text ? "  " : "", actions[i].hint);
        free(text);
        text = longer;
    }
    return text;
}

char *af_top_help_line(size_t i) {
    return i < ACTIONS ? af_format("  %-12s %s", actions[i].shown, actions[i].help) : NULL;
}
