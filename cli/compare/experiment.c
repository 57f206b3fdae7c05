/* See experiment.h: what its runs have measured. */
#include "cli/compare/experiment.h"
#include "cli/output/memory.h"

#include <stdlib.h>

const struct af_metric_info af_metrics[AF_METRICS] = {
#define METRIC(name, is_time, title, help) { #name, title, help, is_time },
#include "cli/compare/metrics.def"
#undef METRIC
};

double *af_compare_values(const struct af_experiment *e, int side, enum af_metric metric) {
    double *values = af_array(NULL, e->order.done, sizeof *values);
    size_t n = 0;
    for (size_t r = 0; r < e->order.done; r++)
        if (e->order.side[r] == side)
            values[n++] = e->runs[r].value[metric];
    return values;
}

double *af_compare_failures(const struct af_experiment *e, int side, unsigned call, unsigned error) {
    double *values = af_array(NULL, e->order.done, sizeof *values);
    size_t n = 0;
    for (size_t r = 0; r < e->order.done; r++)
        if (e->order.side[r] == side)
            values[n++] = e->runs[r].failed[call][error];
    return values;
}

bool af_compare_knows(const struct af_experiment *e, enum af_metric metric) {
    uint32_t unknown = 0;
    for (size_t r = 0; r < e->order.done; r++)
        unknown |= e->runs[r].unknown;
    return !(unknown & 1u << metric);
}

struct af_spread af_compare_spread(const struct af_experiment *e, int side, enum af_metric metric) {
    double *values = af_compare_values(e, side, metric);
    const struct af_spread spread = af_spread_of(values, af_order_made(&e->order, side));
    free(values);
    return spread;
}

char *af_compare_policy(const struct af_side *side) {
    char *text = af_format("%s", "");
    for (int key = 0; key < AF_KEYS; key++)
        if (side->settings.policy.set & 1u << key)
            text = af_compare_join(text, ",",
                                   af_format("%s=%s", af_keys[key].name,
                                             af_settings_get(&side->settings, af_keys[key].variable)));
    if (*text)
        return text;
    free(text);
    return af_format("nothing set");
}

char *af_compare_extent(const struct af_experiment *e) {
    const size_t a = af_order_made(&e->order, 0), b = af_order_made(&e->order, 1);
    if (a != b)
        return af_format("%zu run%s of A, %zu of B", a, a == 1 ? "" : "s", b);
    return af_format("%zu round%s", a, a == 1 ? "" : "s");
}
