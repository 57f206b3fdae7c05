/* examples/prometheus: rules and the dashboard's queries are tried by Prometheus' own tool, on metrics of a real shortage,
 * and by a Prometheus that scrapes them. */
#include "tests/cli/report/metrics.h"
#include "tests/examples/examples.h"

#include <signal.h>
#include <unistd.h>

static const char alerts[] = "examples/prometheus/alerts.yml";
static const char dashboard[] = "examples/prometheus/dashboard.json";
static const char dashboard_test[] = "examples/prometheus/dashboard_test.yml";

static void need_promtool(void) {
    if (shell("command -v promtool").status != 0)
        cr_skip_test("no promtool (Debian: prometheus)");
}

Test(examples_prometheus, promtool_takes_the_rules_and_their_tests_pass) {
    static const char *const rows[] = { "check", "test" };
    need_promtool();
    for (size_t i = 0; i < ROWS(rows); i++) {
        char begins[32];
        snprintf(begins, sizeof begins, "promtool %s", rows[i]);
        const char *line = typed(alerts, begins);
        struct ended e = shell("%s%s", begins, line);
        cr_expect_eq(e.status, 0, "%s: %s%s", line, e.out, e.err);
        cr_expect(strstr(e.out, "SUCCESS"), "%s", e.out);
    }
}

/* What the machine tells when ports have run out. */
static const char *shortage(const char *directory) {
    enum { PORTS = 100, ASKED = 120 };
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char settings[256];
    ns_port_range(40000, 40000 + PORTS - 1);
    snprintf(settings, sizeof settings, "LEDGER=%s", directory);
    run(settings, "connect_close 127.0.0.1 %u -n %d", peer.port, ASKED);
    ns_settle();
    cr_assert_eq(ns_tw(), PORTS, "the test itself");
    return command(NULL, "report", "-d", directory, "--prometheus", NULL).out;
}

Test(examples_prometheus, alerts_and_dashboard_ask_for_metrics_that_there_are) {
    static const char *const files[] = { alerts, dashboard };
    ns_enter();
    const char *metrics = shortage(new_directory());
    for (size_t i = 0; i < ROWS(files); i++) {
        unsigned n = 0;
        for (const char *at = text_of(files[i]); (at = strstr(at, "afterfin_")); n++) {
            char type[128];
            size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
            snprintf(type, sizeof type, "\n# TYPE %.*s ", (int)size, at);
            cr_expect(strstr(metrics, type), "%s: no%s", files[i], type + 8);
            at += size;
        }
        cr_expect_gt(n, 5);
    }
}

/* A test for promtool: each of the metrics stays as it is for ten minutes; which alerts fire then? */
static void write_rules_test(const char *path, char *metrics) {
    static const char *const fires[] = { "LocalPortsRunOut", "NoLocalPort" };
    static const char *const silent[] = { "LocalPortsToBindRunOut", "TimeWaitNearLimit", "TimeWaitOverflow" };
    char *rest = NULL;
    FILE *to = fopen(path, "we");
    cr_assert(to);
    fputs("rule_files: [alerts.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n", to);
    for (char *line = strtok_r(metrics, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strrchr(line, ' ');
        if (*line != '#')
            fprintf(to, "      - { series: '%.*s', values: '_x3 %sx10' }\n", (int)(value - line), line, value + 1);
    }
    fputs("    promql_expr_test:\n", to);
    for (size_t i = 0; i < ROWS(fires) + ROWS(silent); i++) {
        bool is = i < ROWS(fires);
        fprintf(to,
                "      - expr: count(ALERTS{alertname=\"%s\",alertstate=\"firing\"})\n        eval_time: 6m\n"
                "        exp_samples: [%s]\n",
                is ? fires[i] : silent[i - ROWS(fires)], is ? "{ value: 1 }" : "");
    }
    cr_assert_eq(fclose(to), 0);
}

Test(examples_prometheus, a_real_shortage_of_ports_sets_the_alerts_off) {
    char path[512];
    need_promtool();
    ns_enter();
    const char *directory = new_directory();
    char *metrics = strdup(shortage(directory));
    cr_assert_eq(shell("cp %s %s/alerts.yml", alerts, directory).status, 0);
    snprintf(path, sizeof path, "%s/test.yml", directory);
    write_rules_test(path, metrics);
    struct ended e = shell("promtool test rules %s", path);
    cr_expect_eq(e.status, 0, "%s%s", e.out, e.err);
}

/* ---- at work ------------------------------------------------------------------------------------------------------ */

/* A Prometheus with the rules, which need not hold for a minute here, scrapes report --listen until the alerts fire: which
 * it looks for again and again, a bounded number of times. */
Test(examples_prometheus, a_prometheus_that_scrapes_a_real_shortage_fires_the_alerts) {
    static const char *const fires[] = { "LocalPortsRunOut", "NoLocalPort" };
    static const char *const silent[] = { "LocalPortsToBindRunOut", "TimeWaitNearLimit", "TimeWaitOverflow" };
    if (shell("command -v prometheus && command -v curl").status != 0)
        cr_skip_test("no prometheus or curl");
    ns_enter();
    const char *directory = new_directory(), *home = new_directory();
    /* Held: a TIME_WAIT would be over before a busy machine has looked. And no port 0: there is none left. */
    enum { PORTS = 100, HELD = 95, ASKED = 10 };
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    char settings[256];
    ns_port_range(40000, 40000 + PORTS - 1);
    snprintf(settings, sizeof settings, "LEDGER=%s", directory);
    const struct sockaddr_in to = { AF_INET, htons(peer.port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    for (int i = 0; i < HELD; i++)
        cr_assert_eq(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (const struct sockaddr *)&to, sizeof to),
                     0);
    run(settings, "connect_close 127.0.0.1 %u -n %d", peer.port, ASKED);
    struct victim v = victim_start_argv(NULL, (const char *[]){ "sh", "-c", "exec \"$@\" 2>&1", "sh", command_path(),
                                                                "report", "-d", directory, "--prometheus", "--listen",
                                                                ":9642", NULL });
    victim_wait_out(&v, "/metrics");
    struct ended e = shell(
        "sed 's/for: 1m/for: 0s/' %s "
        ">%s/alerts.yml && cd %s && printf 'global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }"
        "\nrule_files: [alerts.yml]\nscrape_configs: [{ job_name: a, static_configs: [{ targets: "
        "[\"127.0.0.1:9642\"] }] }]\n' >p.yml && "
        "{ prometheus --config.file=p.yml --storage.tsdb.path=d --web.listen-address=127.0.0.1:9099 >log 2>&1 & p=$!; "
        "for i in $(seq 200); do sleep 0.5; a=$(curl -s http://127.0.0.1:9099/api/v1/alerts); n=0; for w in %s %s; do "
        "case $a in *$w*'\"state\":\"firing\"'*) n=$((n + 1));; esac; done; [ $n -lt 2 ] || break; done; "
        "kill $p; wait $p; echo \"$a\"; }",
        alerts, home, home, fires[0], fires[1]);
    for (size_t i = 0; i < ROWS(fires); i++)
        cr_expect(strstr(e.out, fires[i]), "%s: %s", fires[i], e.out);
    for (size_t i = 0; i < ROWS(silent); i++)
        cr_expect(!strstr(e.out, silent[i]), "%s: %s", silent[i], e.out);
    victim_kill(&v, SIGTERM);
}

/* ---- the dashboard ------------------------------------------------------------------------------------------------ */

/* With its variables filled in as Grafana does for all hosts and programs. */
static const char *filled_in(const char *query) {
    static const char *const variables[][2] = { { "$instance", ".*" },
                                                { "$program", ".*" },
                                                { "$__rate_interval", "5m" } };
    for (size_t i = 0; i < ROWS(variables); i++) {
        const char *at;
        while ((at = strstr(query, variables[i][0]))) {
            char *text;
            cr_assert_gt(asprintf(&text, "%.*s%s%s", (int)(at - query), query, variables[i][1],
                                  at + strlen(variables[i][0])),
                         0);
            query = text;
        }
    }
    return query;
}

Test(examples_prometheus, every_query_of_the_dashboard_is_tried) {
    json_t *all = json_load_file(dashboard, JSON_REJECT_DUPLICATES, NULL), *panel, *target;
    const char *tests = text_of(dashboard_test);
    size_t i, k, n = 0, tried = 0;
    cr_assert(all);
    json_array_foreach(json_object_get(all, "panels"), i, panel) {
        cr_expect_gt(json_array_size(json_object_get(panel, "targets")), 0);
        json_array_foreach(json_object_get(panel, "targets"), k, target) {
            char *row;
            const char *query = json_string_value(json_object_get(target, "expr"));
            cr_assert_gt(asprintf(&row,
                                  "      - expr: '%s'\n        eval_time: 15m\n        exp_samples:\n"
                                  "          - { labels: ",
                                  filled_in(query)),
                         0);
            cr_expect(strstr(tests, row), "%s: %s has no test of: %s",
                      json_string_value(json_object_get(panel, "title")), dashboard_test, filled_in(query));
            n++;
        }
    }
    for (const char *at = tests; (at = strstr(at, "- expr: ")); at++)
        tried++;
    cr_expect_eq(tried, n, "a test of a query that is not there");
    need_promtool();
    struct ended e = shell("promtool test rules%s", typed(dashboard_test, "promtool test rules"));
    cr_expect(e.status == 0 && strstr(e.out, "SUCCESS"), "%s%s", e.out, e.err);
}
