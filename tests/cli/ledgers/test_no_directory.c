/* Where the default ledger directory is not there and cannot be made, or is not for us to use. */
#include "tests/cli/top/top.h"
#include "tests/harness/shell.h"

#include <unistd.h>

enum { SOMEBODY = 65531 };

/* Below a /run that is `mounted` so, in a mount namespace of its own; with three TIME_WAITs that nobody recorded. */
static struct ended below(const char *mounted, const char *words) {
    return shell("unshare -m sh -c 'mount -t tmpfs -o %s tmpfs /run || exit 77; build/afterfin %s'", mounted, words);
}

static void leave_three(void) {
    if (geteuid() != 0)
        cr_skip_test("needs root, for a /run of its own");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    ns_settle();
}

Test(no_directory, below_a_run_that_may_only_be_read_nobody_has_a_ledger) {
    static const struct {
        const char *words, *shown;
    } rows[] = {
        { "who", "unknown         3" },
        { "who --json", "\"unknown\": 3" },
        { "who --limit 1", "3" },
        { "top --once", "3 TIME_WAIT" },
        { "top --once --json", "\"unknown\": 3" },
        { "report", "" },
        { "report --json", "\"version\": 1" },
        { "report --prometheus", "afterfin_time_wait_sockets 3" },
        { "report --clean", "" },
        { "reap --pid 1 --dry-run", "no TIME_WAIT socket matches, of 3" },
        { "reap --all --dry-run", "would end 3 of 3" },
    };
    leave_three();
    if (below("ro", "version").status == 77)
        cr_skip_test("cannot mount");
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended with = below("mode=755", rows[i].words), e = below("ro", rows[i].words);
        cr_expect_eq(e.status, 0, "%s: %d: %s", rows[i].words, e.status, e.err);
        cr_expect_str_eq(e.err, with.err, "%s: %s", rows[i].words, e.err);
        cr_expect(strstr(e.out, rows[i].shown), "%s: %s", rows[i].words, e.out);
    }
}

Test(no_directory, one_that_was_named_is_missed) {
    leave_three();
    static const char *const rows[] = { "who -d /run/none", "report -d /run/none", "top --once -d /run/none",
                                        "reap --pid 1 --dry-run -d /run/none" };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = below("ro", rows[i]);
        cr_expect_eq(e.status, 1, "%s", rows[i]);
        cr_expect(strstr(e.err, "/run/none: No such file or directory"), "%s: %s", rows[i], e.err);
    }
}

/* su without -l, sudo -E: the library has passed it over. */
Test(no_directory, a_runtime_directory_of_another_user_is_passed_over) {
    static const char *const words[] = { "who", "top --once", "report", "run -p ledger=on -- true" };
    static const char *const runtime[] = { "/root", "/nowhere" };
    leave_three();
    for (size_t r = 0; r < ROWS(runtime); r++)
        for (size_t i = 0; i < ROWS(words); i++) {
            struct ended e =
                shell("unshare -m sh -c 'mount -t tmpfs -o mode=1777 tmpfs /tmp && cp build/afterfin "
                      "build/libafterfin.so /tmp && cd /tmp && exec env XDG_RUNTIME_DIR=%s setpriv --reuid %d "
                      "--regid %d --clear-groups ./afterfin %s'",
                      runtime[r], SOMEBODY, SOMEBODY, words[i]);
            cr_expect_eq(e.status, 0, "%s: %d: %s", words[i], e.status, e.err);
            cr_expect_not(strstr(e.err, runtime[r]), "%s: %s", words[i], e.err);
        }
}

/* ---- a run whose place is not to be had ------------------------------------------------------------------------- */

/* One line: what lies in /tmp while CMD runs; then what is left. The build may lie below /tmp itself. */
static struct ended run_below_a_fixed_run(const char *policy, const char *cmd) {
    return shell("unshare -m sh -c 'mount --bind . /mnt && cd /mnt && mount -t tmpfs -o ro tmpfs /run && "
                 "mount -t tmpfs -o mode=1777 tmpfs /tmp || exit 77; "
                 "build/afterfin run %s -- %s >&2; find /tmp -mindepth 1'",
                 policy, cmd);
}

Test(no_directory, a_run_that_had_to_go_elsewhere_leaves_nothing_there) {
    leave_three();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char *cmd;
    cr_assert_gt(asprintf(&cmd, "build/tests/victims/connect_close 127.0.0.1 %u -n 2", peer.port), 0);
    struct ended e = run_below_a_fixed_run("-p ledger=on", cmd);
    if (e.status == 77)
        cr_skip_test("cannot mount: %s", e.err);
    cr_expect_str_empty(e.out, "left behind: %s", e.out);
    cr_expect(strstr(e.err, "/run/afterfin cannot be used: Read-only file system; the ledgers are in /tmp/afterfin-"),
              "%s", e.err);
    cr_expect(strstr(e.err, "and gone when the run ends"), "%s", e.err);
    cr_expect(strstr(e.err, "2 of them left by these processes"), "they are read before that: %s", e.err);
    cr_expect_str_empty(run_below_a_fixed_run("", cmd).out);
}

Test(no_directory, what_a_killed_run_left_elsewhere_the_next_one_removes) {
    leave_three();
    struct ended e = shell(
        "unshare -m sh -c 'mount --bind . /mnt && cd /mnt && mount -t tmpfs -o ro tmpfs /run && "
        "mount -t tmpfs -o mode=1777 tmpfs /tmp || exit 77; "
        "mkdir -m 700 /tmp/afterfin-123456 /tmp/afterfin-mine00; build/afterfin run -q --json=/dev/null sh -c "
        "\"kill -9 \\$PPID\" | cat; ls -d /tmp/afterfin-*/run-* | wc -l; build/afterfin run -- true; cd /tmp; echo *' "
        "2>/dev/null");
    if (e.status == 77)
        cr_skip_test("cannot mount: %s", e.err);
    cr_expect_str_eq(e.out, "1\nafterfin-123456 afterfin-mine00\n", "%s", e.out);
}
