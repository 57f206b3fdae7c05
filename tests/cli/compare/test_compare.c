/* compare as it is asked for, and what it says: options, table, JSON, plot. */
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <sys/stat.h>
#include <unistd.h>

/* `afterfin compare ARGUMENTS -- CMD`, the arguments split at blanks. */
static struct ended compare(const char *arguments, const char *cmd) {
    const char *argv[64] = { command_path(), "compare" };
    char *rest = NULL;
    int n = 2;
    for (char *word = strtok_r(strdup(arguments), " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    argv[n++] = "--";
    if (cmd) {
        argv[n++] = "/bin/sh";
        argv[n++] = "-c";
        argv[n++] = cmd;
    }
    return run_argv(NULL, argv);
}

Test(compare, says_what_is_wrong_before_anything_runs) {
    static const struct {
        const char *arguments, *cmd, *says;
    } rows[] = {
        { "", "true", "what is to be compared? -a KEY=VALUE is one side, -b KEY=VALUE the other" },
        { "-a linger=ack", NULL, "which CMD?" },
        { "-a linger", "true", "-a linger: expected KEY=VALUE" },
        { "-b lingre=ack", "true", "-b lingre=ack: no policy key has this name, did you mean linger?" },
        { "-b linger=maybe", "true", "afterfin: -b linger=\"maybe\": expected" },
        { "-b linger=ack -r 0", "true", "-r needs a number from 1 to 10000, not '0'" },
        { "-b linger=ack -r 1x", "true", "-r needs a number from 1 to 10000, not '1x'" },
        { "-b linger=ack -r -3", "true", "-r needs a number from 1 to 10000, not '-3'" },
        { "-b linger=ack -r 99999999999999999999", "true", "-r needs a number" },
        { "-b linger=ack --warmup no", "true", "--warmup needs a number from 0 to 10000, not 'no'" },
        { "-b linger=ack --settle=never", "true", "--settle needs wait or reap, not 'never'" },
        { "-b linger=ack --settle=wait --netns", "true", "excludes --netns" },
        { "-b linger=ack --setle=wait", "true", "unknown option --setle, did you mean --settle?" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = compare(rows[i].arguments, rows[i].cmd);
        cr_expect_eq(e.status, 125, "%s: %d", rows[i].arguments, e.status);
        cr_expect(strstr(e.err, rows[i].says), "%s: %s", rows[i].arguments, e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "one line: %s", e.err);
        cr_expect_str_empty(e.out, "%s", rows[i].arguments);
    }
}

Test(compare, does_not_start_what_it_cannot_reach_or_draw) {
    const char *ran = scratch_path();
    char touch[256], plot[300];
    snprintf(touch, sizeof touch, "echo > %s", ran);
    snprintf(plot, sizeof plot, "%s.svg", ran);
    struct ended e = command("PATH=/nowhere", "compare", "-b", "linger=ack", "--plot", plot, "/bin/sh", "-c", touch,
                             NULL);
    cr_expect_eq(e.status, 125, "%d", e.status);
    cr_expect(strstr(e.err, "--plot needs gnuplot, which is not in PATH"), "%s", e.err);
    const char *ledgers = scratch_path();
    char setting[300];
    cr_assert_eq(mkdir(ledgers, 0700), 0);
    snprintf(setting, sizeof setting, "AFTERFIN_LEDGER=%s", ledgers);
    e = command(setting, "compare", "-b", "linger=ack", "/no/such/program", NULL);
    cr_expect_eq(entries(ledgers, ""), 0, "its directory stays");
    cr_expect_eq(e.status, 127, "%d: %s", e.status, e.err);
    cr_expect(strstr(e.err, "compare: /no/such/program: No such file or directory"), "%s", e.err);
    cr_expect(access(ran, F_OK) != 0, "CMD was started");
}

/* DESIGN's `compare --json`, name by name. */
Test(compare, json_has_every_field_of_the_contract) {
    static const char *const top[] = { "version", "command", "runs", "a", "b", "differences", "rounds", NULL };
    static const char *const metrics[] = { "elapsed_s",      "connects",       "connects_again", "failed_calls",
                                           "established",    "time_wait",      "avoided",        "connect_p50_us",
                                           "connect_p99_us", "connect_max_us", "ports",          NULL };
    static const char *const sides[] = { "a", "b" }, *const numbers[] = { "median", "min", "max" };
    static const char *const difference[] = { "metric", "ratio", "low", "high", "differs", "p", "plain" };
    ns_enter();
    struct ended e = compare("-a linger=ack,keepalive=60 -r 2", "true");
    cr_expect_eq(e.status, 125, "a value with a comma is no value: %s", e.err);
    e = compare("-a linger=ack -a keepalive=60 -r 2 --json", "true");
    json_t *json = json_loads(e.out, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(json, "%s%s", e.out, e.err);
    for (size_t i = 0; top[i]; i++)
        cr_expect(json_object_get(json, top[i]), "no %s", top[i]);
    cr_expect_eq(json_number(json, "version"), 1);
    cr_expect_eq(json_number(json, "runs"), 2);
    for (size_t m = 0; metrics[m]; m++) {
        char path[64];
        for (size_t k = 0; k < 6; k++) {
            snprintf(path, sizeof path, "%s.%s.%s", sides[k / 3], metrics[m], numbers[k % 3]);
            cr_expect(json_is_number(json_find(json, path)), "%s", path);
        }
        for (size_t k = 0; k < 7; k++) {
            snprintf(path, sizeof path, "differences.%zu.%s", m, difference[k]);
            cr_expect(json_find(json, path), "%s", path);
        }
        snprintf(path, sizeof path, "differences.%zu.metric", m);
        cr_expect_str_eq(json_string_value(json_find(json, path)), metrics[m]);
    }
    cr_expect_eq(json_object_size(json_find(json, "differences.0")), 7);
    cr_expect_eq(json_array_size(json_find(json, "differences")), 11);
    cr_expect_str_eq(json_string_value(json_find(json, "a.policy.linger")), "ack");
    cr_expect_str_eq(json_string_value(json_find(json, "a.policy.keepalive")), "60");
    cr_expect_eq(json_object_size(json_find(json, "b.policy")), 0);
    cr_expect_eq(json_number(json, "b.exit_status.0"), 2);
}

/* Runs are where the order put them, each at a place of its own, and of 10 rounds 5 of each side are in each half. */
Test(compare, makes_its_runs_in_random_order) {
    enum { ROUNDS = 10 };
    char orders[3][2 * ROUNDS + 1];
    ns_enter();
    for (int t = 0; t < 3; t++) {
        struct ended e = compare("-a linger=off -r 10 --json", "true");
        json_t *json = json_loads(e.out, 0, NULL);
        cr_assert(json, "%s%s", e.out, e.err);
        memset(orders[t], '.', 2 * ROUNDS);
        orders[t][2 * ROUNDS] = 0;
        for (int i = 0; i < 2 * ROUNDS; i++) {
            char path[32];
            snprintf(path, sizeof path, "rounds.%d.%c.run", i / 2, "ab"[i % 2]);
            const long run = json_number(json, path);
            cr_assert(run >= 1 && run <= 2 * ROUNDS && orders[t][run - 1] == '.', "%s is %ld", path, run);
            orders[t][run - 1] = "ab"[i % 2];
        }
        unsigned of_b = 0;
        for (int i = 0; i < ROUNDS; i++)
            of_b += orders[t][i] == 'b';
        cr_expect_eq(of_b, ROUNDS / 2, "%s", orders[t]);
    }
    cr_expect(strcmp(orders[0], orders[1]) != 0 || strcmp(orders[0], orders[2]) != 0, "%s three times", orders[0]);
}

Test(compare, tells_how_many_rounds_a_claim_takes) {
    ns_enter();
    struct ended e = compare("-a linger=off -b linger=ack -r 1", "true");
    cr_expect_str_eq(e.err, "afterfin: compare: 1 round; what is plain takes up to 6, 10 % in 5 % noise 12\n");
    cr_expect(strstr(e.out, "1 round: too few to tell anything from noise where 1 thing varies; -r 4 could."), "%s",
              e.out);
    cr_expect(strstr(e.out, "A: linger=off\nB: linger=ack\nmedians of 1 round\n"), "%s", e.out);
}

/* Symbols in a picture of so many rounds. */
static unsigned points_of(const char *cmd, unsigned rounds) {
    char arguments[400];
    const char *plot = scratch_path();
    unsigned points = 0;
    snprintf(arguments, sizeof arguments, "-a linger=off -b linger=ack-always -r %u --plot %s", rounds, plot);
    struct ended e = compare(arguments, cmd);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "gnuplot: %s", e.err);
    const char *svg = file_text(plot);
    cr_assert(svg && strstr(svg, "</svg>"), "%s", e.err);
    char words[32];
    snprintf(words, sizeof words, "%u rounds", rounds);
    const char *const says[] = { "/bin/sh -c ",
                                 cmd,
                                 "A: linger=off",
                                 "B: linger=ack-always",
                                 words,
                                 "wall time, s",
                                 "time inside connect, us",
                                 "TIME_WAITs left",
                                 "ports in use",
                                 strcmp(cmd, "true") == 0 ? "elapsed (s)" : "time_wait 1 to 0, avoided 0 to 1" };
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        cr_expect(strstr(svg, says[i]) || (rounds == 2 && i == sizeof says / sizeof *says - 1), "no '%s'", says[i]);
    for (const char *at = svg; (at = strstr(at, "<use xlink:href='#gpPt")); at++)
        points++;
    return points;
}

/* Where the text that begins so stands in a picture: the height of its line. */
static double height_of(const char *svg, const char *text) {
    const char *at = strstr(svg, text);
    cr_assert(at, "no '%s'", text);
    while (at > svg && strncmp(at, "translate(", 10) != 0)
        at--;
    return atof(strchr(at, ',') + 1);
}

Test(compare, keeps_the_words_of_its_picture_apart) {
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        cr_skip_test("no gnuplot to draw with");
    ns_enter();
    const char *plot = scratch_path();
    struct ended e = command(NULL, "compare", "-a", "linger=off", "-a",
                             "rules=connect 10.0.0.0/8:443 linger=ack; connect 10.0.0.0/8:80 linger=ack; "
                             "connect 10.1.0.0/16:5432 keepalive=60",
                             "-b", "linger=ack", "-r", "1", "--plot", plot, "--", "/bin/sh", "-c",
                             "true 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
                             "0123456789 0123456789 0123456789",
                             NULL);
    const char *svg = file_text(plot);
    cr_assert(e.status == 0 && svg, "%s", e.err);
    const double side = height_of(svg, ">B: linger=ack<"), title = height_of(svg, ">TIME_WAITs left<");
    cr_expect_geq(title - side, 12 + 6, "%.1f below %.1f: it is 12 high, and does not touch", title, side);
    cr_expect_leq(strcspn(strstr(svg, ">A: ") + 1, "<"), 98, "the number of rounds stands beside it");
    cr_expect_leq(strcspn(strstr(svg, ">/bin/sh -c") + 1, "<"), 100, "wider than the picture");
}

/* A round is a point of wall time, three of latency, one of TIME_WAITs and one of ports, for A and for B; without
 * connects there are none of latency. */
Test(compare, draws_every_round) {
    char *cmd;
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        cr_skip_test("no gnuplot to draw with");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_assert_gt(asprintf(&cmd, "%s 127.0.0.1 %u", victim_path("connect_close"), peer.port), 0);
    cr_expect_eq(points_of(cmd, 5) - points_of(cmd, 2), 3 * 2 * 6);
    cr_expect_eq(points_of("true", 5) - points_of("true", 2), 3 * 2 * 3);
    struct ended e = compare("-a linger=off -r 1 --plot /no/such/directory/x.svg", "true");
    cr_expect_eq(e.status, 125);
    cr_expect(strstr(e.err, "cannot write the picture to /no/such/directory/x.svg: No such file or directory"), "%s",
              e.err);
}

/* A disk without room for the picture: the old one stays. */
Test(compare, says_that_a_picture_is_not_written) {
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        cr_skip_test("no gnuplot to draw with");
    own_default();
    ns_enter();
    cr_assert_eq(shell("mount -t tmpfs -o size=8k none /run/afterfin && echo old >/run/afterfin/x.svg").status, 0);
    struct ended e = compare("-a linger=off -r 2 --plot /run/afterfin/x.svg", "true");
    cr_expect_eq(e.status, 125);
    cr_expect(strstr(e.err, "cannot draw /run/afterfin/x.svg: No space left on device"), "%s", e.err);
    cr_expect_str_eq(file_text("/run/afterfin/x.svg"), "old\n");
}

/* What cannot be written is said before CMD starts. */
Test(compare, looks_at_its_files_first) {
    static const char *const options[] = { "--json=/no/such/directory/x", "--plot /no/such/directory/x" };
    for (size_t i = 0; i < 2; i++) {
        const char *ran = scratch_path();
        char *line, *cmd;
        if (i && access("/usr/bin/gnuplot", X_OK) != 0)
            break;
        unlink(ran);
        ns_enter();
        cr_assert_gt(asprintf(&line, "-a linger=off -r 1 %s", options[i]), 0);
        cr_assert_gt(asprintf(&cmd, "touch %s", ran), 0);
        struct ended e = compare(line, cmd);
        cr_expect_eq(e.status, 125, "%s", options[i]);
        cr_expect(strstr(e.err, "/no/such/directory/x: No such file or directory"), "%s: %s", options[i], e.err);
        cr_expect(access(ran, F_OK) != 0, "%s: CMD ran", options[i]);
    }
}

/* On a terminal there is a progress line, and at the end it is gone; the first run knows of no time that is left. */
Test(compare, shows_where_it_is_on_a_terminal) {
    int terminal;
    ns_enter();
    command_on_terminal(&terminal, 80, NULL, "compare", "-a", "linger=off", "-r", "2", "--warmup", "1", "true", NULL);
    const char *seen = terminal_read(terminal, NULL);
    static const char *const shown[] = { "\r\033[Kwarm-up 1 of 2, A\r",
                                         "\r\033[Kwarm-up 2 of 2, B; about ",
                                         " s left\r\033[K",
                                         "\r\033[Krun 1 of 4, ",
                                         "\r\033[Krun 4 of 4, ",
                                         "\r\033[KA: linger=off" };
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        cr_expect(strstr(seen, shown[i]), "no '%s': %s", shown[i], seen);
}
