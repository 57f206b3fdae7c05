/* examples/systemd and examples/prometheus, as far as they go without either at work: units are read by systemd's own
 * reader and done what they say, rules are tried by Prometheus' own tool, on metrics of a real shortage. */
#include "tests/cli/report/metrics.h"
#include "tests/examples/examples.h"

static const char drop_in[] = "examples/systemd/legacy.service.d/afterfin.conf";
static const char service[] = "examples/systemd/afterfin-report.service";
static const char alerts[] = "examples/prometheus/alerts.yml";

/* ---- systemd --------------------------------------------------------------------------------------------------- */

Test(examples_machine, systemd_takes_the_units_and_the_drop_in) {
    static const char verify[] = "cd %s && SYSTEMD_UNIT_PATH=$PWD: systemd-analyze verify --man=no ./legacy.service "
                                 "./afterfin-report.service ./afterfin-report.timer";
    const char *directory = new_directory();
    if (shell("command -v systemd-analyze").status != 0)
        cr_skip_test("no systemd-analyze (Debian: systemd)");
    cr_assert_eq(shell("cp -r examples/systemd/. %s && cd %s && "
                       "printf '[Service]\\nExecStart=/bin/true\\n' >legacy.service && "
                       "sed -i 's|/usr/local/bin/afterfin|%s|' afterfin-report.service",
                       directory, directory, command_path())
                     .status,
                 0);
    struct ended e = shell(verify, directory);
    cr_expect_eq(e.status, 0);
    cr_expect_str_empty(e.err, "%s", e.err);
    cr_assert_eq(shell("echo Nonsense=1 >>%s/legacy.service.d/afterfin.conf", directory).status, 0);
    cr_expect(strstr(shell(verify, directory).err, "Nonsense"), "the test itself: the drop-in is read");
}

/* A value with systemd's specifiers resolved. */
static const char *resolved(const char *value) {
    char *out = NULL;
    size_t size;
    FILE *to = open_memstream(&out, &size);
    for (; *value; value++) {
        bool specifier = *value == '%';
        cr_assert(!specifier || value[1] == 't' || value[1] == '%', "not known here: %s", value);
        if (specifier)
            fputs(*++value == 't' ? "/run" : "%", to);
        else
            fputc(*value, to);
    }
    fclose(to);
    return out;
}

/* All values of `key=` in a unit, with a blank before each. */
static const char *values(const char *unit, const char *key) {
    char *rest = NULL, *all = strdup("");
    const size_t size = strlen(key);
    for (char *line = strtok_r(text_of(unit), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, key, size) == 0 && line[size] == '=')
            cr_assert_gt(asprintf(&all, "%s %s", all, resolved(line + size + 1)), 0);
    return all;
}

/* The machine's paths, below `root`; what is installed, where it was built. */
static const char *here(const char *root, const char *text) {
    static const char *const kept[] = { "/run/", "/var/" };
    char build[512], by[512];
    const char *command = command_path();
    snprintf(build, sizeof build, "%.*s", (int)(strrchr(command, '/') - command), command);
    for (size_t i = 0; i < ROWS(kept); i++) {
        snprintf(by, sizeof by, "%s%s", root, kept[i]);
        text = moved(text, kept[i], by);
    }
    return moved(moved(text, "/usr/local/bin", build), "/usr/local/lib", build); /* which may be below /var itself */
}

enum { CONNECTIONS = 5 };

/* The service, which the drop-in is for: what systemd would make for it, and its variables. */
static void run_legacy(const char *root) {
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    cr_assert_eq(shell("cd %s && mkdir -p run var/log/%s && mkdir -m %s run/%s", root,
                       values(drop_in, "LogsDirectory") + 1, values(drop_in, "RuntimeDirectoryMode") + 1,
                       values(drop_in, "RuntimeDirectory") + 1)
                     .status,
                 0);
    struct ended e = shell("env -i %s %s 127.0.0.1 %u -n %d -b 1 -r 1", here(root, values(drop_in, "Environment")),
                           victim_path("connect_close"), peer.port, CONNECTIONS);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_expect_str_empty(e.err);
    ns_settle();
    cr_expect_eq(ns_tw(), 0);
}

Test(examples_machine, the_drop_in_treats_the_service_and_keeps_what_it_did) {
    char name[64];
    ns_enter();
    const char *root = new_directory();
    run_legacy(root);
    struct ended e = shell("cd %s/var/log/legacy && ls && cat *", root);
    snprintf(name, sizeof name, "afterfin-%ld.log\n", log_number(log_line(e.out, 0), "pid"));
    cr_expect_eq(log_number(log_line(e.out, 0), "avoided"), CONNECTIONS, "%s", e.out);
    cr_expect(strncmp(e.out, name, strlen(name)) == 0, "%s in %s", name, e.out);
    e = shell("build/afterfin %s", here(root, typed(drop_in, "afterfin ")));
    cr_expect_str_eq(e.out, "no TIME_WAIT sockets\n", "%s", e.err);
    cr_expect_eq(shell("find %s/run/legacy-afterfin -maxdepth 0 -perm 700 | wc -l", root).out[0], '1');
}

Test(examples_machine, the_report_service_writes_what_node_exporter_reads_and_the_alerts_are_about) {
    char quoted[256];
    ns_enter();
    const char *root = new_directory(), *file = typed(service, "cat "), *below = file + 1;
    run_legacy(root);
    cr_assert_eq(shell("mkdir -p $(dirname %s/%s)", root, below).status, 0);
    struct ended e = shell("umask 022; %s", here(root, values(service, "ExecStart")));
    cr_expect_eq(e.status, 0, "%s", e.err);
    e = shell("cat %s/%s; find %s/%s -perm 644 | wc -l >&2", root, below, root, below);
    cr_expect_eq(metric(e.out, "afterfin_avoided_total{program=\"connect_close\"}"), CONNECTIONS, "%s", e.out);
    cr_expect_str_eq(e.err, "1\n", "whoever node_exporter runs as may read it");
    cr_expect_eq(entries(here(root, "/run/legacy-afterfin"), ""), 2, "ledgers stay for a while, beside metrics.json");
    snprintf(quoted, sizeof quoted, "{file=\"%s\"}", file);
    cr_expect(strstr(text_of(alerts), quoted), "no alert on %s being old", quoted);
}

/* ---- Prometheus ------------------------------------------------------------------------------------------------- */

static void need_promtool(void) {
    if (shell("command -v promtool").status != 0)
        cr_skip_test("no promtool (Debian: prometheus)");
}

Test(examples_machine, promtool_takes_the_rules_and_their_tests_pass) {
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

Test(examples_machine, the_alerts_ask_for_metrics_that_there_are) {
    ns_enter();
    const char *metrics = shortage(new_directory());
    unsigned n = 0;
    for (const char *at = text_of(alerts); (at = strstr(at, "afterfin_")); n++) {
        char type[128];
        size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        snprintf(type, sizeof type, "\n# TYPE %.*s ", (int)size, at);
        cr_expect(strstr(metrics, type), "no%s", type + 8);
        at += size;
    }
    cr_expect_gt(n, 5);
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

Test(examples_machine, a_real_shortage_of_ports_sets_the_alerts_off) {
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
