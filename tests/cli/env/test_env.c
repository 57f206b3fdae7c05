/* afterfin env: what a shell makes of its lines is what run would have set. */
#include "cli/launch/preload.h"
#include "tests/harness/command.h"

#include <unistd.h>

Test(env, prints_what_run_would_set_a_line_each) {
    char wanted[512];
    const char *quote = strchr(preload_path(), '$') ? "'" : "";
    struct ended e = command("AFTERFIN_KEEPALIVE=9|AFTERFIN_LEDGER=on|AFTERFIN_LOG=", "env", "-p", "linger=ack",
                             "-pbind_no_port=on", NULL);
    snprintf(wanted, sizeof wanted,
             "LD_PRELOAD=%s%s%s\nAFTERFIN_BIND_NO_PORT=on\nAFTERFIN_LINGER=ack\n"
             "AFTERFIN_KEEPALIVE=9\nAFTERFIN_LEDGER=on\n",
             quote, preload_path(), quote);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert_str_eq(e.out, wanted);
    cr_assert_str_empty(e.err);
}

/* But for the library's path, of which the README says when it is another one. */
Test(env, prints_what_the_readme_shows) {
    const char *readme = file_text("README.md");
    char *shown = strdup(strstr(readme, "$ afterfin env -p linger=ack -p log=stderr\n"));
    *strstr(shown, "```") = 0;
    struct ended e = command(NULL, "env", "-p", "linger=ack", "-p", "log=stderr", NULL);
    shown = strchr(shown, '\n') + 1;
    cr_expect_eq(strncmp(shown, "LD_PRELOAD=", 11), 0, "%s", shown);
    cr_expect_eq(strncmp(e.out, "LD_PRELOAD=", 11), 0, "%s", e.out);
    cr_expect_str_eq(strchr(e.out, '\n'), strchr(shown, '\n'));
    cr_expect(strstr(readme, "one path for both, with a `$PLATFORM`"));
}

/* The shell is the judge: `eval` the lines, print the variables, NUL between. */
Test(env, quotes_so_that_a_shell_reads_back_what_was_given) {
    static const struct {
        const char *key, *variable, *value, *wanted; /* wanted NULL: the value */
    } rows[] = {
        { "linger", "AFTERFIN_LINGER", "ack", NULL },
        { "rules", "AFTERFIN_RULES", "connect * linger=ack; bind :8080 reuseaddr=on", NULL },
        { "rules", "AFTERFIN_RULES", "connect * linger=ack\nbind :80 reuseaddr=on",
          "connect * linger=ack;bind :80 reuseaddr=on" },
        { "log", "AFTERFIN_LOG", "/tmp/it's $HOME `id` \\ \"x\" *", NULL },
        { "only", "AFTERFIN_ONLY", "a b,c&d", NULL },
        { "ledger", "AFTERFIN_LEDGER", "/tmp/'", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char option[256];
        snprintf(option, sizeof option, "%s=%s", rows[i].key, rows[i].value);
        struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c",
                                                          "set -a; eval \"$(\"$0\" env -p \"$1\")\"; "
                                                          "printenv \"$2\"; printenv LD_PRELOAD",
                                                          command_path(), option, rows[i].variable, NULL });
        char wanted[512];
        snprintf(wanted, sizeof wanted, "%s\n%s\n", rows[i].wanted ? rows[i].wanted : rows[i].value, preload_path());
        cr_expect_str_eq(e.out, wanted, "row %zu: %s%s", i, e.out, e.err);
        e = command(NULL, "env", "-p", option, NULL);
        size_t lines = 0;
        for (const char *c = e.out; *c; c++)
            lines += *c == '\n';
        cr_expect_eq(lines, 2, "row %zu: a line each: %s", i, e.out);
    }
}

Test(env, refuses_what_run_refuses_with_status_2) {
    static const struct {
        const char *environment, *arguments[2], *says;
    } rows[] = {
        { NULL, { "-p", "linger=foo" }, "-p linger=\"foo\": expected" },
        { NULL, { "-p", "AFTERFIN_LINGER=foo" }, "-p linger=\"foo\": expected" },
        { NULL, { "-p", "lingr=ack" }, "did you mean linger?" },
        { "AFTERFIN_KEEPALIVE=x", { NULL }, "AFTERFIN_KEEPALIVE" },
        { NULL, { "true" }, "takes no operand" },
        { NULL, { "-q" }, "unknown option -q" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(rows[i].environment, "env", rows[i].arguments[0], rows[i].arguments[1], NULL);
        cr_expect_eq(e.status, 2, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect_str_empty(e.out);
    }
}

Test(env, puts_the_library_in_front_of_other_preloads_and_never_twice) {
    static const char *const rows[][2] = {
        { NULL, "/l/libafterfin.so" },
        { "", "/l/libafterfin.so" },
        { "a.so", "/l/libafterfin.so:a.so" },
        { "a.so b.so", "/l/libafterfin.so:a.so:b.so" },
        { " :a.so::b.so: ", "/l/libafterfin.so:a.so:b.so" },
        { "a.so:/l/libafterfin.so b.so", "a.so:/l/libafterfin.so b.so" },
        { "/other/libafterfin.so:a.so", "/l/libafterfin.so:a.so" },
        { "libafterfin.so", "/l/libafterfin.so" },
        { "/l/notlibafterfin.so", "/l/libafterfin.so:/l/notlibafterfin.so" },
        { "/l/libafterfin.so.1", "/l/libafterfin.so:/l/libafterfin.so.1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(af_preload_value("/l/libafterfin.so", rows[i][0]), rows[i][1], "%s", rows[i][0]);
}

/* A program started with just these variables is under the library. */
Test(env, prints_all_that_a_program_needs) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c",
                                                      "set -a; eval \"$(\"$0\" env -p linger=ack-always)\"; "
                                                      "exec \"$1\" 127.0.0.1 $2 -n 20",
                                                      command_path(), victim_path("connect_close"), port, NULL });
    cr_assert_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 20);
    cr_assert_eq(ns_tw(), 0);
}
