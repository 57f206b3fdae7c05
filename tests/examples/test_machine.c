/* examples/systemd, as far as it goes without systemd at work: units are read by its own reader and done what they say. */
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
