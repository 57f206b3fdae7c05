/* reap --every: a service that acts again and again, says so in one line each time, and ends when it is told to. */
#include "tests/cli/reap/reap.h"
#include "tests/harness/fabricate.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void nap(void) {
    nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static void wait_for_tw(long n) {
    const time_t deadline = time(NULL) + 60;
    while (ns_sockstat("tw") != n) {
        cr_assert(time(NULL) < deadline, "tw stays at %ld", ns_sockstat("tw"));
        nap();
    }
}

static void wait_for_text(int fd, const char *text) {
    const time_t deadline = time(NULL) + 60;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    while (!strstr(file_text(path), text)) {
        cr_assert(time(NULL) < deadline, "no %s: %s", text, file_text(path));
        nap();
    }
}

static long sum(const char *lines, const char *name) {
    const char *line;
    long all = 0;
    for (unsigned i = 0; (line = log_line(lines, i)); i++)
        all += log_number(line, name);
    return all;
}

/* Socket numbers are summed up: a round may come while they are being made. */
Test(reap_service, ends_what_comes_and_writes_a_line_each_time) {
    static const int signals[] = { SIGTERM, SIGINT };
    static const struct {
        const char *json; /* the option, or the same thing again */
        char first;
    } formats[] = { { "--all", 'a' }, { "--json", '{' } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (int i = 0; i < 2; i++) {
        leave_some(peer.port, 5);
        struct victim v = command_start(NULL, "reap", "--all", "--every", "0.1", formats[i].json, NULL);
        wait_for_tw(0);
        wait_for_text(v.out, "ended");
        leave_some(peer.port, 7);
        wait_for_tw(0);
        struct ended e = victim_kill(&v, signals[i]);
        cr_expect_eq(e.status, 0, "signal %d: %d", signals[i], e.status);
        cr_expect_str_empty(e.err);
        cr_expect_geq(log_lines(e.out), 2, "%s", e.out);
        cr_expect_eq(sum(e.out, "matched"), 12, "%s", e.out);
        cr_expect_eq(sum(e.out, "chosen"), 12, "%s", e.out);
        cr_expect_eq(sum(e.out, "ended"), 12, "%s", e.out);
        cr_expect_eq(sum(e.out, "gone"), 0, "%s", e.out);
        for (unsigned n = 0; n < log_lines(e.out); n++) {
            const char *line = log_line(e.out, n);
            char endpoints[64];
            snprintf(endpoints, sizeof endpoints, i ? "{\"127.0.0.1:%u\":%ld}" : "127.0.0.1:%u=%ld", peer.port,
                     log_number(line, "ended"));
            cr_expect_eq(*line, formats[i].first, "%s", line);
            cr_expect_str_eq(log_text(line, "event"), "reap", "%s", line);
            cr_expect_str_eq(log_text(line, "endpoints"), endpoints, "%s", line);
            cr_expect_eq(strlen(log_text(line, "time")), strlen("2026-11-23T12:00:00.123Z"), "%s", line);
        }
        const char *first = log_line(e.out, 0);
        cr_expect_eq(log_number(first, "time_wait_before"), 5, "%s", first);
        cr_expect_eq(log_number(first, "time_wait_after"), 0, "%s", first);
    }
}

Test(reap_service, keeps_to_the_threshold_and_is_silent_below_it) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 10);
    struct victim v = command_start(NULL, "reap", "--peer", "127.0.0.1", "--above", "10", "--every", "0.1", NULL);
    nanosleep(&(struct timespec){ .tv_nsec = 400000000 }, NULL); /* a few rounds */
    cr_expect_str_empty(victim_out(&v));
    leave_some(peer.port, 4);
    wait_for_tw(10);
    struct ended e = victim_kill(&v, SIGTERM);
    cr_expect_eq(sum(e.out, "ended"), 4, "%s", e.out);
    cr_expect_eq(ns_sockstat("tw"), 10);
    cr_expect_eq(e.status, 0);
}

Test(reap_service, ends_nothing_in_a_dry_run) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 3);
    struct victim v = command_start(NULL, "reap", "--all", "--every", "0.1", "--dry-run", NULL);
    wait_for_text(v.out, "\n");
    struct ended e = victim_kill(&v, SIGTERM);
    cr_expect_str_eq(log_text(log_line(e.out, 0), "dry_run"), "on", "%s", e.out);
    cr_expect_eq(log_number(log_line(e.out, 0), "chosen"), 3, "%s", e.out);
    cr_expect_eq(sum(e.out, "ended"), 0, "%s", e.out);
    cr_expect_eq(waiting(0, peer.port), 3);
}

Test(reap_service, appends_to_the_file_that_json_names) {
    ns_enter();
    const char *path = scratch_path();
    char option[256];
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    snprintf(option, sizeof option, "--json=%s", path);
    for (int i = 0; i < 2; i++) {
        leave_some(peer.port, 3);
        struct victim v = command_start(NULL, "reap", "--all", "--every", "0.1", option, NULL);
        wait_for_tw(0);
        cr_expect_str_empty(victim_kill(&v, SIGTERM).out);
    }
    cr_expect_eq(log_lines(file_text(path)), 2, "%s", file_text(path));
    cr_expect_eq(sum(file_text(path), "ended"), 6, "%s", file_text(path));
}

Test(reap_service, asks_the_ledgers_at_each_round) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 2);
    struct victim victim = victim_start(ledger_in(directory), "connect_close 127.0.0.1 %u -n 20 -i 20", peer.port);
    struct victim v = command_start(NULL, "reap", "-d", directory, "--pid", number((unsigned)victim.pid), "--every",
                                    "0.1", NULL);
    cr_assert_eq(victim_wait(&victim).status, 0);
    settle_towards(peer.port);
    wait_for_tw(2);
    struct ended e = victim_kill(&v, SIGTERM);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(sum(e.out, "ended"), 20, "%s", e.out);
    cr_expect_geq(log_lines(e.out), 2, "%s", e.out);
    cr_expect_eq(waiting(0, peer.port), 2);
}

/* Without a descriptor there is no talking to the kernel. */
Test(reap_service, says_what_fails_for_a_while_and_goes_on) {
    const struct rlimit none = { 3, 65536 };
    struct rlimit own;
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = command_start(NULL, "reap", "--all", "--every", "0.1", NULL);
    leave_some(peer.port, 2);
    wait_for_tw(0);
    cr_assert_eq(prlimit(v.pid, RLIMIT_NOFILE, NULL, &own), 0);
    cr_assert_eq(prlimit(v.pid, RLIMIT_NOFILE, &(struct rlimit){ none.rlim_cur, own.rlim_max }, NULL), 0);
    leave_some(peer.port, 3);
    wait_for_text(v.err, "the kernel's table cannot be read: Too many open files\n");
    cr_expect_eq(waiting(0, peer.port), 3);
    cr_assert_eq(prlimit(v.pid, RLIMIT_NOFILE, &own, NULL), 0);
    wait_for_tw(0);
    struct ended e = victim_kill(&v, SIGTERM);
    cr_expect_eq(e.status, 0);
    cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "once: %s", e.err);
    cr_expect_eq(sum(e.out, "ended"), 5, "%s", e.out);
}

Test(reap_service, fails_when_it_cannot_write) {
    static const char *const rows[][2] = { { ">/dev/full", "No space left on device" },
                                           { ">&-", "Bad file descriptor" },
                                           { "--json=/dev/full", "/dev/full: No space left on device" },
                                           { "--json=/nonexistent/x", "/nonexistent/x: No such file" } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char script[256];
        leave_some(peer.port, 1);
        snprintf(script, sizeof script, "exec \"$0\" reap --all --every 0.1 %s", rows[i][0]);
        struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", script, command_path(), NULL });
        cr_expect_eq(e.status, 1, "%s: %d", rows[i][0], e.status);
        cr_expect(strstr(e.err, rows[i][1]), "%s: %s", rows[i][0], e.err);
    }
}

/* Whoever reads its lines has stopped reading. */
Test(reap_service, ends_in_the_middle_of_a_line_that_nobody_takes) {
    int ends[2];
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    cr_assert_eq(pipe(ends), 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], "full", 4) > 0)
        ;
    fcntl(ends[1], F_SETFL, 0);
    leave_some(peer.port, 1);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        execl(command_path(), "afterfin", "reap", "--all", "--every", "0.1", (char *)NULL);
        _exit(127);
    }
    wait_for_tw(0);
    int status, got;
    for (int i = 0; i < 12000 && (got = waitpid(pid, &status, WNOHANG)) == 0; i++) {
        kill(pid, SIGTERM); /* the first may come just before the write */
        nap();
    }
    cr_assert_eq(got, pid, "it does not end");
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
}

/* ---- the unit file -------------------------------------------------------------------------------------------- */

static const char unit[] = "examples/systemd/afterfin-reap.service";

Test(reap_service, has_a_unit_file_that_systemd_takes) {
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", "command -v systemd-analyze", NULL });
    if (e.status != 0)
        cr_skip_test("no systemd-analyze");
    e = run_argv(NULL, (const char *[]){ "sh", "-c",
                                         "mkdir \"$1\" && sed \"s|/usr/local/bin/afterfin|$0|\" \"$2\" "
                                         ">\"$1/afterfin-reap.service\" && "
                                         "systemd-analyze verify --man=no \"$1/afterfin-reap.service\"",
                                         command_path(), scratch_path(), unit, NULL });
    cr_expect_eq(e.status, 0, "%d", e.status);
    cr_expect_str_empty(e.out);
    cr_expect(!strstr(e.err, "afterfin-reap"), "%s", e.err);
}

/* As another user with that capability and no other, and no more of /proc than its processes; a lower threshold stands
 * behind the unit's own. */
Test(reap_service, has_a_unit_file_whose_command_works_with_its_rights) {
    static const char start[] = "\nExecStart=/usr/local/bin/afterfin ";
    static const char script[] =
        "mount -t proc -o subset=pid,hidepid=invisible proc /proc || exit 99; "
        "exec setpriv --reuid=65533 --regid=65533 --clear-groups --no-new-privs --bounding-set=-all,+net_admin "
        "--inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin \"$@\"";
    ns_enter();
    const char *text = strstr(file_text(unit), start);
    cr_assert(text);
    text += strlen(start);
    char *words = strndup(text, strcspn(text, "\n")), *rest;
    const char *argv[40] = { "unshare", "-m", "sh", "-c", script, "sh", command_path() };
    argv[7] = "--version";
    struct ended e = run_argv(NULL, argv);
    if (e.status != 0)
        cr_skip_test("no second user who may run our programs, or no /proc of his: %s", e.err);
    int n = 7;
    for (char *word = strtok_r(words, " ", &rest); word && n < 30; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    static const char *const lower[] = { "--older-than", "0.001", "--above", "2" };
    memcpy(&argv[n], lower, sizeof lower);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_some(peer.port, 5);
    struct victim v = victim_start_argv(NULL, argv);
    wait_for_tw(2);
    wait_for_text(v.out, "\n");
    e = victim_kill(&v, SIGTERM);
    cr_expect_eq(e.status, 0, "%d: %s", e.status, e.err);
    cr_expect_str_empty(e.err);
    cr_expect_eq(log_number(log_line(e.out, 0), "time_wait_before"), 5, "%s", e.out);
    cr_expect_eq(log_number(log_line(e.out, 0), "time_wait_after"), 2, "%s", e.out);
}
