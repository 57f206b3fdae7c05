/* See experiment.h: what its rounds have measured, and a word on how far they are. */
#include "cli/compare/experiment.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct af_metric_info af_metrics[AF_METRICS] = {
#define METRIC(name, title, help) { #name, title, help },
#include "cli/compare/metrics.def"
#undef METRIC
};

double *af_compare_values(const struct af_experiment *e, int side, enum af_metric metric) {
    double *values = af_array(NULL, e->done, sizeof *values);
    for (unsigned r = 0; r < e->done; r++)
        values[r] = e->side[side].runs[r].value[metric];
    return values;
}

double af_compare_failed(const struct af_experiment *e, int side, unsigned call, unsigned error) {
    double *values = af_array(NULL, e->done, sizeof *values);
    for (unsigned r = 0; r < e->done; r++)
        values[r] = e->side[side].runs[r].failed[call][error];
    const double median = af_spread_of(values, e->done).median;
    free(values);
    return median;
}

char *af_compare_policy(const struct af_side *side) {
    char *text = af_format("%s", "");
    for (int key = 0; key < AF_KEYS; key++) {
        if (!(side->settings.policy.set & 1u << key))
            continue;
        char *longer = af_format("%s%s%s=%s", text, *text ? "," : "", af_keys[key].name,
                                 af_settings_get(&side->settings, af_keys[key].variable));
        free(text);
        text = longer;
    }
    return text;
}

void af_compare_progress(const struct af_experiment *e, const char *format, ...) {
    char line[80];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    char shown[4 * sizeof line];
    af_show(line, shown, sizeof shown - 1);
    if (e->terminal >= 0)
        dprintf(e->terminal, "\r\033[K%s", shown);
}
