/* What compare writes for machines: DESIGN's `compare --json`. */
#include "cli/compare/experiment.h"
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A count stays a whole number; what is infinite is null. */
static json_t *number(double x) {
    if (!isfinite(x))
        return json_null();
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *spread(struct af_spread s) {
    json_t *object = json_object();
    json_object_set_new(object, "median", number(s.median));
    json_object_set_new(object, "min", number(s.min));
    json_object_set_new(object, "max", number(s.max));
    return object;
}

static json_t *policy_of(const struct af_side *side) {
    json_t *object = json_object();
    for (int key = 0; key < AF_KEYS; key++)
        if (side->settings.policy.set & 1u << key) {
            const char *value = af_settings_get(&side->settings, af_keys[key].variable);
            json_object_set_new(object, af_keys[key].name, af_json_text(value, strlen(value)));
        }
    return object;
}

static json_t *errors_of(const struct af_experiment *e, int s) {
    json_t *object = json_object();
    for (unsigned call = 0; call < AF_CALLS; call++)
        for (unsigned error = 0; error < AF_ERRNOS; error++) {
            double *values = af_compare_failures(e, s, call, error);
            const struct af_spread all = af_spread_of(values, af_order_made(&e->order, s));
            free(values);
            if (!all.max)
                continue;
            char *name = af_format("%s:%s", af_call_name(call), af_errno_name(error));
            json_object_set_new(object, name, spread(all));
            free(name);
        }
    return object;
}

/* {"0": 9, "1": 1}: how often each was CMD's exit status. */
static json_t *statuses_of(const struct af_experiment *e, int s) {
    json_t *object = json_object();
    for (size_t r = 0; r < e->order.done; r++) {
        if (e->order.side[r] != s)
            continue;
        char *name = af_format("%d", e->runs[r].status);
        json_t *n = json_object_get(object, name);
        json_object_set_new(object, name, json_integer(json_integer_value(n) + 1));
        free(name);
    }
    return object;
}

static json_t *side_of(const struct af_experiment *e, int s) {
    json_t *object = json_object();
    json_object_set_new(object, "policy", policy_of(&e->side[s]));
    for (int m = 0; m < AF_METRICS; m++)
        json_object_set_new(object, af_metrics[m].name,
                            af_compare_knows(e, m) ? spread(af_compare_spread(e, s, m)) : json_null());
    json_object_set_new(object, "errors", errors_of(e, s));
    json_object_set_new(object, "exit_status", statuses_of(e, s));
    return object;
}

static json_t *differences(const struct af_experiment *e) {
    json_t *array = json_array();
    for (int m = 0; m < AF_METRICS; m++) {
        const struct af_difference *d = &e->difference[m];
        json_t *object = json_object();
        json_object_set_new(object, "metric", json_string(af_metrics[m].name));
        const bool known = af_compare_knows(e, m);
        json_object_set_new(object, "ratio", number(known ? d->ratio : NAN));
        json_object_set_new(object, "low", number(known ? d->low : NAN));
        json_object_set_new(object, "high", number(known ? d->high : NAN));
        json_object_set_new(object, "differs", json_boolean(d->differs));
        json_object_set_new(object, "p", number(known ? d->holm : NAN));
        json_object_set_new(object, "plain", json_boolean(d->plain));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *run_of(const struct af_experiment *e, size_t at) {
    json_t *run = json_object();
    json_object_set_new(run, "run", json_integer((json_int_t)at + 1));
    for (int m = 0; m < AF_METRICS; m++)
        json_object_set_new(run, af_metrics[m].name,
                            number(e->runs[at].unknown & 1u << m ? NAN : e->runs[at].value[m]));
    af_json_put(run, "time_wait_before", e->runs[at].tw_before);
    if (e->runs[at].unkept)
        af_json_put(run, "without_ledger", e->runs[at].unkept);
    return run;
}

/* Every run as it was, for whoever would judge otherwise: the first of A beside the first of B, and so on. */
static json_t *rounds(const struct af_experiment *e) {
    json_t *array = json_array();
    size_t next[2] = { 0 };
    for (size_t at = 0; at < e->order.done; at++) {
        const int s = e->order.side[at];
        const size_t round = next[s]++;
        if (round == json_array_size(array)) {
            json_array_append_new(array, json_object());
            json_object_set_new(json_array_get(array, round), "first", json_string(s ? "b" : "a"));
        }
        json_object_set_new(json_array_get(array, round), s ? "b" : "a", run_of(e, at));
    }
    return array;
}

bool af_compare_write_json(const struct af_experiment *e) {
    json_t *all = json_object(), *command = json_array();
    for (char **word = e->command; *word; word++)
        json_array_append_new(command, af_json_text(*word, strlen(*word)));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "command", command);
    const size_t a = af_order_made(&e->order, 0), b = af_order_made(&e->order, 1);
    json_object_set_new(all, "runs", json_integer((json_int_t)(a < b ? a : b)));
    size_t unkept = 0;
    for (size_t r = 0; r < e->order.done; r++)
        unkept += e->runs[r].unkept;
    if (unkept)
        af_json_put(all, "without_ledger", unkept);
    json_object_set_new(all, "a", side_of(e, 0));
    json_object_set_new(all, "b", side_of(e, 1));
    json_object_set_new(all, "differences", differences(e));
    json_object_set_new(all, "rounds", rounds(e));
    return af_json_write(all, "compare", e->json_path);
}
