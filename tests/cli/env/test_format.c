/* afterfin env --format: random values, written for each place and read back by what reads there. */
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <stdlib.h>
#include <unistd.h>

enum { TAB = 1, NEWLINE = 2, CONTROL = 4, NO_UTF8 = 8, UNFIT = 16, NO_CHARACTER = 32 };

static const struct {
    const char *text;
    unsigned is;
} pieces[] = {
    { "a", 0 },
    { "é", 0 },
    { "\U0001f600", 0 },
    { " ", 0 },
    { "'", 0 },
    { "\"", 0 },
    { "\\", 0 },
    { "$", 0 },
    { "$(HOME)", 0 },
    { "$HOME", 0 },
    { "${HOME}", 0 },
    { "$$", 0 },
    { "`id`", 0 },
    { "%", 0 },
    { "%h", 0 },
    { "%%", 0 },
    { "=", 0 },
    { ":", 0 },
    { ": ", 0 },
    { " #", 0 },
    { "#", 0 },
    { ";", 0 },
    { "!", 0 },
    { "*", 0 },
    { "~", 0 },
    { "{}", 0 },
    { "[]", 0 },
    { "<>&|()", 0 },
    { "\\n", 0 },
    { "\\x41", 0 },
    { "\t", TAB },
    { "\n", NEWLINE },
    { "\r", CONTROL },
    { "\033", CONTROL },
    { "\177", CONTROL },
    { "\x80", NO_UTF8 },
    { "\xc3", NO_UTF8 },
    { "\xc2\x85", UNFIT },
    { "\xe2\x80\xae", UNFIT },
    { "\xe2\x80\xa8", UNFIT },
    { "\xef\xbb\xbf", 0 },
    { "\xef\xbf\xbe", NO_CHARACTER },
};

enum { VALUES = 40, ROOM = 128 };
struct value {
    char text[ROOM];
    unsigned is;
};

/* Half of them of what every format can say. AFTERFIN_LEDGER takes any path. */
static struct value random_value(unsigned i) {
    struct value value = { "/", 0 };
    for (unsigned n = 1 + (unsigned)random() % 7; n;) {
        size_t p = (size_t)random() % ROWS(pieces);
        if (i % 2 && pieces[p].is)
            continue;
        strcat(value.text, pieces[p].text);
        strcat(value.text, pieces[p].is ? "x" : ""); /* two bytes that no text has alone make a letter together */
        value.is |= pieces[p].is;
        n--;
    }
    strcat(value.text, i % 4 ? "x" : "");
    return value;
}

static void seed(void) {
    const char *given = getenv("SEED");
    unsigned n = given ? (unsigned)atoi(given) : (unsigned)getpid();
    cr_log_info("SEED=%u", n);
    srandom(n);
}

/* What env prints of it; NULL: refused, as it must be where the format `lacks` what is in it, and only there. */
static const char *printed(const char *format, const struct value *value, unsigned lacks) {
    char option[ROOM + 16], choice[32];
    snprintf(option, sizeof option, "ledger=%s", value->text);
    snprintf(choice, sizeof choice, "--format=%s", format);
    struct ended e = command(NULL, "env", choice, "-p", option, NULL);
    bool refused = value->is & lacks;
    cr_expect_eq(e.status, refused, "%s '%s': %d %s", format, value->text, e.status, e.err);
    if (refused) {
        cr_expect_str_empty(e.out);
        cr_expect(strstr(e.err, "AFTERFIN_LEDGER cannot be had with --format="), "%s", e.err);
        cr_expect_eq(strchr(e.err, '\n') + 1, strchr(e.err, 0), "one line: %s", e.err);
        return NULL;
    }
    for (const char *c = e.out; *c; c++)
        cr_expect((unsigned char)*c >= ' ' || *c == '\n' || (*c == '\t' && strcmp(format, "kubernetes") != 0),
                  "%s prints what a terminal obeys: %s", format, e.out);
    return strdup(e.out);
}

static const char *put_file(const char *directory, const char *name, const char *head, const char *text) {
    char *path;
    cr_assert_gt(asprintf(&path, "%s/%s", directory, name), 0);
    FILE *file = fopen(path, "we");
    cr_assert(file && fprintf(file, "%s%s", head, text) >= 0 && fclose(file) == 0);
    return path;
}

Test(env_format, a_shell_reads_back_what_was_given) {
    static const char *const shells[] = { "sh", "bash", "dash", "busybox sh" };
    seed();
    for (unsigned i = 0; i < VALUES; i++) {
        struct value value = random_value(i);
        const char *text = printed("shell", &value, 0);
        for (size_t s = 0; s < ROWS(shells); s++) {
            if (shell("%s -c true", shells[s]).status != 0)
                continue;
            char line[64];
            snprintf(line, sizeof line, "%s -c 'eval \"$0\"; exec printenv AFTERFIN_LEDGER' \"$0\"", shells[s]);
            struct ended e = run_argv("HOME=/", (const char *[]){ "sh", "-c", line, text, NULL });
            cr_assert_gt(strlen(e.out), 0, "%s: %s\n%s", shells[s], text, e.err);
            strchr(e.out, 0)[-1] = 0; /* printenv's newline */
            cr_expect_str_eq(e.out, value.text, "%s: '%s' became '%s' by\n%s", shells[s], value.text, e.out, text);
        }
    }
}

/* Where every shell reads them alike, and only there. */
Test(env_format, plain_says_what_no_shell_or_only_some_would_read_back) {
    seed();
    for (unsigned i = 0; i < VALUES; i++) {
        struct value value = random_value(i);
        const char *text = printed("plain", &value, TAB | NEWLINE | CONTROL | NO_UTF8 | UNFIT);
        if (!text)
            continue;
        struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", "eval \"$0\"; printf %s \"$AFTERFIN_LEDGER\"",
                                                          text, NULL });
        cr_expect_str_eq(e.out, value.text, "'%s' became '%s' by\n%s", value.text, e.out, text);
    }
}

/* Docker: each line up to its end, what stands behind the first `=`. */
Test(env_format, docker_reads_lines_as_they_are) {
    seed();
    for (unsigned i = 0; i < VALUES; i++) {
        struct value value = random_value(i);
        char wanted[ROOM + 32];
        const char *text = printed("docker", &value, TAB | NEWLINE | CONTROL | NO_UTF8 | UNFIT);
        snprintf(wanted, sizeof wanted, "\nAFTERFIN_LEDGER=%s\n", value.text);
        const char *found = text ? strstr(text, wanted) : NULL;
        cr_expect(!text || (found && !found[strlen(wanted)]), "%s", text);
    }
}

/* The manager itself, of a user and for a test, which loads units, starts nothing, and shows what it has understood. */
Test(env_format, systemd_reads_back_what_was_given) {
    static const char systemd[] = "/lib/systemd/systemd";
    static struct value values[VALUES];
    char *wanted;
    if (access(systemd, X_OK) != 0)
        cr_skip_test("no systemd");
    seed();
    const char *directory = new_directory();
    cr_assert_eq(shell("cd %s && mkdir -p systemd/user && chmod 755 .", directory).status, 0);
    char *wants = strdup("");
    for (unsigned i = 0; i < VALUES; i++) {
        char name[64], *more;
        values[i] = random_value(i);
        const char *text = printed("systemd", &values[i], CONTROL | NO_UTF8 | NO_CHARACTER);
        if (!text)
            continue;
        snprintf(name, sizeof name, "systemd/user/v%u.service", i);
        put_file(directory, name, "[Service]\nExecStart=/bin/true\n", text);
        cr_assert_gt(asprintf(&more, "%sWants=v%u.service\n", wants, i), 0);
        wants = more;
    }
    put_file(directory, "systemd/user/all.service", "[Service]\nExecStart=/bin/true\n[Unit]\n", wants);
    struct ended e = shell("cd %s && chown -R 65534 . && export HOME=$PWD XDG_RUNTIME_DIR=$PWD XDG_CONFIG_HOME=$PWD && "
                           "exec %s%s --user --test --unit=all.service",
                           directory, geteuid() ? "" : "setpriv --reuid 65534 --clear-groups ", systemd);
    if (!strstr(e.out, "Unit all.service:"))
        cr_skip_test("systemd --user --test does not work here: %.200s", e.err);
    for (unsigned i = 0; i < VALUES; i++) {
        char unit[32];
        snprintf(unit, sizeof unit, " Unit v%u.service:", i);
        cr_assert_gt(asprintf(&wanted, "\tEnvironment: AFTERFIN_LEDGER=%s\n", values[i].text), 0);
        const char *at = strstr(e.out, unit), *found = at ? strstr(at, wanted) : NULL;
        const char *next = at ? strstr(at + 1, " Unit v") : NULL;
        if (values[i].is & (CONTROL | NO_UTF8 | NO_CHARACTER))
            cr_expect_null(at);
        else
            cr_expect(found && (!next || found < next), "v%u: '%s' is not in\n%.2000s", i, values[i].text, at);
    }
}

/* YAML by python3-yaml; then the kubelet's $(NAME) and $$ (k8s.io/kubernetes/third_party/forked/golang/expansion). */
Test(env_format, kubernetes_reads_back_what_was_given) {
    static const char reader[] = "import sys, yaml, re\n"
                                 "def known(m): return '$' if m.group(0) == '$$' else 'EXPANDED'\n"
                                 "for e in yaml.safe_load(sys.argv[1])['env']:\n"
                                 "    if e['name'] == 'AFTERFIN_LEDGER':\n"
                                 "        text = re.sub(r'\\$\\$|\\$\\([^)]*\\)', known, e['value'])\n"
                                 "        sys.stdout.buffer.write(text.encode())\n";
    const char *python = shell("python3 -c 'import yaml'").status == 0 ? "python3" : "/usr/bin/python3";
    if (shell("%s -c 'import yaml'", python).status != 0)
        cr_skip_test("no python3-yaml");
    seed();
    for (unsigned i = 0; i < VALUES; i++) {
        struct value value = random_value(i);
        const char *text = printed("kubernetes", &value, NO_UTF8);
        if (!text)
            continue;
        struct ended e = run_argv(NULL, (const char *[]){ python, "-c", reader, text, NULL });
        cr_expect_str_eq(e.out, value.text, "'%s' became '%s' by\n%s%s", value.text, e.out, text, e.err);
    }
}

Test(env_format, is_one_of_five) {
    struct ended e = command(NULL, "env", "--format=yaml", NULL);
    cr_expect_eq(e.status, 2);
    cr_expect(strstr(e.err, "--format needs one of plain, shell, docker, systemd, kubernetes, not 'yaml'"), "%s",
              e.err);
    e = command(NULL, "env", "--format", "plain", "-plinger=ack", NULL);
    cr_expect_str_eq(e.out, command(NULL, "env", "-plinger=ack", NULL).out);
    e = command(NULL, "env", "--format=docker", "-p", "rules=connect * linger=ack\nbind :80 reuseaddr=on", NULL);
    cr_expect(strstr(e.out, "\nAFTERFIN_RULES=connect * linger=ack;bind :80 reuseaddr=on\n"), "%s%s", e.out, e.err);
}
