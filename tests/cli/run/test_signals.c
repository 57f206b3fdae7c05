/* Signals of a wrapped CMD: each arrives, and arrives once; and run as the first process of a pid namespace. */
#include "tests/harness/command.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

Test(run_signals, sent_to_run_arrive_at_CMD) {
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGTERM };
    struct victim v = command_start(NULL, "run", "-q", victim_path("signals"), NULL);
    victim_wait_out(&v, "ready");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "got %s\n", sigabbrev_np(signals[i]));
        kill(v.pid, signals[i]);
        victim_wait_out(&v, wanted);
        cr_assert(strstr(victim_out(&v), wanted), "%s: %s", wanted, victim_out(&v));
    }
    struct ended e = victim_wait(&v);
    cr_assert_eq(e.status, 9);
}

Test(run_signals, end_CMD_and_not_run) {
    struct victim v = command_start(NULL, "run", "sh", "-c", "echo ready; exec sleep 60", NULL);
    victim_wait_out(&v, "ready");
    struct ended e = victim_kill(&v, SIGTERM);
    cr_assert_eq(e.status, 128 + SIGTERM);
    cr_assert(strstr(e.err, "no process reported a TCP socket"), "the table is still printed: %s", e.err);
}

static int status_of(pid_t pid) {
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The terminal interrupts its foreground group, CMD in it. run is stopped while that happens: what it then
 * makes of its own SIGINT comes after CMD has dealt with its first, and so cannot hide behind that. */
Test(run_signals, of_a_terminal_arrive_at_CMD_once) {
    int terminal;
    pid_t pid = command_on_terminal(&terminal, 80, NULL, "run", "-q", victim_path("signals"), NULL);
    terminal_read(terminal, "ready");
    kill(pid, SIGSTOP);
    cr_assert_eq(write(terminal, "\003", 1), 1);
    cr_assert(strstr(terminal_read(terminal, "got INT"), "got INT"));
    kill(pid, SIGCONT);
    kill(pid, SIGTERM);
    const char *rest = terminal_read(terminal, NULL);
    cr_assert(strstr(rest, "INT 1"), "%s", rest);
    cr_assert_eq(status_of(pid), 9);
    close(terminal);
}

/* Wait until the file holds `text`. */
static void wait_for_text(const char *path, const char *text) {
    for (;;) {
        const char *now = file_text(path);
        if (now && strstr(now, text))
            return;
        usleep(2000);
    }
}

Test(run_signals, that_hang_up_the_leader_of_a_session_are_passed_on_to_CMD, .timeout = 60) {
    int terminal;
    const char *said = scratch_path();
    char redirect[512];
    snprintf(redirect, sizeof redirect, "exec %s >%s", victim_path("signals"), said);
    pid_t pid = command_on_terminal(&terminal, 80, NULL, "run", "-q", "sh", "-c", redirect, NULL);
    wait_for_text(said, "ready");
    close(terminal);
    wait_for_text(said, "got HUP");
    kill(pid, SIGTERM);
    cr_assert_eq(status_of(pid), 9);
}

Test(run_signals, leave_CMD_alone_when_run_itself_is_killed) {
    const char *directory = scratch_path();
    char base[128];
    cr_assert_eq(run("", "mkdir -m 700 %s", directory).status, 0);
    snprintf(base, sizeof base, "AFTERFIN_LEDGER=%s", directory);
    struct victim v = command_start(base, "run", "sh", "-c",
                                    "echo $$; trap 'echo survived; exit 0' USR1; "
                                    "while :; do sleep 0.02; done",
                                    NULL);
    victim_wait_out(&v, "\n");
    pid_t cmd = atoi(victim_out(&v));
    kill(v.pid, SIGKILL);
    waitpid(v.pid, NULL, 0);
    cr_assert_eq(kill(cmd, 0), 0, "CMD is gone");
    cr_assert_eq(entries(directory, "run-"), 1);
    cr_assert_eq(command(base, "run", "true", NULL).status, 0);
    cr_assert_eq(entries(directory, "run-"), 1, "still in the environment of CMD");
    kill(cmd, SIGUSR1);
    while (kill(cmd, 0) == 0)
        usleep(2000);
    cr_assert(strstr(victim_out(&v), "survived"));
    cr_assert_eq(command(base, "run", "true", NULL).status, 0);
    cr_assert_eq(entries(directory, ""), 0, "the next run cleans up");
}

/* ---- pid 1 -------------------------------------------------------------------------------------------------- */

#define NAMESPACE "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", command_path(), "run"

static void need_pid_namespace(void) {
    struct ended e = run(NULL, "unshare --pid --fork --mount-proc true");
    if (e.status)
        cr_skip_test("no pid namespace: %s", e.err);
}

Test(run_signals, as_pid_1_it_reaps_what_is_orphaned) {
    need_pid_namespace();
    /* CMD's child starts a grandchild and ends: the grandchild is pid 1's, and then a zombie, or gone. */
    const char *text = "orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!'); n=0; while test -e /proc/$orphan; do "
                       "n=$((n+1)); test $n -gt 500 && exit 1; sleep 0.02; done; exit 7";
    struct ended e = run_argv(NULL, (const char *[]){ NAMESPACE, "sh", "-c", text, NULL });
    cr_assert_eq(e.status, 7, "%d: the orphan is still in /proc: %s", e.status, e.err);
}

Test(run_signals, as_pid_1_it_forwards_what_the_kernel_would_not_deliver) {
    need_pid_namespace();
    struct victim v =
        victim_start_argv(NULL,
                          (const char *[]){
                              NAMESPACE, "sh", "-c",
                              "trap 'echo termed; exit 4' TERM; kill -TERM 1; while :; do sleep 0.02; done", NULL });
    struct ended e = victim_wait(&v);
    cr_assert_eq(e.status, 4, "%s%s", e.out, e.err);
}

Test(run_signals, as_pid_1_it_counts_and_confirms_as_ever) {
    need_pid_namespace();
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    char option[128];
    const char *result = scratch_path();
    snprintf(option, sizeof option, "--json=%s", result);
    struct ended e = run_argv(NULL, (const char *[]){ NAMESPACE, "-q", option, victim_path("connect_close"),
                                                      "127.0.0.1", port, "-n", "20", NULL });
    json_t *json = json_load_file(result, 0, NULL);
    cr_assert(json, "%s%s", e.out, e.err);
    cr_assert_eq(json_number(json, "processes.0.pid"), 2);
    cr_assert_eq(json_number(json, "processes.0.time_wait"), 20);
    cr_assert_eq(json_number(json, "processes.0.time_wait_confirmed"), 20);
}
