/* What report writes: columns and JSON. */
#include "cli/ledgers/json.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"
#include "cli/report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- columns ------------------------------------------------------------------------------------------------ */

enum {
    PROGRAM,
    PROCESSES,
    RUNNING,
    CONNECTS,
    ACCEPTS,
    ESTABLISHED,
    TIME_WAIT,
    AVOIDED,
    PASSIVE,
    ABORTED,
    PASSED,
    OPEN,
    COLUMNS
};
static const struct af_column columns[COLUMNS] = {
    [PROGRAM] = { "PROGRAM", .text = true },
    [PROCESSES] = { "PROCESSES", .rank = 8 },
    [RUNNING] = { "RUNNING", .optional = true, .rank = 9 },
    [CONNECTS] = { "CONNECTS", .optional = true, .rank = 6 },
    [ACCEPTS] = { "ACCEPTS", .optional = true, .rank = 5 },
    [ESTABLISHED] = { "ESTAB", .rank = 1 },
    [TIME_WAIT] = { "TIME_WAIT", .rank = 0 },
    [AVOIDED] = { "AVOIDED", .optional = true, .rank = 2 },
    [PASSIVE] = { "PASSIVE", .optional = true, .rank = 3 },
    [ABORTED] = { "ABORTED", .optional = true, .rank = 4 },
    [PASSED] = { "PASSED", .optional = true, .rank = 10 },
    [OPEN] = { "OPEN", .optional = true, .rank = 7 },
};

struct pair {
    const char *name;
    json_int_t n;
};

static int by_number(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->name, y->name);
}

/* "TITLE a=3 b=1 and 2 more", the largest first. */
static void add_note(struct af_table *table, const char *title, json_t *object, size_t most) {
    struct pair *pairs = af_array(NULL, json_object_size(object), sizeof *pairs);
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
        pairs[n++] = (struct pair){ name, json_integer_value(value) };
    if (n) {
        char *note = af_format("%s", title);
        qsort(pairs, n, sizeof *pairs, by_number);
        for (size_t i = 0; i < n && i < most; i++) {
            char *longer = af_format("%s %s=%lld", note, pairs[i].name, (long long)pairs[i].n);
            free(note);
            note = longer;
        }
        if (n > most) {
            char *longer = af_format("%s and %zu more", note, n - most);
            free(note);
            note = longer;
        }
        af_table_note(table, note);
    }
    free(pairs);
}

static char *number(uint64_t n, bool known) {
    return known ? af_format("%llu", (unsigned long long)n) : af_format("-");
}

static void add_row(struct af_table *table, const struct af_sum *sum) {
    static const enum af_counter shown[COLUMNS] = {
        [CONNECTS] = AF_COUNT_connects,   [ACCEPTS] = AF_COUNT_accepts, [ESTABLISHED] = AF_COUNT_established,
        [TIME_WAIT] = AF_COUNT_time_wait, [AVOIDED] = AF_COUNT_avoided, [PASSIVE] = AF_COUNT_passive,
        [ABORTED] = AF_COUNT_aborted,     [PASSED] = AF_COUNT_passed,
    };
    char **cells = af_table_row(table);
    cells[PROGRAM] = af_format("%s", sum->program);
    cells[PROCESSES] = number(sum->processes, true);
    cells[RUNNING] = number(sum->running, true);
    for (int i = CONNECTS; i < OPEN; i++)
        cells[i] = number(sum->counts.count[shown[i]], sum->counts.known & 1u << shown[i]);
    cells[OPEN] = number((uint64_t)sum->counts.open, sum->counts.known & AF_KNOWS_open);
}

void af_report_print(const struct af_report *r) {
    struct af_table table = { .columns = columns, .n_columns = COLUMNS };
    if (!r->totals.n_sums) {
        puts("no process with a TCP socket is recorded");
        return;
    }
    for (size_t i = 0; i < r->totals.n_sums; i++) {
        add_row(&table, &r->totals.sums[i]);
        add_note(&table, "errors:", r->totals.sums[i].errors, SIZE_MAX);
        add_note(&table, "TIME_WAIT to:", r->totals.sums[i].time_wait_to, AF_TOP);
    }
    add_row(&table, &r->totals.total);
    af_table_print(&table, stdout, af_width_of(STDOUT_FILENO), af_colour_on(STDOUT_FILENO));
    af_table_free(&table);
    char *note = r->has_ports ? af_format("note: how connections ended is what was predicted at each close; of these "
                                          "processes the kernel has %llu in TIME_WAIT now",
                                          (unsigned long long)r->totals.total.time_wait_now)
                              : af_format("note: how connections ended is what was predicted at each close; the kernel "
                                          "was not asked");
    af_print_wrapped(stdout, af_width_of(STDOUT_FILENO), 0, note);
    free(note);
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static json_t *sum_object(const struct af_sum *sum, bool named) {
    json_t *object = json_object();
    if (named)
        json_object_set_new(object, "program", af_json_text(sum->program, strlen(sum->program)));
    af_json_put(object, "processes", sum->processes);
    af_json_put(object, "running", sum->running);
    af_json_put_counts(object, &sum->counts);
    json_object_set(object, "errors", sum->errors);
    if (named)
        json_object_set(object, "time_wait_to", sum->time_wait_to);
    return object;
}

bool af_report_write_json(const struct af_report *r, const char *path) {
    json_t *all = json_object(), *programs = json_array();
    for (size_t i = 0; i < r->totals.n_sums; i++)
        json_array_append_new(programs, sum_object(&r->totals.sums[i], true));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "programs", programs);
    json_object_set_new(all, "totals", sum_object(&r->totals.total, false));
    af_json_put(all, "ledgers", r->ledgers);
    af_json_put(all, "log_lines", r->totals.entries.lines);
    af_json_put(all, "skipped_lines", r->totals.entries.skipped);
    return af_json_write(all, "report", path);
}
