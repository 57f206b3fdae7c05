/* What has grown between two looks, row by row. */
#include "cli/top/top.h"

#include <stdlib.h>
#include <string.h>

/* The same process, the same program, or the same kind of nobody. */
static int by_id(const void *a, const void *b) {
    const struct af_top_row *x = a, *y = b;
    int order = x->unknown - y->unknown;
    order = order ? order : x->contested - y->contested;
    order = order ? order : af_sample_key_compare(&x->key, &y->key);
    return order ? order : strcmp(x->program, y->program);
}

void af_top_mark_grown(struct af_top_rows *rows, struct af_top_rows *before) {
    if (before->n)
        qsort(before->all, before->n, sizeof *before->all, by_id);
    for (size_t i = 0; i < rows->n; i++) {
        struct af_top_row *row = &rows->all[i];
        const struct af_top_row *was = before->n ? bsearch(row, before->all, before->n, sizeof *row, by_id) : NULL;
        row->more_open = row->open > (was ? was->open : 0);
        row->more_time_wait = row->time_wait > (was ? was->time_wait : 0);
    }
}
