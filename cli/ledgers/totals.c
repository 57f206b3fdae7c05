/* See totals.h. */
#include "cli/ledgers/totals.h"
#include "cli/ledgers/json.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A line has its time and its age in whole milliseconds, each cut off. */
enum { TOLERANCE_NS = 3000000 };

static json_t *or_null(json_t *object) {
    if (json_object_size(object))
        return object;
    json_decref(object);
    return NULL;
}

char *af_entry_program(const char *name, size_t size) {
    enum { MOST = AF_PROGRAM_SIZE - 1, LONGEST = 4 /* bytes of a character */ };
    if (size >= MOST) {
        size = MOST;
        size_t start = size; /* of the last character */
        while (start > size - LONGEST && ((unsigned char)name[start - 1] & 0xc0) == 0x80)
            start--;
        const unsigned char lead = (unsigned char)name[start - 1];
        const size_t wants = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (size - (start - 1) < wants)
            size = start - 1;
    }
    return af_utf8_text(name, size, NULL);
}

/* The bytes of one \xNN, or of U+0080 to U+009F as two of them; 0: none is there. */
static size_t escape_length(const char *at) {
    enum { LENGTH = 4 };
    if (strncmp(at, "\\x", 2) != 0 || !isxdigit((unsigned char)at[2]) || !isxdigit((unsigned char)at[3]))
        return 0;
    return strncmp(at, "\\xc2\\x", 6) == 0 && (at[6] == '8' || at[6] == '9') ? 2 * LENGTH : LENGTH;
}

void af_entry_name(struct af_entry *e, char *program) {
    char *to = e->key = af_format("%s", program);
    e->program = program;
    for (const char *from = program; *from;) {
        const size_t escape = escape_length(from);
        if (escape || ((unsigned char)*from & 0xc0) != 0x80)
            *to++ = escape || (unsigned char)*from >= 0x80 ? '?' : *from;
        from += escape ? escape : 1;
    }
    *to = 0;
}

void af_entries_add(struct af_entries *entries, const struct af_collection *found, const struct af_strings *only) {
    for (size_t i = 0; i < found->n_rows; i++) {
        const struct af_row *row = &found->rows[i];
        if (only && !af_strings_have(only, found->images[row->image].entry))
            continue;
        json_t *errors = json_object();
        entries->all = af_room_for_one(entries->all, entries->n, sizeof *entries->all);
        struct af_entry *e = &entries->all[entries->n];
        const char *name = found->images[row->image].program;
        *e = (struct af_entry){ .pid = row->seen.pid,
                                .started = row->seen.started,
                                .at = UINT64_MAX,
                                .order = entries->n++,
                                .running = row->fate == AF_FATE_RUNNING,
                                .time_wait_now = row->confirmed };
        af_entry_name(e, af_entry_program(name, strlen(name)));
        memcpy(e->count, row->seen.count, sizeof e->count);
        af_json_add_errors(errors, &row->seen);
        e->errors = or_null(errors);
        e->time_wait_to = or_null(af_json_endpoints(row));
    }
}

/* ---- one entry an image ------------------------------------------------------------------------------------- */

static int number_order(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static int by_identity(const void *a, const void *b) {
    const struct af_entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    order = order ? order : number_order((uint64_t)x->pid, (uint64_t)y->pid);
    order = order ? order : number_order(x->started, y->started);
    return order ? order : number_order(x->order, y->order);
}

static bool is_same(const struct af_entry *x, const struct af_entry *y) {
    return x->pid == y->pid && strcmp(x->key, y->key) == 0 && y->started - x->started <= TOLERANCE_NS;
}

static bool is_newer(const struct af_entry *x, const struct af_entry *than) {
    return x->at != than->at ? x->at > than->at : x->order > than->order;
}

static void drop(struct af_entry *e) {
    free(e->program);
    free(e->key);
    json_decref(e->errors);
    json_decref(e->time_wait_to);
}

/* Where those that tell of the i-th one's image end. Two ledgers are two images, however close they began. */
static size_t end_of_group(const struct af_entries *entries, size_t i) {
    bool ledger = false;
    size_t end = i;
    for (; end < entries->n && is_same(&entries->all[i], &entries->all[end]); end++) {
        const bool one = entries->all[end].at == UINT64_MAX;
        if (one && ledger)
            break;
        ledger |= one;
    }
    return end;
}

static void keep_one_an_image(struct af_entries *entries) {
    size_t kept = 0;
    if (entries->n)
        qsort(entries->all, entries->n, sizeof *entries->all, by_identity);
    for (size_t i = 0, end; i < entries->n; i = end) {
        size_t best = i;
        end = end_of_group(entries, i);
        for (size_t j = i; j < end; j++)
            best = is_newer(&entries->all[j], &entries->all[best]) ? j : best;
        for (size_t j = i; j < end; j++)
            if (j != best)
                drop(&entries->all[j]);
        entries->all[kept++] = entries->all[best];
    }
    entries->n = kept;
}

/* ---- sums --------------------------------------------------------------------------------------------------- */

static struct af_sum new_sum(const char *program) {
    return (struct af_sum){
        .program = program, .errors = json_object(), .time_wait_to = json_object(), .told = json_object()
    };
}

/* From the end: entries come in order of their programs. */
struct af_sum *af_totals_of(struct af_totals *t, const char *program) {
    for (size_t i = t->n_sums; i > 0; i--)
        if (strcmp(t->sums[i - 1].program, program) == 0)
            return &t->sums[i - 1];
    t->sums = af_room_for_one(t->sums, t->n_sums, sizeof *t->sums);
    t->sums[t->n_sums] = new_sum(program);
    return &t->sums[t->n_sums++];
}

static void add(struct af_sum *sum, const struct af_entry *e) {
    sum->processes++;
    sum->running += e->running;
    for (int i = 0; i < AF_COUNTERS; i++)
        sum->count[i] += e->count[i];
    sum->time_wait_now += e->time_wait_now;
    af_json_add(sum->errors, e->errors);
    af_json_add(sum->time_wait_to, e->time_wait_to);
}

static void tell(struct af_sum *sum) {
#define COUNTER(name, help) af_json_put(sum->told, #name, sum->count[AF_COUNT_##name]);
#define DERIVED(name, help)
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
    af_json_add(sum->told, sum->errors);
}

static int by_time_wait(const void *a, const void *b) {
    const struct af_sum *x = a, *y = b;
    int order = number_order(y->count[AF_COUNT_time_wait], x->count[AF_COUNT_time_wait]);
    order = order ? order : number_order(y->count[AF_COUNT_established], x->count[AF_COUNT_established]);
    return order ? order : strcmp(x->program, y->program);
}

void af_totals_sum(struct af_totals *t) {
    keep_one_an_image(&t->entries);
    t->total = new_sum("total");
    for (size_t i = 0; i < t->entries.n; i++) {
        const struct af_entry *e = &t->entries.all[i];
        add(af_totals_of(t, e->program), e);
        add(&t->total, e);
    }
    for (size_t i = 0; i < t->n_sums; i++)
        tell(&t->sums[i]);
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
    for (size_t i = 0; i < t->entries.n; i++)
        drop(&t->entries.all[i]);
    free(t->sums);
    free(t->entries.all);
}
