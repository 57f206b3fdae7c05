/* Whatever comes from outside is made fit before a terminal or a reader of JSON gets it: each place that a name can come
 * from, through each subcommand. What is fit is told here anew, by the numbers. */
#include "cli/output/json.h"
#include "cli/output/text.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <locale.h>
#include <sys/stat.h>

/* ESC, DEL, U+009B as a character and as a byte, a right-to-left override, an isolate, a mark, a line separator. */
#define UNFIT \
    "n\033[2J\177\xc2\x9b" \
    "m\x9b" \
    "x\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f\xe2\x80\xa8"

static bool is_unfit(uint32_t c) {
    static const uint32_t spans[][2] = { { 0, 8 },           { 0xb, 0x1f },      { 0x7f, 0x9f },    { 0x61c, 0x61c },
                                         { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 } };
    for (size_t i = 0; i < ROWS(spans); i++)
        if (c >= spans[i][0] && c <= spans[i][1])
            return true;
    return false;
}

/* Where in a text the first character or byte is that should not be there; NULL: nowhere. */
static const char *unfit_in(const char *text) {
    mbstate_t state = { 0 };
    for (size_t left = strlen(text), n; left; text += n, left -= n) {
        wchar_t c;
        n = mbrtowc(&c, text, left, &state);
        if (n > 4 || is_unfit((uint32_t)c))
            return text;
    }
    return NULL;
}

static const char *unfit_in_json(const json_t *json) {
    const char *key, *found = NULL;
    json_t *value;
    size_t i;
    if (json_is_string(json))
        return unfit_in(json_string_value(json));
    json_array_foreach(json, i, value)
        found = found ? found : unfit_in_json(value);
    json_object_foreach((json_t *)json, key, value) {
        found = found ? found : unfit_in(key);
        found = found ? found : unfit_in_json(value);
    }
    return found;
}

static void expect_fit(const char *what, const struct ended *e) {
    json_t *json = json_loads(e->out, 0, NULL);
    const char *at = unfit_in(e->out);
    cr_expect_null(at, "%s: stdout, at byte %zd: %02x of %s", what, at - e->out, at ? (unsigned char)*at : 0, e->out);
    at = unfit_in(e->err);
    cr_expect_null(at, "%s: stderr, at byte %zd: %02x", what, at - e->err, at ? (unsigned char)*at : 0);
    cr_expect_null(json ? unfit_in_json(json) : NULL, "%s: JSON: %s", what, e->out);
    json_decref(json);
}

Test(text, what_is_fit_is_told_by_the_numbers) {
    for (uint32_t c = 0; c < 0x3000; c++)
        cr_expect_eq(af_is_fit(c), !is_unfit(c) && c != '\n' && c != '\t', "U+%04X", c);
}

Test(text, what_is_not_fit_is_escaped_alike_for_terminals_and_machines) {
    static const struct {
        const char *text, *shown, *utf8;
    } rows[] = {
        { "curl", "curl", "curl" },
        { "na\u00efve \u65e5", "na\u00efve \u65e5", "na\u00efve \u65e5" },
        { "a\033b\177", "a\\x1bb\\x7f", "a\\x1bb\\x7f" },
        { "a\n\tb", "a\\x0a\\x09b", "a\n\tb" },
        { "\xc2\x9bz", "\\xc2\\x9bz", "\\xc2\\x9bz" },
        { "\x9bz\xff", "\\x9bz\\xff", "\\x9bz\\xff" },
        { "\xe2\x80\xaeTXT", "\\xe2\\x80\\xaeTXT", "\\xe2\\x80\\xaeTXT" },
        { "\xe2\x81\xa9\xd8\x9c", "\\xe2\\x81\\xa9\\xd8\\x9c", "\\xe2\\x81\\xa9\\xd8\\x9c" },
        { "half \xe2\x82", "half \\xe2\\x82", "half \\xe2\\x82" },
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < ROWS(rows); i++) {
        char shown[64], again[64], *utf8 = af_utf8_text(rows[i].text, strlen(rows[i].text), NULL);
        af_show(rows[i].text, shown, sizeof shown - 1);
        cr_expect_str_eq(shown, rows[i].shown, "row %zu", i);
        af_show(shown, again, sizeof again - 1);
        cr_expect_str_eq(again, shown, "row %zu: what is fit stays", i);
        cr_expect_str_eq(utf8, rows[i].utf8, "row %zu", i);
        char *twice = af_utf8_text(utf8, strlen(utf8), NULL);
        cr_expect_str_eq(twice, utf8, "row %zu: what is fit stays", i);
        free(twice);
        free(utf8);
    }
}

/* What was put into a document past af_json_text: jansson escapes what is below U+0020, and who reads it has it back. */
Test(text, a_document_is_fit_whatever_was_put_into_it) {
    json_t *all = json_pack("{s:s, s:[s, s], s:s}", "k\033\b", "\033[2J\f\r", "list", "\\u001b \n\t\"",
                            "\xc2\x9b\u202e\177", "\u200f", "\u65e5");
    char *text = af_json_dump(all, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *again = json_loads(text, 0, NULL);
    cr_assert(again, "%s", text);
    setlocale(LC_CTYPE, "C.UTF-8");
    cr_expect_null(unfit_in_json(again), "%s", text);
    cr_expect_null(unfit_in(text), "%s", text);
    cr_expect_str_eq(json_string_value(json_object_get(again, "k\\x1b\\x08")), "\\x1b[2J\\x0c\\x0d");
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(again, "list"), 0)), "\\u001b \n\t\"");
}

/* ---- each place, each subcommand ------------------------------------------------------------------------------- */

static const char *program; /* a program of that name, and its directory */
static const char *home;
static const char *ledgers; /* what it has left */
static const char *port;
static const char *log_file; /* names of programs, keys of errors and endpoints, and lines that are none */

static void write_log(void) {
    static const char counts[] = "\"elapsed_s\":1,\"sockets\":1,\"binds\":0,\"bind_errors\":0,\"connects\":1,"
                                 "\"connect_errors\":0,\"accepts\":0,\"established\":1,\"time_wait\":1,\"avoided\":0,"
                                 "\"passive\":0,\"aborted\":0,\"passed\":0,\"open\":0";
    FILE *file = fopen(log_file, "we");
    cr_assert(file);
    fprintf(file,
            "{\"version\":1,\"event\":\"exit\",\"time\":\"2026-11-23T10:00:00.000Z\",\"pid\":7,\"ppid\":1,"
            "\"program\":\"j\\u001b\\u009b\\u202e\",%s,\"errors\":{\"connect:E\\u001b\":1,\"connect:E\\u007f\":1},"
            "\"time_wait_to\":{\"\\u001b[2J\\u009b:80\":1},\"policy\":{}}\n",
            counts);
    fprintf(
        file,
        "afterfin version=1 event=exit time=2026-11-23T10:00:00.000Z pid=8 ppid=1 program=\"%s\\x1b\\n\" elapsed_s=1 "
        "sockets=1 binds=0 bind_errors=0 connects=1 connect_errors=0 accepts=0 established=1 time_wait=1 avoided=0 "
        "passive=0 aborted=0 passed=0 open=0 errors=\"connect:" UNFIT "=1\" time_wait_to=\"" UNFIT ":80=1\" "
        "policy=\"linger=off\"\n",
        UNFIT);
    fputs(UNFIT "\n{\"version\":\"" UNFIT "\"}\nafterfin version=1 " UNFIT "=" UNFIT "\n", file);
    fclose(file);
}

static void prepare(void) {
    char *name;
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    home = new_directory();
    ledgers = new_directory();
    port = number(peer.port);
    cr_assert_gt(asprintf(&name, "%s/" UNFIT ".log", home), 0);
    log_file = name;
    cr_assert_gt(asprintf(&name, "%s/" UNFIT, home), 0);
    program = name;
    cr_assert_eq(shell("cp %s '%s'", victim_path("connect_close"), program).status, 0);
    leave(ledger_in(ledgers), 0, (const char *[]){ program, "127.0.0.1", port, "-n", "3", NULL });
    ns_settle();
    cr_assert_eq(shell("touch '%s/" UNFIT ".ledger'; echo '#!/" UNFIT "' > '%s.sh'; chmod +x '%s.sh'", ledgers, program,
                       program)
                     .status,
                 0);
    write_log();
}

/* In turn in a locale that can show them and in one that cannot. */
#define BOTH(...) \
    do { \
        struct ended ended = command("LC_ALL=C.UTF-8", __VA_ARGS__, NULL); \
        expect_fit(#__VA_ARGS__, &ended); \
        ended = command("LC_ALL=C|" UNFIT "=1", __VA_ARGS__, NULL); \
        expect_fit("C: " #__VA_ARGS__, &ended); \
    } while (0)

static const char *script(void) {
    char *path;
    cr_assert_gt(asprintf(&path, "%s.sh", program), 0);
    return path;
}

Test(text, what_ledgers_and_logs_say_is_made_fit) {
    setlocale(LC_CTYPE, "C.UTF-8");
    ns_enter();
    prepare();
    struct ended e = command("LC_ALL=C.UTF-8", "who", "-d", ledgers, NULL);
    cr_assert(strstr(e.out, "\\x1b[2J"), "it is there to be shown: %s %s", e.out, e.err);
    BOTH("who", "-d", ledgers);
    BOTH("who", "-d", ledgers, "--json");
    BOTH("top", "-d", ledgers, "--once");
    BOTH("top", "-d", ledgers, "--once", "--json");
    BOTH("report", "-d", ledgers);
    BOTH("report", "-d", ledgers, "--json");
    BOTH("report", "-d", ledgers, "--prometheus");
    BOTH("report", log_file);
    BOTH("report", "--json", log_file);
    BOTH("report", "--prometheus", log_file);
    e = command(NULL, "report", "--json", log_file, NULL);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "totals.errors.connect:E\\x1b"), 1, "%s", e.out);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "totals.errors.connect:E\\x7f"), 1, "two keys: %s", e.out);
    BOTH("run", program, "127.0.0.1", port);
    BOTH("run", "-q", "--json", program, "127.0.0.1", port, UNFIT);
    BOTH("compare", "-a", "linger=off", "-b", "linger=ack", "-r", "1", "--", program, "127.0.0.1", port);
    BOTH("compare", "-a", "linger=off", "-b", "linger=ack", "-r", "1", "--json", "--", program, "127.0.0.1", port);
    BOTH("doctor", program);
    BOTH("doctor", "--json", program);
    BOTH("reap", "-d", ledgers, "--pid", "1", "--dry-run");
}

Test(text, what_a_command_line_says_is_made_fit) {
    setlocale(LC_CTYPE, "C.UTF-8");
    ns_enter();
    prepare();
    BOTH(UNFIT);
    BOTH("--" UNFIT);
    BOTH("-\033");
    BOTH("who", "--pid", UNFIT);
    BOTH("who", "--peer", UNFIT);
    BOTH("who", UNFIT);
    BOTH("who", "-d", UNFIT);
    BOTH("top", "--sort", UNFIT);
    BOTH("report", UNFIT);
    BOTH("report", "-d", ledgers, "--prometheus=/" UNFIT "/x");
    BOTH("report", "-d", ledgers, "--json=/" UNFIT "/x");
    BOTH("reap", "--peer", UNFIT);
    BOTH("reap", "--above", UNFIT, "--all");
    BOTH("run", UNFIT);
    BOTH("run", script());
    BOTH("run", "-p", UNFIT "=1", "true");
    BOTH("run", "-p", "linger=" UNFIT, "true");
    BOTH("run", "-p", "rules=connect " UNFIT " linger=ack", "true");
    BOTH("run", "-p", "ledger=/" UNFIT, "true");
    BOTH("doctor", script());
    BOTH("doctor", "--json", script());
    BOTH("doctor", UNFIT);
    BOTH("doctor", "--pid", UNFIT);
    BOTH("compare", "-a", UNFIT, "-b", "linger=ack", "true");
    BOTH("compare", "-a", "linger=off", "-b", "log=/" UNFIT, "-r", "1", "true");
    BOTH("env", "-p", "log=/" UNFIT);
    BOTH("env", "-p", "log=/\033'\\");
    static const char read_back[] =
        "eval \"$(build/afterfin env --format=shell -p \"log=$1\" | grep LOG)\"; [ \"$AFTERFIN_LOG\" = \"$1\" ]";
    struct ended e = run_argv(NULL, (const char *[]){ "bash", "-c", read_back, "-", "/\033'\\\xff", NULL });
    cr_expect(e.status == 0 || e.status == 127, "bash reads what env escapes: %s", e.err);
}
