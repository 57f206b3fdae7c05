/* afterfin top: programs or processes, what they have open and what they left, while one looks. */
#include "cli/commands.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/options.h"
#include "cli/output/say.h"
#include "cli/top/keys.h"
#include "cli/top/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ONCE = AF_NO_LETTER, BY, DELAY, SORT, FILTER, JSON };

static const struct af_option_row rows[] = {
    { 'd', NULL, AF_TAKES_VALUE, "DIR", "read the ledgers in DIR, not in the default directory" },
    { ONCE, "once", AF_TAKES_NOTHING, NULL, "print one frame as text and end; needs no terminal" },
    { BY, "by", AF_TAKES_VALUE, "WHAT", "a row a process (the default) or a program" },
    { DELAY, "delay", AF_TAKES_VALUE, "S", "seconds from one look to the next: 2, with --once 1; fractions too" },
    { SORT, "sort", AF_TAKES_VALUE, "COLUMN",
      "pid, running, program, open, new, time_wait (the default), avoided, share or full_in; - in front reverses" },
    { FILTER, "filter", AF_TAKES_ONE, "TEXT", "only rows with TEXT in the name, the pid or an endpoint" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "with --once: write JSON to stdout, or to FILE" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

/* ---- what is asked ----------------------------------------------------------------------------------------- */

static bool read_by(struct af_top_request *q, struct af_options *options) {
    const bool process = strcmp(options->value, "process") == 0;
    q->by = process ? AF_BY_PROCESS : AF_BY_PROGRAM;
    if (process || strcmp(options->value, "program") == 0)
        return true;
    af_misuse(options, "--by needs process or program, not '%s'", options->value);
    return false;
}

static bool read_delay(struct af_top_request *q, struct af_options *options) {
    uint32_t ms;
    if (!af_read_seconds(options, "delay", AF_DELAY_MIN_MS, AF_DELAY_MAX_MS, &ms))
        return false;
    q->delay_s = ms / 1000.0;
    return true;
}

static bool read_sort(struct af_top_request *q, struct af_options *options) {
    q->reversed = *options->value == '-';
    q->sort = af_top_column_named(options->value + q->reversed);
    if (q->sort != AF_SHOW_COLUMNS)
        return true;
    af_misuse(options, "--sort needs one of %s, not '%s'", af_top_column_names(), options->value + q->reversed);
    return false;
}

static bool read_filter(struct af_top_request *q, struct af_options *options) {
    q->filter = options->value;
    if (strlen(q->filter) < AF_FILTER_SIZE)
        return true;
    af_misuse(options, "--filter takes up to %d bytes", AF_FILTER_SIZE - 1);
    return false;
}

static bool read_option(struct af_top_request *q, struct af_options *options, int id) {
    switch (id) {
    case BY: return read_by(q, options);
    case DELAY: return read_delay(q, options);
    case SORT: return read_sort(q, options);
    case FILTER: return read_filter(q, options);
    case 'd': q->directory = options->value; return true;
    case JSON:
        q->json = true;
        q->json_path = options->value;
        return true;
    default: q->once = true; return true;
    }
}

/* Both ends must be a terminal: one is drawn on, the other typed at. */
static int check(const struct af_top_request *q, struct af_options *options) {
    if (options->next < options->argc)
        return af_misuse(options, "takes no operand, but got '%s'", options->argv[options->next]);
    if (q->json && !q->once)
        return af_misuse(options, "--json needs --once");
    if (!q->once && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
        return af_misuse(options, "%s is not a terminal; --once prints one frame as text",
                         isatty(STDOUT_FILENO) ? "stdin" : "stdout");
    return 0;
}

static bool read_options(struct af_top_request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "top", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0)
        if (!read_option(q, &options, id))
            break;
    if (id == 0)
        id = check(q, &options);
    *status = options.status;
    return id == 0;
}

static void wait_for(double seconds) {
    struct timespec rest = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
        ;
}

/* ---- one frame --------------------------------------------------------------------------------------------- */

static void print(const struct af_top_rows *all, struct af_top_view *view, const struct af_top_sample *now,
                  const struct af_top_ask *ask, double seconds) {
    /* Whoever reads a pipe can use whole names. */
    const size_t width = isatty(STDOUT_FILENO) ? af_width_of(STDOUT_FILENO) : 1 << 12;
    char *sums = af_top_sums(all, view), *setting = af_top_setting(now, ask, "in", seconds);
    char *empty = af_top_empty(all, ask);
    af_print_wrapped(stdout, width, 0, sums);
    af_print_wrapped(stdout, width, 0, setting);
    putchar('\n');
    if (view->n)
        af_table_print(&view->table, stdout, width, af_colour_on(STDOUT_FILENO));
    else
        af_print_wrapped(stdout, width, 0, empty);
    free(empty);
    free(sums);
    free(setting);
}

static bool show(const struct af_top_request *q, const struct af_top_sample *before, const struct af_top_sample *now) {
    struct af_top_ask ask = { .by = q->by, .sort = q->sort, .reversed = q->reversed, .filter = q->filter };
    struct af_top_rows all;
    struct af_top_view view;
    const double seconds = (double)(now->at - before->at) / 1e9;
    bool ok = true;
    af_top_rows(&all, before, now, q->by);
    af_top_view(&view, &all, &ask);
    if (q->json)
        ok = af_top_write_json(&all, &view, now, seconds, q->by, q->json_path);
    else
        print(&all, &view, now, &ask, seconds);
    af_top_view_free(&view);
    af_top_rows_free(&all);
    return ok;
}

static int once(const struct af_top_request *q, struct af_top_sample *before) {
    struct af_top_sample now;
    bool ok = false;
    wait_for(q->delay_s ? q->delay_s : 1);
    if (af_top_take(q->directory, &now, before->at_real, true)) {
        ok = now.ledgers && show(q, before, &now);
        af_top_sample_free(&now);
    }
    af_top_sample_free(before);
    return ok ? 0 : AF_EXIT_FAILURE;
}

/* The second look says what is missing, for both. */
int af_command_top(int argc, char **argv) {
    struct af_top_request q = { .sort = AF_SHOW_TIME_WAIT };
    struct af_top_sample first;
    int status;
    if (!read_options(&q, argc, argv, &status))
        return status;
    if (!af_top_take(q.directory, &first, 0, false))
        return AF_EXIT_FAILURE;
    if (!first.ledgers) {
        af_top_sample_free(&first);
        return AF_EXIT_FAILURE;
    }
    return q.once ? once(&q, &first) : af_top_live(&q, &first);
}
