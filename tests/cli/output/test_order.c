/* Many records put in order, and the rows of a table that are made when they are printed. */
#include "cli/output/memory.h"
#include "cli/output/order.h"
#include "cli/output/table.h"
#include "tests/harness/harness.h"
#include "tests/harness/shell.h"

#include <stdlib.h>
#include <string.h>

struct record {
    uint64_t number;
    char filling[40];
};

static uint64_t all_but_the_lowest_bits(const void *record, void *bits) {
    return ((const struct record *)record)->number >> *(const int *)bits;
}

static int by_number(const void *a, const void *b, void *nothing) {
    const uint64_t x = ((const struct record *)a)->number, y = ((const struct record *)b)->number;
    (void)nothing;
    return x < y ? -1 : x > y;
}

Test(order, is_that_of_the_whole_comparison_however_little_the_keys_tell) {
    static const int told[] = { 0, 1, 7, 40, 63 };
    static const size_t sizes[] = { 0, 1, 2, 3, 1000 };
    for (size_t i = 0; i < ROWS(told) * ROWS(sizes); i++) {
        const size_t n = sizes[i / ROWS(told)];
        int bits = told[i % ROWS(told)];
        struct record *records = af_array(NULL, n, sizeof *records);
        uint64_t sum = 0, sorted = 0;
        for (size_t k = 0; k < n; k++) {
            records[k].number = (uint64_t)random() << 32 ^ (uint64_t)random() % 8;
            snprintf(records[k].filling, sizeof records[k].filling, "%llu", (unsigned long long)records[k].number);
            sum += records[k].number;
        }
        af_put_in_order(records, n, sizeof *records, all_but_the_lowest_bits, by_number, &bits);
        for (size_t k = 0; k < n; k++) {
            sorted += records[k].number;
            cr_assert(!k || records[k - 1].number <= records[k].number, "%zu of %zu, %d bits", k, n, bits);
            cr_assert_eq(strtoull(records[k].filling, NULL, 10), records[k].number);
        }
        cr_expect_eq(sorted, sum, "%zu", n);
        free(records);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

enum { NAME, SIZE, SPARE, COLUMNS };
static const struct af_column columns[COLUMNS] = {
    [NAME] = { "NAME", .text = true },
    [SIZE] = { "SIZE", .rank = 1 },
    [SPARE] = { "SPARE", .text = true, .optional = true },
};
static const char *const cells[][COLUMNS] = {
    { "a", "7", "" }, { "a name that is long", "100000", "" }, { "\033", "0", "" }, { "", "-", "" }
};

static void make(void *offset, size_t i, const char **row) {
    static char room[32];
    strcpy(room, cells[i + *(size_t *)offset][NAME]);
    row[NAME] = room;
    row[SIZE] = cells[i + *(size_t *)offset][SIZE];
}

static char *printed(size_t kept, size_t width) {
    struct af_table table = { .columns = columns, .n_columns = COLUMNS, .n_made = ROWS(cells) - kept, .make = make };
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    table.context = &kept;
    for (size_t i = 0; i < kept; i++) {
        char **row = af_table_row(&table);
        for (size_t c = 0; c < COLUMNS; c++)
            row[c] = af_format("%s", cells[i][c]);
    }
    af_table_print(&table, to, width, false);
    af_table_free(&table);
    fclose(to);
    return text;
}

Test(table, prints_the_same_whether_its_rows_are_kept_or_made) {
    for (size_t width = 4; width < 60; width++) {
        char *kept = printed(ROWS(cells), width);
        for (size_t n = 0; n < ROWS(cells); n++) {
            char *made = printed(n, width);
            cr_expect_str_eq(made, kept, "%zu of %zu kept, %zu wide", n, ROWS(cells), width);
            free(made);
        }
        cr_expect_null(strstr(kept, "SPARE"), "%s", kept);
        free(kept);
    }
}
