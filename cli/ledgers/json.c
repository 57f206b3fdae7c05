/* See json.h. */
#include "cli/ledgers/json.h"
#include "cli/ledgers/names.h"

#include <stdio.h>

static json_t *number(uint64_t n, bool known) {
    return known ? json_integer((json_int_t)n) : json_null();
}

void af_json_put_counts(json_t *object, const struct af_counts *c) {
#define COUNTER(field, help) \
    json_object_set_new(object, #field, number(c->count[AF_COUNT_##field], c->known & 1u << AF_COUNT_##field));
#define DERIVED(field, help) \
    json_object_set_new(object, #field, number((uint64_t)c->field, c->known &AF_KNOWS_##field));
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

/* Adds to what is there, so that it serves totals too. */
void af_json_add_errors(json_t *errors, const struct af_seen_process *seen) {
    for (uint32_t i = 0; i < seen->n_errors; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s:%s", af_call_name(seen->errors[i].call), af_errno_name(seen->errors[i].error));
        json_int_t before = json_integer_value(json_object_get(errors, name));
        json_object_set_new(errors, name, json_integer(before + seen->errors[i].count));
    }
}

json_t *af_json_endpoints(const struct af_row *row) {
    json_t *object = json_object();
    for (uint32_t i = 0; i < row->n_top; i++) {
        char name[AF_ADDR_TEXT];
        af_endpoint_text(&row->top[i], name);
        af_json_put(object, name, row->top[i].count);
    }
    return object;
}
