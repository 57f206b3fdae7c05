/* What is written down is so: the documents against the code's own lists, the commands in them against the command,
 * the settings in them against the parser, what the library exports against its list. */
#include "cli/version.h"
#include "policy/policy.h"
#include "tests/harness/shell.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

static const int sections[] = { 1, 5, 7 };

static const char *document(const char *path) {
    const char *text = file_text(path);

    cr_assert(text && *text, "%s: make builds the pages, and all is read from the root of the sources", path);
    return text;
}

static const char *manual(int section) {
    char path[64];

    snprintf(path, sizeof path, "build/man/afterfin.%d", section);
    return document(path);
}

/* A page's source as it is read: no escapes, and what .EX and .EE enclose fenced as in Markdown. */
static char *unescaped(const char *page) {
    static const char *const rows[][2] = { { "\\-", "-" }, { "\\e", "\\" }, { "\\(aq", "'" }, { "\\&", "" } };
    char *text = calloc(1, 2 * strlen(page) + 1), *to = text;

    while (*page) {
        size_t row = 0;
        while (row < ROWS(rows) && strncmp(page, rows[row][0], strlen(rows[row][0])) != 0)
            row++;
        bool fence = (to == text || to[-1] == '\n') &&
                     (strncmp(page, ".EX\n", 4) == 0 || strncmp(page, ".EE\n", 4) == 0);
        if (fence || row < ROWS(rows)) {
            to = stpcpy(to, fence ? "```" : rows[row][1]);
            page += fence ? 3 : strlen(rows[row][0]);
        } else {
            *to++ = *page++;
        }
    }
    return text;
}

static void each_line_of(char *text, bool code, void (*visit)(char *line)) {
    char *rest = NULL;
    bool inside = false;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "```", 3) == 0)
            inside = !inside;
        else if (inside || !code)
            visit(line);
    free(text);
}

/* Calls visit for every line of the documents, or for those of their code blocks. */
static void each_line(bool code, void (*visit)(char *line)) {
    each_line_of(strdup(document("README.md")), code, visit);
    each_line_of(strdup(document("CONTRIBUTING.md")), code, visit);
    for (size_t i = 0; i < ROWS(sections); i++)
        each_line_of(unescaped(manual(sections[i])), code, visit);
}

/* ---- lists ------------------------------------------------------------------------------------------ */

/* Of a marker that the generator does not know it says nothing. */
Test(docs, every_list_that_a_page_asks_for_is_in_it) {
    static const struct {
        const char *page, *list;
        int lines;
    } rows[] = { { "1", "@commands@", 8 },       { "5", "@counters@", 13 },   { "7", "@keys@", AF_KEYS },
                 { "7", "@ways@", AF_KEYS - 1 }, { "bash", "@commands@", 1 }, { "bash", "@keys@", AF_KEYS } };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = shell("sed -n '/%s/,/@end@/p' build/man/afterfin.%s | wc -l", rows[i].list, rows[i].page);
        cr_expect_geq(atoi(e.out) - 2, rows[i].lines, "afterfin.%s, %s: %s lines", rows[i].page, rows[i].list, e.out);
    }
    struct ended e = shell("cat man/*.in | grep -o '@[a-z]*@' | grep -v -e @end@ -e @version@");
    size_t asked = 0;
    for (const char *c = e.out; *c; c++)
        asked += *c == '\n';
    cr_expect_eq(asked, ROWS(rows), "not in the rows above: one of %s", e.out);
}

/* "connect, listen": what the code says of a key's roles, said here once more. */
static const char *roles_of(const struct af_key_info *key) {
    static const char *const names[] = { "",       "bind",         "connect",         "bind, connect",
                                         "listen", "bind, listen", "connect, listen", "bind, connect, listen" };

    return names[!!(key->roles & AF_IN_BIND) + 2 * !!(key->roles & AF_IN_CONNECT) + 4 * !!(key->roles & AF_IN_LISTEN)];
}

/* The generator is not trusted with its own check. */
Test(docs, the_manual_has_every_variable_with_its_values_help_default_and_roles) {
    struct ended page = shell("mandoc -Tascii -Owidth=1000 build/man/afterfin.7 | sed 's/.\\x08//g'");

    if (page.status != 0 || !*page.out)
        cr_skip_test("no mandoc to read the manual page with");
    for (int key = 0; key < AF_KEYS; key++) {
        const struct af_key_info *k = &af_keys[key];
        char row[1024], fallback[128] = "", roles[128] = "", seen[1024];
        snprintf(row, sizeof row, "%s = %s\n", k->variable, k->values);
        const char *at = strstr(page.out, row);
        cr_expect(at, "afterfin(7): %s", row);
        if (!at)
            continue;
        if (*k->fallback)
            snprintf(fallback, sizeof fallback, "  Default: %s.", k->fallback);
        if (k->roles)
            snprintf(roles, sizeof roles, "  In rules: %s.", roles_of(k));
        snprintf(row, sizeof row, "%s.%s%s", k->help, fallback, roles);
        at += strcspn(at, "\n") + 1;
        at += strspn(at, " ");
        snprintf(seen, sizeof seen, "%.*s", (int)strcspn(at, "\n"), at);
        cr_expect_str_eq(seen, row, "%s: '%s', not '%s'", k->variable, seen, row);
    }
}

Test(docs, the_manual_has_every_count) {
    static const char *const names[] = {
#define COUNTER(name, help) #name "\0" help,
#define DERIVED COUNTER
#include "ledger/counters.def"
    };

    for (size_t i = 0; i < ROWS(names); i++) {
        char row[512];
        snprintf(row, sizeof row, ".B %s\n%s.", names[i], names[i] + strlen(names[i]) + 1);
        cr_expect(strstr(manual(5), row), "afterfin(5): %s", row);
    }
}

Test(docs, the_manual_has_every_option_that_help_tells) {
    static const char *const commands[] = {
#define COMMAND(name, status, synopsis, text) #name,
#include "cli/commands.def"
#undef COMMAND
    };
    const char *page = strstr(manual(1), ".SH OPTIONS"); /* the synopsis comes from the code */

    cr_assert(page);
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
    for (size_t i = 0; i < ROWS(sections); i++) {
        int section = sections[i];
        e = shell("mandoc -Tlint build/man/afterfin.%d", section);
        cr_expect_str_empty(e.out, "%s", e.out);
        cr_expect_eq(e.status, 0);
        e = shell("mandoc -Tascii -Owidth=78 build/man/afterfin.%d | sed 's/.\\x08//g' | grep -E '.{81}'", section);
        cr_expect_str_empty(e.out, "wider than a terminal: %s", e.out);
        e = shell("command -v groff >/dev/null && groff -man -Tutf8 -rLL=78n build/man/afterfin.%d | grep -n '\u2010$'",
                  section);
        cr_expect_str_empty(e.out, "names that are cut cannot be searched for: %s", e.out);
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

/* Wherever it was built: 2.17 is RHEL 7's. Of what it imports each name is in musl, too; dlvsym need not be there. */
Test(docs, the_library_needs_nothing_that_glibc_2_17_or_musl_lacks) {
    struct ended names =
                     shell("nm -D --undefined-only build/libafterfin.so | awk '{ sub(/@.*/, \"\", $2); print $2 }' | "
                           "grep -vxE 'dl_iterate_phdr|dlv?sym|__errno_location'"),
                 needed = shell("readelf -d build/libafterfin.so | grep -o 'NEEDED.*\\[.*'");
    struct ended e =
        shell("nm -D --undefined-only build/libafterfin.so | sed -n 's/.*@GLIBC_//p' | sort -V | tail -n 1");
    int minor = -1;

    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_expect(sscanf(e.out, "2.%d", &minor) == 1 && minor <= 17, "it needs %s%s", e.out, e.err);
    cr_expect_str_empty(names.out, "%s", names.out);
    cr_expect(strstr(needed.out, "[libc.so.6]\n") && !strstr(strchr(needed.out, '\n') + 1, "NEEDED"), "%s", needed.out);
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

static bool has_word(const char *text, const char *end, const char *word) {
    size_t len = strlen(word);

    for (const char *at = text; (at = strstr(at, word)) && at < end; at += len)
        if (!isalnum(at[-1]) && at[-1] != '_' && !isalnum(at[len]) && at[len] != '_')
            return true;
    return false;
}

/* Every way into the kernel that libc has for these calls is intercepted, or the manual says that it is not. */
Test(docs, the_manual_names_what_is_not_intercepted) {
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
    const char *all = exports(), *limits = strstr(manual(7), "\n.SH LIMITS\n");

    cr_assert(limits);
    const char *end = strstr(limits + 1, "\n.SH ");
    for (size_t i = 0; i < ROWS(ways); i++)
        cr_expect(has_line(all, ways[i]) || has_word(limits, end, ways[i]), "%s", ways[i]);
}

/* ---- what the documents tell one to type ---------------------------------------------------------------- */

static unsigned seen;

/* The words after `afterfin` or `make` in a line, as far as they are the command's own. */
static void check_command(char *line) {
    char *rest = NULL, *copy = strdup(line), *word = strtok_r(copy, " \t", &rest), *comment = strchr(line, '#');

    if (comment)
        copy[comment - line] = 0;
    if (word && (strcmp(word, "$") == 0 || strcmp(word, "sudo") == 0))
        word = strtok_r(NULL, " \t", &rest);
    while (word && isupper(*word) && strchr(word, '=')) /* variables of its environment */
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
            if (strchr("pabd", word[1])) /* these take a value; of others the rest is not looked at */
                strtok_r(NULL, " \t", &rest);
        }
        seen++;
    } else if (word && strcmp(program, "make") == 0) {
        const char *targets = shell("make -s help | awk '{ print $1 }'").out;
        for (bool quotes = false; !quotes && (word = strtok_r(NULL, " \t", &rest)); quotes = strchr(word, '\''))
            cr_expect(strchr(word, '=') || has_line(targets, word), "%s: no target %s", line, word);
        seen++;
    }
    free(copy);
}

Test(docs, every_command_line_in_the_documents_is_one_that_exists) {
    each_line(true, check_command);
    cr_expect_gt(seen, 30);
}

/* NAME=VALUE up to where a shell, a Dockerfile or Markdown ends it. */
static void check_setting(const char *name, const char *value) {
    uint64_t room[512];
    struct af_policy policy;
    struct af_error error;
    char setting[512];
    bool quoted = *value == '\'';
    char end = quoted ? '\'' : name[-1] == '\'' || name[-1] == '"' || name[-1] == '`' ? name[-1] : ' ';
    const char *is = value;

    value += quoted;
    size_t len = strcspn(value, (char[]){ end, '`', end == ' ' ? '"' : '`', 0 });
    if (end == ' ' && len && value[len - 1] == '.') /* of the sentence */
        len--;
    if (len == 0)
        return;
    snprintf(setting, sizeof setting, "AFTERFIN_%.*s%.*s", (int)(is - name), name, (int)len, value);
    for (char *c = setting + 9; *c != '='; c++)
        *c = (char)toupper(*c);
    cr_expect(af_policy_parse(&policy, (const char *const[]){ setting, NULL },
                              &(struct af_input){ .room = room, .size = sizeof room }, &error),
              "%s", error.text);
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
        if (at[len] == '=' && islower(*at)) /* KEY=VALUE is a placeholder */
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

Test(docs, every_setting_in_the_documents_is_one_that_the_parser_takes) {
    each_line(false, check_settings);
    cr_expect_gt(seen, 30);
}

Test(docs, make_alone_builds) {
    struct ended goal = shell("make -pnq 2>/dev/null | sed -n 's/^.DEFAULT_GOAL :\\{0,1\\}= //p'");
    cr_expect_str_eq(goal.out, "all\n");
}

Test(docs, make_help_lists_every_target) {
    struct ended phony = shell("sed -n 's/^.PHONY: //p' Makefile man/rules.mk tests/debian/rules.mk | tr ' ' '\\n'");
    const char *help = shell("make -s help | awk '{ print $1 }'").out;
    char *rest = NULL, *list = strdup(phony.out);

    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
        cr_expect(has_line(help, name), "%s", name);
}

/* ---- what the documents lead to --------------------------------------------------------------------------- */

static const char *linking;

/* Links of Markdown to files of ours: ](path), ](path#heading). */
static void check_links(char *line) {
    for (char *at = line; (at = strstr(at, "](")); at++) {
        char path[256];
        snprintf(path, sizeof path, "%.*s", (int)strcspn(at + 2, "#)"), at + 2);
        if (*path && !strstr(path, "://")) {
            cr_expect(access(path, R_OK) == 0, "%s links to %s", linking, path);
            seen++;
        }
    }
}

Test(docs, every_link_leads_to_a_file) {
    static const char *const pages[] = { "README.md", "CONTRIBUTING.md", "CHANGELOG.md" };

    for (size_t i = 0; i < ROWS(pages); i++) {
        linking = pages[i];
        each_line_of(strdup(document(pages[i])), false, check_links);
    }
    cr_expect_gt(seen, 10);
}

Test(docs, the_changelog_tells_of_this_version_first) {
    const char *first = strstr(document("CHANGELOG.md"), "\n## ");

    cr_assert(first);
    first += strlen("\n## ");
    cr_expect(strncmp(first, AF_VERSION, strlen(AF_VERSION)) == 0 && !isdigit(first[strlen(AF_VERSION)]), "%.40s",
              first);
    const char *debian = document("debian/changelog") + strlen("afterfin (");
    cr_expect(strncmp(debian, AF_VERSION ")", strlen(AF_VERSION ")")) == 0, "debian/changelog: %.40s", debian);
}
