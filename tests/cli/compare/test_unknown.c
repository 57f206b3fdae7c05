/* What compare says where counts are missing: a count that nobody has made is no 0. */
#include "tests/harness/command.h"

#include <stdlib.h>
#include <unistd.h>

static char *text(const char *how, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *how, ...) {
    va_list args;
    char *made;
    va_start(args, how);
    cr_assert_gt(vasprintf(&made, how, args), 0);
    va_end(args);
    return made;
}

/* On one line each, as they are on a wide terminal. */
static const char *unwrapped(char *out) {
    for (char *c = out; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    return out;
}

static struct ended compare(const char *json, const char *const cmd[], unsigned port) {
    const char *argv[32] = { command_path(), "compare", "-r", "3", "-a", "linger=off", "-b", "linger=ack-always" };
    int n = 8;
    argv[n++] = text("--json=%s", json);
    argv[n++] = "--";
    for (int i = 0; cmd[i]; i++)
        argv[n++] = cmd[i];
    argv[n++] = "127.0.0.1";
    argv[n++] = text("%u", port);
    argv[n++] = "-n";
    argv[n++] = "4";
    return run_argv(NULL, argv);
}

static bool is_null(const json_t *json, const char *metric) {
    const json_t *one, *all = json_object_get(json, "differences");
    bool null = json_is_null(json_find(json, text("a.%s", metric))) &&
                json_is_null(json_find(json, text("b.%s", metric)));
    size_t i;
    json_array_foreach(all, i, one)
        if (strcmp(json_string_value(json_object_get(one, "metric")), metric) == 0)
            cr_expect_eq(json_is_null(json_object_get(one, "p")), null, "%s", metric);
    return null;
}

Test(compare_unknown, compares_only_what_is_known_and_says_what_is_not) {
    const char *plain = victim_path("connect_close"), *outside = victim_path("static/connect_close");
    const struct {
        const char *name, *cmd[6], *says;
        bool connects, time_wait, established; /* known */
        long reported;
        bool without_ledger;
    } rows[] = {
        { "known", { plain }, NULL, true, true, true, 4, false },
        { "static",
          { outside },
          "note: static programs were reached from outside in 6 of 6 runs",
          true,
          true,
          false,
          4,
          false },
        { "no room for ledgers",
          { "sh", "-c", "ulimit -f 0; exec \"$@\"", "sh", plain },
          "note: 6 processes in 6 of 6 runs could not keep a ledger (",
          false,
          false,
          false,
          0,
          true },
        { "not reached",
          { "env", "-i", plain },
          "note: no process reported a TCP socket in any run",
          true,
          true,
          true,
          0,
          false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = scratch_path(), *name = rows[i].name;
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = compare(path, rows[i].cmd, peer.port);
        cr_assert_eq(e.status, 0, "%s: %d %s", name, e.status, e.err);
        const char *out = unwrapped(strdup(e.out));
        json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(json, "%s: %s", name, e.err);
        cr_expect(rows[i].says ? strstr(out, rows[i].says) != NULL
                               : !strstr(out, "not compared") && !strstr(out, "no process"),
                  "%s: %s", name, out);
        cr_expect_eq(is_null(json, "connects"), !rows[i].connects, "%s: connects", name);
        cr_expect_eq(is_null(json, "time_wait"), !rows[i].time_wait, "%s: time_wait", name);
        cr_expect_eq(is_null(json, "established"), !rows[i].established, "%s: established", name);
        cr_expect_eq(is_null(json, "connects_again"), !rows[i].established, "%s: connects_again", name);
        cr_expect_eq(is_null(json, "ports"), false, "%s: ports", name);
        cr_expect_eq(json_is_null(json_find(json, "rounds.0.a.established")), !rows[i].established, "%s", name);
        if (rows[i].connects)
            cr_expect_eq(json_number(json, "b.connects.median"), rows[i].reported, "%s", name);
        cr_expect_eq(json_find(json, "without_ledger") != NULL, rows[i].without_ledger, "%s", name);
        const char *verdict = strstr(out, "One value in every run");
        if (!rows[i].established)
            cr_expect(!verdict || (!strstr(verdict, "established") && !strstr(verdict, "connects again")), "%s: %s",
                      name, verdict);
        cr_expect(strstr(out, "RANGE"), "%s: 3 rounds have no interval of 95 %%: %s", name, out);
        peer_stop(&peer);
        json_decref(json);
        unlink(path);
    }
}
