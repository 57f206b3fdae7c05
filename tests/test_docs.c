/* What is written down is so: README and man pages against the code's own lists, README's commands against the
 * command, the settings in it against the parser, what the library exports against its list. */
#include "policy/policy.h"
#include "tests/harness/shell.h"

#include <ctype.h>
#include <stdlib.h>

static const char *readme(void) {
    const char *text = file_text("README.md");

    cr_assert(text, "README.md is read from the root of the sources");
    return text;
}

/* Calls visit for every line of the README, or for those of its code blocks. */
static void each_line(bool code, void (*visit)(char *line)) {
    char *text = strdup(readme()), *rest = NULL;
    bool inside = false;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "```", 3) == 0)
            inside = !inside;
        else if (inside || !code)
            visit(line);
    free(text);
}

/* ---- lists ------------------------------------------------------------------------------------------ */

Test(docs, the_lists_in_the_readme_are_those_of_the_code) {
    struct ended e = shell("build/list markdown <README.md");
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_expect_str_eq(e.out, readme(), "`make readme` writes them anew");
}

/* One line of the README names all that a row has: the generator is not trusted with its own check. */
Test(docs, the_readme_and_the_manual_have_every_variable_with_its_values_and_help) {
    struct ended page = shell("mandoc -Tascii -Owidth=1000 build/man/afterfin.7 | sed 's/.\\x08//g'");

    if (page.status != 0 || !*page.out)
        cr_skip_test("no mandoc to read the manual page with");
    for (int key = 0; key < AF_KEYS; key++) {
        const struct af_key_info *k = &af_keys[key];
        char row[1024];
        snprintf(row, sizeof row, "| `%s` | %s | %s | %s |", k->variable, k->fallback, k->values, k->help);
        cr_expect(strstr(readme(), row), "README: %s", row);
        snprintf(row, sizeof row, "%s = %s\n", k->variable, k->values);
        cr_expect(strstr(page.out, row), "afterfin(7): %s", row);
        cr_expect(strstr(page.out, k->help), "afterfin(7): %s", k->help);
    }
}

Test(docs, the_readme_and_the_manual_have_every_count) {
    static const char *const names[] = {
#define COUNTER(name, help) #name "\0" help,
#define DERIVED COUNTER
#include "ledger/counters.def"
    };
    const char *page = file_text("build/man/afterfin.7");

    cr_assert(page, "make builds it");
    for (size_t i = 0; i < ROWS(names); i++) {
        char row[512];
        snprintf(row, sizeof row, "| `%s` | %s |", names[i], names[i] + strlen(names[i]) + 1);
        cr_expect(strstr(readme(), row), "README: %s", row);
        snprintf(row, sizeof row, ".B %s\n%s.", names[i], names[i] + strlen(names[i]) + 1);
        cr_expect(strstr(page, row), "afterfin(7): %s", row);
    }
}

Test(docs, the_manual_has_every_option_that_help_tells) {
    static const char *const commands[] = {
#define COMMAND(name, status, synopsis, text) #name,
#include "cli/commands.def"
#undef COMMAND
    };
    const char *page = file_text("build/man/afterfin.1");

    page = page ? strstr(page, ".SH OPTIONS") : NULL; /* the synopsis comes from the code */
    cr_assert(page, "make builds it");
    for (size_t i = 0; i < ROWS(commands); i++) {
        struct ended help = shell("build/afterfin %s --help | grep '^ *-' | grep -o -E -e ' --?[a-zA-Z][a-zA-Z-]*' | "
                                  "sed 's/^ //; s/-/\\\\-/g'",
                                  commands[i]);
        char *rest = NULL, *list = strdup(help.out);
        cr_assert(*list, "%s has options", commands[i]);
        for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
            cr_expect(strstr(page, name), "%s %s", commands[i], name);
    }
}

Test(docs, the_manual_pages_are_clean) {
    struct ended e = shell("command -v mandoc");
    if (e.status != 0)
        cr_skip_test("no mandoc");
    for (int section = 1; section <= 7; section += 6) {
        e = shell("mandoc -Tlint build/man/afterfin.%d", section);
        cr_expect_str_empty(e.out, "%s", e.out);
        cr_expect_eq(e.status, 0);
        e = shell("mandoc -Tascii -Owidth=78 build/man/afterfin.%d | sed 's/.\\x08//g' | grep -E '.{81}'", section);
        cr_expect_str_empty(e.out, "wider than a terminal: %s", e.out);
        e = shell("command -v groff >/dev/null && groff -ww -man -Tascii build/man/afterfin.%d 2>&1 >/dev/null",
                  section);
        cr_expect_str_empty(e.out, "%s", e.out);
    }
}

/* ---- what the library exports ------------------------------------------------------------------------- */

static const char *const intercepted[] = {
#define CALL(result, name, parameters, arguments) #name,
#define ALIAS(result, name, target, parameters, arguments) #name,
#define VARIADIC(result, name, parameters) #name,
#define ALSO(name, target) #name,
#include "shim/calls.def"
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
};

/* Every symbol that the library defines for others, one a line, its version cut off; "A" are version names. */
static const char *exports(void) {
    struct ended e = shell("nm -D --defined-only build/libafterfin.so | awk '$2 != \"A\" { print $3 }' | "
                           "sed 's/@.*//' | sort -u");
    cr_assert(e.status == 0 && *e.out, "%s", e.err);
    return e.out;
}

static bool has_line(const char *lines, const char *line) {
    size_t len = strlen(line);

    for (const char *at = lines; (at = strstr(at, line)); at += len)
        if ((at == lines || at[-1] == '\n') && at[len] == '\n')
            return true;
    return false;
}

Test(docs, the_library_exports_the_calls_of_its_list_and_nothing_else) {
    const char *all = exports();
    char *rest = NULL, *list = strdup(all);

    for (size_t i = 0; i < ROWS(intercepted); i++)
        cr_expect(has_line(all, intercepted[i]), "%s is not exported", intercepted[i]);
    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        bool known = false;
        for (size_t i = 0; i < ROWS(intercepted); i++)
            known |= strcmp(name, intercepted[i]) == 0;
        cr_expect(known, "%s is exported and not in the list", name);
    }
}

/* Every way into the kernel that libc has for these calls is intercepted, or the README says that it is not. */
Test(docs, the_readme_names_what_is_not_intercepted) {
    static const char *const ways[] = {
        "socket",       "connect",     "bind",    "listen",       "accept",      "accept4",    "shutdown",
        "setsockopt",   "getsockname", "close",   "close_range",  "closefrom",   "dup",        "dup2",
        "dup3",         "fcntl",       "fcntl64", "fclose",       "fork",        "vfork",      "posix_spawn",
        "posix_spawnp", "prctl",       "execve",  "execv",        "execvp",      "execvpe",    "execl",
        "execle",       "execlp",      "fexecve", "execveat",     "_exit",       "_Exit",      "freopen",
        "freopen64",    "fcloseall",   "daemon",  "bindresvport", "pidfd_getfd", "__close",    "__connect",
        "__dup2",       "__fcntl",     "__fork",  "__vfork",      "_Fork",       "_IO_fclose", "clone",
        "__clone",      "syscall",     "sendto",  "sendmsg",      "sendmmsg",    "recvmsg",    "recvmmsg",
        "system",       "popen",       "forkpty", "rcmd",         "rexec",       "rresvport",  "io_uring",
        "dlsym",
    };
    const char *all = exports(), *text = readme();

    for (size_t i = 0; i < ROWS(ways); i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "`%s`", ways[i]);
        cr_expect(has_line(all, ways[i]) || strstr(text, quoted), "%s", ways[i]);
    }
}

/* ---- what the README tells one to type ------------------------------------------------------------------ */

static unsigned seen;

/* The words after `afterfin` or `make` in a line, as far as they are the command's own. */
static void check_command(char *line) {
    char *rest = NULL, *copy = strdup(line), *word = strtok_r(copy, " \t", &rest), *comment = strchr(line, '#');

    if (comment)
        copy[comment - line] = 0;
    if (word && (strcmp(word, "$") == 0 || strcmp(word, "sudo") == 0))
        word = strtok_r(NULL, " \t", &rest);
    char *program = word ? strrchr(word, '/') : NULL;
    program = program ? program + 1 : word;
    if (word && strcmp(program, "afterfin") == 0 && (word = strtok_r(NULL, " \t", &rest)) && !strchr(word, '=')) {
        struct ended help = shell("build/afterfin %s --help", word);
        cr_expect(help.status == 0, "%s: %s", line, help.err);
        while ((word = strtok_r(NULL, " \t", &rest)) && *word == '-' && word[1] && strcmp(word, "--") != 0) {
            char option[64];
            snprintf(option, sizeof option, " %.*s", (int)strcspn(word, "="), word);
            cr_expect(strstr(help.out, option), "%s: no option%s", line, option);
            if (strcmp(word, "-p") == 0)
                strtok_r(NULL, " \t", &rest);
        }
        seen++;
    } else if (word && strcmp(program, "make") == 0) {
        const char *targets = shell("make -s help | awk '{ print $1 }'").out;
        while ((word = strtok_r(NULL, " \t", &rest)))
            cr_expect(strchr(word, '=') || has_line(targets, word), "%s: no target %s", line, word);
        seen++;
    }
    free(copy);
}

Test(docs, every_command_line_in_the_readme_is_one_that_exists) {
    each_line(true, check_command);
    cr_expect_gt(seen, 5);
}

/* NAME=VALUE up to where a shell, a Dockerfile or Markdown ends it. */
static void check_setting(const char *name, const char *value) {
    struct af_rule rules[8];
    struct af_policy policy;
    struct af_error error;
    char setting[512];
    char end = name[-1] == '\'' || name[-1] == '"' || name[-1] == '`' ? name[-1] : ' ';

    size_t len = strcspn(value, (char[]){ end, '`', end == ' ' ? '"' : '`', 0 });
    if (len == 0)
        return;
    snprintf(setting, sizeof setting, "AFTERFIN_%.*s%.*s", (int)(value - name), name, (int)len, value);
    for (char *c = setting + 9; *c != '='; c++)
        *c = (char)toupper(*c);
    cr_expect(af_policy_parse(&policy, (const char *const[]){ setting, NULL }, rules, ROWS(rules), &error), "%s",
              error.text);
    seen++;
}

static void check_variables(char *line) {
    static const char prefix[] = "AFTERFIN_";

    for (char *at = line; (at = strstr(at, prefix)); at++) {
        size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        bool known = len == strlen(prefix); /* the prefix itself is spoken of */
        for (int key = 0; key < AF_KEYS; key++)
            known |= strlen(af_keys[key].variable) == len && strncmp(at, af_keys[key].variable, len) == 0;
        cr_expect(known, "no such variable: %s", at);
        if (at[len] == '=')
            check_setting(at + strlen(prefix), at + len + 1);
    }
}

static void check_options(char *line) {
    for (char *at = line; (at = strstr(at, "-p "));) {
        at += strlen("-p ");
        at += *at == '\'';
        size_t len = strcspn(at, "= ");
        if (at[len] == '=')
            check_setting(at, at + len + 1);
    }
}

/* `key=value` in a table; values in capitals are placeholders, and what holds a blank is a rule. */
static void check_table(char *line) {
    for (char *at = line; *line == '|' && (at = strchr(at, '`')); at++) {
        size_t len = strcspn(++at, "=` ");
        if (at[len] == '=' && islower(*at) && !isupper(at[len + 1]))
            check_setting(at, at + len + 1);
        at += strcspn(at, "`");
    }
}

static void check_settings(char *line) {
    check_variables(line);
    check_options(line);
    check_table(line);
}

Test(docs, every_setting_in_the_readme_is_one_that_the_parser_takes) {
    each_line(false, check_settings);
    cr_expect_gt(seen, 10);
}

Test(docs, make_help_lists_every_target) {
    struct ended phony = shell("sed -n 's/^.PHONY: //p' Makefile man/rules.mk | tr ' ' '\\n'");
    const char *help = shell("make -s help | awk '{ print $1 }'").out;
    char *rest = NULL, *list = strdup(phony.out);

    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
        cr_expect(has_line(help, name), "%s", name);
}
