/* How far compare says it is where stderr is no terminal; the clock is turned by hand. */
#include "cli/compare/progress.h"
#include "cli/output/say.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char heard[160];
static unsigned lines;

static void hear(const char *line) {
    snprintf(heard, sizeof heard, "%s", line);
    lines++;
}

/* A run of so many seconds. */
static void run(struct af_progress *p, int side, double seconds) {
    af_progress_run(p, side, "run");
    p->began -= seconds;
    p->told -= seconds;
    af_progress_made(p, side);
}

Test(progress, is_a_line_a_run_at_most_every_10_s_with_the_time_that_is_left) {
    static const struct {
        int side;
        double seconds;
        const char *says; /* NULL: nothing */
    } rows[] = {
        { 0, 4, NULL },
        { 1, 4, NULL },
        { 1, 8, "afterfin: compare: 3 of 10 runs; about 34 s left" }, /* A takes 4 s, B 6 s */
        { 0, 4, NULL },
        { 0, 400, "afterfin: compare: 5 of 10 runs; about 5 min left" }, /* A 136 s, 2 of them, B 6 s, 3 of them */
        { 0, 52, "afterfin: compare: 6 of 10 runs; about 2 min left" },
        { 0, 9.5, NULL },
        { 1, 6, "afterfin: compare: 8 of 10 runs; about 12 s left" },
        { 1, 6, NULL },
        { 1, 60, NULL }, /* the last */
    };
    struct af_progress p;
    af_tell_to(hear);
    af_progress_begin(&p, 5, 0);
    cr_expect_str_eq(heard, "afterfin: compare: 5 rounds; what is plain takes up to 6, 10 % in 5 % noise 12");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lines = 0;
        run(&p, rows[i].side, rows[i].seconds);
        cr_expect_eq(lines, rows[i].says != NULL, "run %zu: %s", i + 1, heard);
        cr_expect(!rows[i].says || strcmp(heard, rows[i].says) == 0, "run %zu: %s", i + 1, heard);
    }
}
