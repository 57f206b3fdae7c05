/* See totals.h. */
#include "cli/ledgers/totals.h"
#include "cli/output/json.h"

#include <stdlib.h>
#include <string.h>

static int number_order(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static struct af_sum new_sum(const char *program) {
    return (struct af_sum){
        .program = program, .errors = json_object(), .time_wait_to = json_object(), .told = json_object()
    };
}

struct af_sum *af_totals_of(struct af_totals *t, const char *program) {
    for (size_t i = t->n_sums; i > 0; i--)
        if (strcmp(t->sums[i - 1].program, program) == 0)
            return &t->sums[i - 1];
    t->sums = af_room_for_one(t->sums, t->n_sums, sizeof *t->sums);
    t->sums[t->n_sums] = new_sum(program);
    return &t->sums[t->n_sums++];
}

/* The same of an entry: there may be as many programs as entries. */
static struct af_sum *sum_of(struct af_totals *t, const struct af_entry *e) {
    struct af_name *name = &t->entries.names[e->name];
    if (!name->sum) {
        t->sums = af_room_for_one(t->sums, t->n_sums, sizeof *t->sums);
        t->sums[t->n_sums] = new_sum(name->program);
        name->sum = ++t->n_sums;
    }
    return &t->sums[name->sum - 1];
}

static void add_pairs(json_t *to, const char *name, size_t size) {
    for (const char *end = name + size, *n; name < end; name = n + strlen(n) + 1) {
        n = name + strlen(name) + 1;
        json_t *sum = json_object_get(to, name);
        if (sum)
            json_integer_set(sum, json_integer_value(sum) + strtoll(n, NULL, 10));
        else
            json_object_set_new_nocheck(to, name, json_integer(strtoll(n, NULL, 10)));
    }
}

static void add(struct af_sum *sum, const struct af_entry *e) {
    sum->processes++;
    sum->running += e->running;
    af_counts_add(&sum->counts, e->count, e->known);
    sum->time_wait_now += e->time_wait_now;
    add_pairs(sum->errors, e->pairs.text, e->pairs.errors);
    add_pairs(sum->time_wait_to, e->pairs.text + e->pairs.errors, e->pairs.time_wait_to);
}

static void add_sum(struct af_sum *total, const struct af_sum *sum) {
    total->processes += sum->processes;
    total->running += sum->running;
    af_counts_add_sum(&total->counts, &sum->counts);
    total->time_wait_now += sum->time_wait_now;
    af_json_add(total->errors, sum->errors);
    af_json_add(total->time_wait_to, sum->time_wait_to);
}

static void tell(struct af_sum *sum) {
#define COUNTER(name, help) \
    if (sum->counts.known & 1u << AF_COUNT_##name) \
        af_json_put(sum->told, #name, sum->counts.count[AF_COUNT_##name]);
#define DERIVED(name, help)
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
    af_json_add(sum->told, sum->errors);
}

static int by_time_wait(const void *a, const void *b) {
    const struct af_sum *x = a, *y = b;
    const uint64_t *of_x = x->counts.count, *of_y = y->counts.count;
    int order = number_order(of_y[AF_COUNT_time_wait], of_x[AF_COUNT_time_wait]);
    order = order ? order : number_order(of_y[AF_COUNT_established], of_x[AF_COUNT_established]);
    return order ? order : strcmp(x->program, y->program);
}

void af_totals_sum(struct af_totals *t) {
    t->total = new_sum("total");
    for (size_t i = 0; i < t->entries.n; i++)
        add(sum_of(t, &t->entries.all[i]), &t->entries.all[i]);
    if (!t->n_sums)
        t->total.counts.known = AF_KNOWS_ALL; /* nothing was there */
    for (size_t i = 0; i < t->n_sums; i++) {
        add_sum(&t->total, &t->sums[i]);
        tell(&t->sums[i]);
    }
    if (t->n_sums)
        qsort(t->sums, t->n_sums, sizeof *t->sums, by_time_wait);
}

static void free_sum(struct af_sum *sum) {
    json_decref(sum->errors);
    json_decref(sum->time_wait_to);
    json_decref(sum->told);
}

void af_totals_free(struct af_totals *t) {
    for (size_t i = 0; i < t->n_sums; i++)
        free_sum(&t->sums[i]);
    free_sum(&t->total);
    af_entries_free(&t->entries);
    free(t->sums);
}
