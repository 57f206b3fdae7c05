/* What report writes for Prometheus: its text format. */
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"
#include "cli/report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* https://prometheus.io/docs/instrumenting/exposition_formats/: \, " and newline are escaped. */
static void put_label(FILE *to, const char *name, const char *value, size_t size) {
    char *text = af_utf8_text(value, size, NULL);
    fprintf(to, "%s=\"", name);
    for (const char *c = text; *c; c++)
        if (*c == '\n')
            fputs("\\n", to);
        else
            fprintf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', to);
    free(text);
}

static void put_family(FILE *to, const char *name, const char *type, const char *help) {
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Of the counts that tell how connections ended. */
static const char *whose_word(const char *name) {
    static const char *const endings[] = { "time_wait", "avoided", "passive", "aborted" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(name, endings[i]) == 0)
            return "; as predicted at each close";
    return "";
}

/* `count`: as in counters.def. */
static void put_count_family(FILE *to, const char *count, const char *name, const char *type, const char *help) {
    char *longer = af_format("%s%s", help, whose_word(count));
    put_family(to, name, type, longer);
    free(longer);
}

static void put_sample(FILE *to, const char *name, const char *program, uint64_t value) {
    fprintf(to, "%s{", name);
    put_label(to, "program", program, strlen(program));
    fprintf(to, "} %llu\n", (unsigned long long)value);
}

#define EACH(r, name, type, help, value) \
    do { \
        put_family(to, name, type, help); \
        EACH_SAMPLE(r, name, value); \
    } while (0)

#define EACH_SAMPLE(r, name, value) EACH_KNOWN(r, name, true, value)

#define EACH_KNOWN(r, name, known, value) \
    do { \
        for (size_t i = 0; i < (r)->totals.n_sums; i++) { \
            const struct af_sum *sum = &(r)->totals.sums[i]; \
            if (known) \
                put_sample(to, name, sum->program, (uint64_t)(value)); \
        } \
    } while (0)

static bool is_told(const struct af_sum *sum, const char *name) {
    return json_object_get(sum->told, name) != NULL;
}

static json_int_t told(const struct af_sum *sum, const char *name) {
    return json_integer_value(json_object_get(sum->told, name));
}

static void put_counts(FILE *to, const struct af_report *r) {
    EACH(r, "afterfin_processes", "gauge", "processes that had a TCP socket, as far as recorded", sum->processes);
    EACH(r, "afterfin_processes_running", "gauge", "those that have a ledger and run", sum->running);
#define COUNTER(name, help) \
    put_count_family(to, #name, "afterfin_" #name "_total", "counter", help); \
    EACH_KNOWN(r, "afterfin_" #name "_total", is_told(sum, #name), told(sum, #name));
#define DERIVED(name, help) \
    put_family(to, "afterfin_" #name, "gauge", help); \
    EACH_KNOWN(r, "afterfin_" #name, is_told(sum, "established"), sum->counts.name);
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

/* "connect:EADDRNOTAVAIL" comes apart into two labels. */
static void put_errors(FILE *to, const struct af_report *r) {
    static const char name[] = "afterfin_errors_total";
    bool any = false;
    for (size_t i = 0; i < r->totals.n_sums; i++) {
        const char *key;
        json_t *n;
        json_object_foreach(r->totals.sums[i].told, key, n) {
            const char *colon = strchr(key, ':');
            if (!colon)
                continue;
            if (!any)
                put_family(to, name, "counter", "calls that failed, by call and errno");
            any = true;
            fprintf(to, "%s{", name);
            put_label(to, "program", r->totals.sums[i].program, strlen(r->totals.sums[i].program));
            put_label(to, ",call", key, (size_t)(colon - key));
            put_label(to, ",errno", colon + 1, strlen(colon + 1));
            fprintf(to, "} %lld\n", (long long)json_integer_value(n));
        }
    }
}

/* ---- the kernel's side --------------------------------------------------------------------------------------- */

static void put_one(FILE *to, const char *name, const char *type, const char *help, int64_t value) {
    if (value < 0)
        return;
    put_family(to, name, type, help);
    fprintf(to, "%s %lld\n", name, (long long)value);
}

static void put_busiest(FILE *to, const struct af_ports *p) {
    static const char name[] = "afterfin_destination_ports";
    if (p->n_busiest)
        put_family(to, name, "gauge", "ephemeral ports in use to one destination, of the busiest eight");
    for (size_t i = 0; i < p->n_busiest; i++) {
        char local[AF_ADDR_TEXT], peer[AF_ADDR_TEXT];
        size_t size = af_addr_text(&p->busiest[i].local, local);
        fprintf(to, "%s{", name);
        put_label(to, "local", local, size - strlen(":0"));
        put_label(to, ",peer", peer, af_addr_text(&p->busiest[i].peer, peer));
        fprintf(to, "} %u\n", p->busiest[i].ports);
    }
}

static void put_ports(FILE *to, const struct af_report *r) {
    const struct af_ports *p = &r->ports;
    if (r->totals.n_sums)
        EACH(r, "afterfin_time_wait_now", "gauge",
             "TIME_WAIT sockets in this network namespace that it left, as the kernel has them", sum->time_wait_now);
    put_one(to, "afterfin_time_wait_sockets", "gauge", "TIME_WAIT sockets in this network namespace, whoever left them",
            p->time_wait);
    put_one(to, "afterfin_time_wait_limit", "gauge", "net.ipv4.tcp_max_tw_buckets", p->time_wait_limit);
    put_one(to, "afterfin_time_wait_overflow_total", "counter",
            "connections that were denied a TIME_WAIT by this limit: TCPTimeWaitOverflow", p->time_wait_overflow);
    put_one(to, "afterfin_ephemeral_ports", "gauge", "net.ipv4.ip_local_port_range, less ip_local_reserved_ports",
            p->ephemeral);
    put_one(to, "afterfin_ephemeral_ports_used", "gauge", "those that some TCP socket has, whatever its destination",
            p->used);
    put_busiest(to, p);
}

char *af_report_metrics(const struct af_report *r) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to && r->totals.n_sums) {
        put_counts(to, r);
        put_errors(to, r);
    }
    if (to && r->has_ports)
        put_ports(to, r);
    if (to && fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

bool af_report_write_prometheus(const struct af_report *r, const char *path) {
    char *text = af_report_metrics(r);
    const bool ok = text && af_output(text, "report", "metrics", path);
    free(text);
    return ok;
}
