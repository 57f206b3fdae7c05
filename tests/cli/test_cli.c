/* The command's manners: help, version, messages, options, and columns that fit. */
#include "cli/commands.h"
#include "cli/launch/settings.h"
#include "cli/options.h"
#include "cli/output/table.h"
#include "cli/output/text.h"
#include "tests/harness/command.h"

#include <criterion/redirect.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

Test(cli, explains_itself_within_80_columns) {
    static const char *const rows[][2] = { { NULL },
                                           { "-h" },
                                           { "--help" },
                                           { "run", "-h" },
                                           { "run", "--help" },
                                           { "env", "--help" },
                                           { "help" },
                                           { "help", "run" },
                                           { "help", "--help" },
                                           { "help", "help" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, rows[i][0], rows[i][1], NULL);
        cr_expect_eq(e.status, 0, "row %zu", i);
        cr_expect_leq(widest(e.out), 80, "row %zu: %zu", i, widest(e.out));
        cr_expect(strncmp(e.out, "usage: afterfin ", 16) == 0, "row %zu: %s", i, e.out);
        cr_expect_str_empty(e.err);
    }
    const char *help = command(NULL, "--help", NULL).out;
    for (int key = 0; key < AF_KEYS; key++)
        cr_expect(strstr(help, af_keys[key].name), "%s", af_keys[key].name);
    for (size_t i = 0; i < af_n_commands; i++)
        cr_expect(strstr(help, af_commands[i].name), "%s", af_commands[i].name);
}

Test(cli, tells_its_version_everywhere) {
    static const char *const rows[][2] = {
        { "-V" }, { "--version" }, { "run", "-V" }, { "env", "--version" }, { "version" }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, rows[i][0], rows[i][1], NULL);
        cr_expect_eq(e.status, 0);
        cr_expect_str_eq(e.out, "afterfin 0.2.0\n");
    }
}

Test(cli, names_what_it_does_not_know_and_what_was_meant) {
    static const char *const rows[][2] = {
        { "rnu", "unknown subcommand 'rnu', did you mean run?" },
        { "foo", "unknown subcommand 'foo'; try" },
        { "evn", "unknown subcommand 'evn', did you mean env?" },
        { "hlep", "unknown subcommand 'hlep', did you mean help?" },
        { "veriosn", "unknown subcommand 'veriosn', did you mean version?" },
        { "verson", "unknown subcommand 'verson', did you mean version?" },
        { "frobnicate", "unknown subcommand 'frobnicate'; try 'afterfin --help'" },
        { "--halp", "unknown option --halp, did you mean --help?" },
        { "--frobnicate", "unknown option --frobnicate; try" },
        { "-x", "unknown option -x" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, rows[i][0], NULL);
        cr_expect_eq(e.status, 2, "%s: %d", rows[i][0], e.status);
        cr_expect(strstr(e.err, rows[i][1]), "%s: %s", rows[i][0], e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "one line: %s", e.err);
    }
}

Test(cli, tells_of_a_subcommand_when_asked_for_help) {
    for (size_t i = 0; i < af_n_commands; i++) {
        struct ended help = command(NULL, "help", af_commands[i].name, NULL);
        cr_expect_str_eq(help.out, command(NULL, af_commands[i].name, "--help", NULL).out);
        cr_expect_eq(help.status, 0);
    }
    struct ended e = command(NULL, "help", "rnu", NULL);
    cr_expect_eq(e.status, 2);
    cr_expect(strstr(e.err, "unknown subcommand 'rnu', did you mean run?"), "%s", e.err);
}

Test(cli, help_and_version_take_no_more_than_they_can_use) {
    struct ended e = command(NULL, "help", "run", "extra", NULL);
    cr_expect_eq(e.status, 2);
    cr_expect_str_eq(e.err, "afterfin: help takes one subcommand, but got 'extra'; try 'afterfin --help'\n");
    e = command(NULL, "version", "x", NULL);
    cr_expect_eq(e.status, 2);
    cr_expect_str_eq(e.err, "afterfin: version takes no operand, but got 'x'; try 'afterfin --help'\n");
}

Test(cli, says_that_it_cannot_write) {
    struct ended e = run_argv(NULL,
                              (const char *[]){ "sh", "-c", "exec \"$0\" --help >/dev/full", command_path(), NULL });
    cr_assert_eq(e.status, 1);
    cr_assert(strstr(e.err, "cannot write to stdout: No space left on device"), "%s", e.err);
}

Test(cli, breaks_its_lines_between_words_on_a_terminal_and_nowhere_else) {
    static const char *const policy = "rules=connect * linger=ack; connect * lnger=ack";
    int terminal;
    waitpid(command_on_terminal(&terminal, 50, NULL, "env", "-p", policy, NULL), NULL, 0);
    char *told = strdup(terminal_read(terminal, NULL));
    cr_expect_leq(widest(told), 50, "%s", told);
    char *to = told;
    for (const char *c = told; *c; c++)
        if (*c != '\r')
            *to++ = *c == '\n' && c[1] ? ' ' : *c;
    *to = 0;
    const char *line = command(NULL, "env", "-p", policy, NULL).err;
    cr_expect_str_eq(told, line);
    cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1, "%s", line);
    close(terminal);
}

Test(cli, says_that_an_option_after_an_operand_comes_too_late) {
    static const struct {
        const char *arguments[4], *says;
        int status;
    } rows[] = {
        { { "report", "LOG", "--json" }, "report: options come first: --json before LOG; try", 2 },
        { { "report", "LOG", "--json=x" }, "report: options come first: --json=x before LOG; try", 2 },
        { { "report", "LOG", "-d" }, "report: options come first: -d before LOG; try", 2 },
        { { "doctor", "true", "--json" }, "doctor: options come first: --json before true; try", 2 },
        { { "report", "--", "LOG", "--json" }, "--json: No such file or directory", 1 },
        { { "report", "/dev/null", "--no-such" }, "--no-such: No such file or directory", 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *a = rows[i].arguments;
        struct ended e = command(NULL, a[0], a[1], a[2], a[3], NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
    }
    struct ended e = command(NULL, "set", "--pid", "1", "linger=ack", "--tree", NULL);
    cr_expect(e.status == 2 && strstr(e.err, "set: options come first: --tree before linger=ack"), "%s", e.err);
}

Test(cli, reads_options_up_to_the_first_operand, .init = cr_redirect_stderr) {
    static const struct af_option_row rows[] = {
        { 'p', NULL, AF_TAKES_VALUE, "K=V", "" },     { 'q', NULL, AF_TAKES_NOTHING, NULL, "" },
        { 'f', "force", AF_TAKES_NOTHING, NULL, "" }, { AF_NO_LETTER, "json", AF_MAY_TAKE, "FILE", "" },
        { 'o', "pid", AF_TAKES_ONE, "N", "" },        { 'd', "dir", AF_TAKES_VALUE, "DIR", "" },
        { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
    };
    static const struct {
        char *argv[6];
        const char *read; /* ids, J for --json, with values; then @ and the number of the first operand */
    } tests[] = {
        { { "x", "a", "-q" }, "@1" },
        { { "x", "-q", "a" }, "q@2" },
        { { "x", "-qf", "a" }, "qf@2" },
        { { "x", "-pk=v", "-p", "l=w", "a" }, "p(k=v)p(l=w)@4" },
        { { "x", "-qpk", "a" }, "qp(k)@2" },
        { { "x", "-p", "-q", "a" }, "p(-q)@3" },
        { { "x", "--json", "a" }, "J@2" },
        { { "x", "--json=f", "a" }, "J(f)@2" },
        { { "x", "--dir", "d", "--dir=e", "a" }, "d(d)d(e)@4" },
        { { "x", "--json", "--json=f", "a" }, "J!" },
        { { "x", "--pid", "1", "--pid=2" }, "o(1)!" },
        { { "x", "-q", "--force", "-fq", "a" }, "qffq@4" },
        { { "x", "--force", "--", "-q" }, "f@3" },
        { { "x", "-", "-q" }, "@1" },
        { { "x", "--js" }, "!" },
        { { "x", "--dir" }, "!" },
        { { "x", "-qx" }, "q!" },
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        struct af_options o = { .command = "env", .rows = rows, .argv = (char **)tests[i].argv, .next = 1 };
        char read[128] = "";
        int id;
        while (tests[i].argv[o.argc])
            o.argc++;
        while ((id = af_next_option(&o)) > 0) {
            char one[64];
            snprintf(one, sizeof one, o.value ? "%c(%s)" : "%c", id == AF_NO_LETTER ? 'J' : id, o.value);
            strcat(read, one);
        }
        snprintf(read + strlen(read), 8, id < 0 ? "!" : "@%d", o.next);
        cr_expect_str_eq(read, tests[i].read, "row %zu: %s", i, read);
    }
}

/* ---- columns ------------------------------------------------------------------------------------------------ */

Test(cli, cuts_a_text_at_any_width_and_shows_what_cannot_be_printed) {
    static const struct {
        const char *text;
        size_t width;
        const char *shown;
    } rows[] = {
        { "curl", 8, "curl" },
        { "curl", 4, "curl" },
        { "curl", 3, "cu\u2026" },
        { "curl", 1, "\u2026" },
        { "curl", 0, "" },
        { "na\u00efve", 5, "na\u00efve" },
        { "\u65e5\u672c\u8a9e", 6, "\u65e5\u672c\u8a9e" },
        { "\u65e5\u672c\u8a9e", 4, "\u65e5\u2026" },
        { "a\033[1m", 8, "a\\x1b[1m" },
        { "a\nb", 8, "a\\x0ab" },
        { "\xff", 8, "\\xff" },
        { "a\nbcdef", 6, "a\\x0a\u2026" },
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[64];
        size_t used = af_fit(rows[i].text, rows[i].width, out);
        cr_expect_str_eq(out, rows[i].shown, "row %zu: %s", i, out);
        cr_expect_eq(used, widest(out), "row %zu", i);
    }
}

Test(cli, tells_well_formed_UTF8_from_other_bytes) {
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        { "a", 1 },        { "\xc3\xa9", 2 },     { "\xe2\x82\xac", 3 }, { "\xf0\x9f\x98\x80", 4 },
        { "\xc0\x80", 0 }, { "\xe0\x80\x80", 0 }, { "\xed\xa0\x80", 0 }, { "\xf4\x90\x80\x80", 0 },
        { "\x80", 0 },     { "\xc3", 0 },         { "\xe2\x82", 0 },     { "\xff", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(af_utf8_length(rows[i].bytes, strlen(rows[i].bytes), NULL), rows[i].length, "row %zu", i);
}

Test(cli, prints_no_table_wider_than_asked_for) {
    static const struct af_column columns[] = {
        { "NAME", .text = true, .rank = 0 },      { "ALWAYS", .rank = 0 },    { "FIRST_OUT", .rank = 9 },
        { "EMPTY", .optional = true, .rank = 1 }, { "LATER_OUT", .rank = 2 },
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t width = 16; width < 100; width++) {
        struct af_table table = { .columns = columns, .n_columns = 5 };
        char *text = NULL;
        size_t size;
        FILE *memory = open_memstream(&text, &size);
        for (int i = 0; i < 3; i++) {
            static const char *const cells[] = { "a-program-with-a-long-name", "123456", "7", "0", "99" };
            char **row = af_table_row(&table);
            for (int c = 0; c < 5; c++)
                row[c] = strdup(cells[c]);
        }
        af_table_note(&table, strdup("errors: connect:EADDRNOTAVAIL=12 bind:EADDRINUSE=4 connect:ECONNREFUSED=9"));
        af_table_print(&table, memory, width, false);
        fclose(memory);
        cr_expect_leq(widest(text), width, "%zu: %zu\n%s", width, widest(text), text);
        cr_expect(strstr(text, "ALWAYS"));
        cr_expect_not(strstr(text, "EMPTY"));
        cr_expect(width < 60 || strstr(text, "a-program-with-a-long-name"), "%zu", width);
        cr_expect_eq(strstr(text, "FIRST_OUT") != NULL, width >= 8 + 7 + 10 + 10, "%zu\n%s", width, text);
        cr_expect_eq(strstr(text, "LATER_OUT") != NULL, width >= 8 + 7 + 10, "%zu\n%s", width, text);
        af_table_free(&table);
        free(text);
    }
}

/* ---- the table of run ------------------------------------------------------------------------------------- */

static const char *renamed(const char *victim, const char *name) {
    char *path;
    const char *directory = scratch_path();
    cr_assert_gt(asprintf(&path, "%s/%s", directory, name), 0);
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", "mkdir \"$0\" && cp \"$1\" \"$2\"", directory,
                                                      victim_path(victim), path, NULL });
    cr_assert_eq(e.status, 0, "%s", e.err);
    return path;
}

#define LONG_NAME "a-very-long-name-of-a-program-\u65e5\u672c\u8a9e-that-no-column-can-hold"

Test(cli, keeps_runs_table_within_80_columns_off_a_terminal) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    const char *script = "\"$0\" 127.0.0.1 $1 -n 3; \"$2\" 127.0.0.1 $1 100; \"$0\" 127.0.0.1 9; "
                         "AFTERFIN_LINGER=ack-always \"$0\" 127.0.0.1 $1; true";
    struct ended e = command("LC_ALL=C.UTF-8", "run", "sh", "-c", script, renamed("connect_close", LONG_NAME), port,
                             victim_path("exec_close"), NULL);
    cr_assert_leq(widest(e.err), 80, "%zu\n%s", widest(e.err), e.err);
    static const char *const there[] = { "a-very-lo",
                                         "\u2026",
                                         "exec_clo",
                                         "total",
                                         "TIME_WAIT",
                                         "CONFIRMED",
                                         "errors: connect:ECONNREFUSED=1",
                                         "kernel: 0 TIME_WAIT before, 4 now, 4" };
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        cr_expect(strstr(e.err, there[i]), "%s\n%s", there[i], e.err);
    cr_expect_not(strchr(e.err, '\033'), "no colour");
    cr_expect_not(strstr(e.err, " sh "), "a process without sockets has no row:\n%s", e.err);
    json_t *json = run_json(NULL, 0, "sh", "-c", script, renamed("connect_close", LONG_NAME), port,
                            victim_path("exec_close"), NULL);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.program")), LONG_NAME, "JSON cuts nothing");
}

Test(cli, fits_runs_table_to_the_terminal_and_colours_it_unless_told_not_to) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    static const unsigned short widths[] = { 132, 80, 60, 40, 30 };
    for (int i = 0; i < 10; i++) {
        int terminal, status;
        unsigned short width = widths[i / 2];
        pid_t pid = command_on_terminal(&terminal, width, i % 2 ? "LC_ALL=C.UTF-8|NO_COLOR=1" : "LC_ALL=C.UTF-8", "run",
                                        "sh", "-c", "\"$0\" \"$@\" >/dev/null", victim_path("connect_close"),
                                        "127.0.0.1", port, "-n", "5", NULL);
        char *text = strdup(terminal_read(terminal, NULL));
        waitpid(pid, &status, 0);
        close(terminal);
        cr_expect_eq(strchr(text, '\033') != NULL, i % 2 == 0, "%s", text);
        cr_expect(strstr(text, "TIME_WAIT"), "%s", text);
        cr_expect_leq(widest(text), width, "%u: %zu\n%s", width, widest(text), text);
    }
}

Test(cli, says_why_there_is_no_table) {
    cr_expect(strstr(command(NULL, "run", "true", NULL).err, "afterfin: no process reported a TCP socket\n"));
    struct ended e = command(NULL, "run", "-p", "skip=true", "true", NULL);
    cr_expect(strstr(e.err, "true is left alone by only or skip"), "%s", e.err);
    cr_expect_str_empty(command(NULL, "run", "-q", "true", NULL).err);
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    e = command(NULL, "run", "env", "-i", victim_path("connect_close"), "127.0.0.1", port, "-n", "5", NULL);
    cr_expect(strstr(e.err, "no process reported a TCP socket\nnote: the kernel has 5 TIME_WAIT more than before"),
              "%s", e.err);
}

/* What is large does not lie there. */
Test(cli, needs_little_of_a_stack) {
    static const char *const rows[] = { "run -- true", "env",    "doctor /bin/true", "doctor --pid $$",
                                        "who",         "report", "top --once" };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char script[128];
        snprintf(script, sizeof script, "ulimit -s 64; \"$0\" %s", rows[i]);
        struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", script, command_path(), NULL });
        cr_expect_lt(e.status, 128, "%s: %d %s", rows[i], e.status, e.err);
    }
}
