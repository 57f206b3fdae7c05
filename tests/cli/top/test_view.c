/* What the live view shows beside the numbers: bars, and marks on what has grown. */
#include "cli/output/memory.h"
#include "cli/top/view.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table as it is on a terminal of this width. */
static char *shown(const struct af_top_rows *rows, bool live, size_t width) {
    const struct af_top_ask ask = { .by = AF_BY_PROGRAM, .sort = AF_SHOW_PROGRAM, .live = live };
    struct af_top_view view;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    af_top_view(&view, rows, &ask);
    af_table_print(&view.table, to, width, false);
    fclose(to);
    af_top_view_free(&view);
    return text;
}

static const struct af_top_socket somewhere;

Test(top_view, marks_what_has_grown_since_the_look_before) {
    struct af_top_row was[] = { { .program = "same", .open = 3, .time_wait = 7 },
                                { .program = "more", .open = 3, .time_wait = 7 },
                                { .program = "less", .open = 3, .time_wait = 7 },
                                { .program = "unknown", .unknown = true, .time_wait = 7 } };
    struct af_top_row is[] = { { .program = "more", .open = 4, .time_wait = 8 },
                               { .program = "new", .time_wait = 1 },
                               { .program = "same", .open = 3, .time_wait = 7 },
                               { .program = "less", .open = 2, .time_wait = 6 },
                               { .program = "unknown", .unknown = true, .time_wait = 9 } };
    struct af_top_rows before = { .all = was, .n = 4 }, now = { .all = is, .n = 5 };
    af_top_mark_grown(&now, &before);
    char *live = shown(&now, true, 80), *once = shown(&now, false, 80);
    static const char *const rows[][2] = { { "less ", " 2  " }, { "more ", " 4+ " }, { "same ", " 3  " },
                                           { "less ", " 6  " }, { "more ", " 8+ " }, { "new ", " 1+ " },
                                           { "same ", " 7  " }, { "new ", " 0  " },  { "unknown ", " 9+ " } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *line = strstr(live, rows[i][0]), *found = line ? strstr(line, rows[i][1]) : NULL;
        cr_expect(found && found < strchr(line, '\n'), "%s has no '%s':\n%s", rows[i][0], rows[i][1], live);
    }
    cr_expect_not(strchr(once, '+'), "a frame on paper: %s", once);
    free(live);
    free(once);
}

Test(top_view, draws_a_bar_where_there_is_room_for_it) {
    static const struct {
        uint32_t used;
        const char *bar;
    } rows[] = { { 0, " .......... " },   { 1, " #......... " },   { 149, " #......... " }, { 151, " ##........ " },
                 { 500, " #####..... " }, { 949, " #########. " }, { 999, " #########. " }, { 1000, " ########## " } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_top_row row = { .program = "client",
                                  .busiest = { .at = &somewhere, .used = rows[i].used, .of = 1000, .full_in_s = -1 } };
        const struct af_top_rows all = { .all = &row, .n = 1 };
        char *wide = shown(&all, true, 132), *narrow = shown(&all, true, 60), *once = shown(&all, false, 132);
        cr_expect(strstr(wide, rows[i].bar), "%u of 1000: %s", rows[i].used, wide);
        cr_expect(!strstr(narrow, "..") && !strstr(narrow, "##"), "60 columns: %s", narrow);
        cr_expect(!strstr(once, "..") && !strstr(once, "##"), "a frame on paper: %s", once);
        free(wide);
        free(narrow);
        free(once);
    }
}
