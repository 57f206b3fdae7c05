/* See order.h. */
#include "cli/output/order.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>

struct place {
    uint64_t key;
    size_t index;
};

struct sorting {
    const char *records;
    size_t size;
    int (*compare)(const void *, const void *, void *);
    void *context;
};

static int by_key(const void *a, const void *b, void *sorting) {
    const struct place *x = a, *y = b;
    const struct sorting *s = sorting;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return s->compare(s->records + x->index * s->size, s->records + y->index * s->size, s->context);
}

/* In place: round by round of those that take each other's, where places[i] says which record comes to i. */
static void move(char *records, size_t size, struct place *places, size_t n) {
    char *spare = af_array(NULL, size, 1);
    for (size_t i = 0; i < n; i++) {
        if (places[i].index == i)
            continue;
        memcpy(spare, records + i * size, size);
        size_t to = i;
        for (size_t from = places[to].index; from != i; from = places[to].index) {
            memcpy(records + to * size, records + from * size, size);
            places[to].index = to;
            to = from;
        }
        memcpy(records + to * size, spare, size);
        places[to].index = to;
    }
    free(spare);
}

void af_put_in_order(void *records, size_t n, size_t size, uint64_t (*key)(const void *record, void *context),
                     int (*compare)(const void *, const void *, void *), void *context) {
    if (n < 2)
        return;
    struct sorting s = { records, size, compare, context };
    struct place *places = af_array(NULL, n, sizeof *places);
    for (size_t i = 0; i < n; i++)
        places[i] = (struct place){ key(s.records + i * size, context), i };
    qsort_r(places, n, sizeof *places, by_key, &s);
    move(records, size, places, n);
    free(places);
}
