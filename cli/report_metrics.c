/* What report writes for Prometheus: its text format. */
#include "cli/memory.h"
#include "cli/output.h"
#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* https://prometheus.io/docs/instrumenting/exposition_formats/: \, " and newline are escaped. */
static void put_label(FILE *to, const char *name, const char *value, size_t size) {
    fprintf(to, "%s=\"", name);
    for (size_t i = 0; i < size; i++)
        if (value[i] == '\n')
            fputs("\\n", to);
        else
            fprintf(to, value[i] == '"' || value[i] == '\\' ? "\\%c" : "%c", value[i]);
    fputc('"', to);
}

static void put_family(FILE *to, const char *name, const char *type, const char *help) {
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_sample(FILE *to, const char *name, const char *program, uint64_t value) {
    fprintf(to, "%s{", name);
    put_label(to, "program", program, strlen(program));
    fprintf(to, "} %llu\n", (unsigned long long)value);
}

#define EACH(r, name, type, help, value)                           \
    do {                                                           \
        put_family(to, name, type, help);                          \
        for (size_t i = 0; i < (r)->n_sums; i++) {                 \
            const struct af_sum *sum = &(r)->sums[i];              \
            put_sample(to, name, sum->program, (uint64_t)(value)); \
        }                                                          \
    } while (0)

static json_int_t told(const struct af_sum *sum, const char *name) {
    return json_integer_value(json_object_get(sum->told, name));
}

static void put_counts(FILE *to, const struct af_report *r) {
    EACH(r, "afterfin_processes", "gauge", "processes that had a TCP socket, as far as recorded", sum->processes);
    EACH(r, "afterfin_processes_running", "gauge", "those that have a ledger and run", sum->running);
#define COUNTER(name, help) EACH(r, "afterfin_" #name "_total", "counter", help, told(sum, #name));
#define DERIVED(name, help) EACH(r, "afterfin_" #name, "gauge", help, af_seen_##name(sum->count));
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

/* "connect:EADDRNOTAVAIL" comes apart into two labels. */
static void put_errors(FILE *to, const struct af_report *r) {
    static const char name[] = "afterfin_errors_total";
    bool any = false;
    for (size_t i = 0; i < r->n_sums; i++) {
        const char *key;
        json_t *n;
        json_object_foreach(r->sums[i].told, key, n) {
            const char *colon = strchr(key, ':');
            if (!colon)
                continue;
            if (!any)
                put_family(to, name, "counter", "calls that failed, by call and errno");
            any = true;
            fprintf(to, "%s{", name);
            put_label(to, "program", r->sums[i].program, strlen(r->sums[i].program));
            put_label(to, ",call", key, (size_t)(colon - key));
            put_label(to, ",errno", colon + 1, strlen(colon + 1));
            fprintf(to, "} %lld\n", (long long)json_integer_value(n));
        }
    }
}

bool af_report_write_prometheus(const struct af_report *r, const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to && r->n_sums) {
        put_counts(to, r);
        put_errors(to, r);
    }
    bool ok = to && fclose(to) == 0 && af_output(text, "report", "metrics", path);
    free(text);
    return ok;
}
