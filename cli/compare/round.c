/* One run of CMD, in a process of its own: it may have a network namespace to itself, and whatever becomes of it,
 * the next round starts afresh. */
#include "cli/compare/round.h"
#include "cli/kernel/netns.h"
#include "cli/launch/result.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAIL = 600 };

/* What the round's process is told. */
struct round {
    struct af_experiment *e;
    const struct af_side *side;
    struct af_measure *measure; /* shared */
    int null, output;           /* CMD's stdin and stdout, and its stderr */
    bool last;
};

/* ---- the run ------------------------------------------------------------------------------------------------ */

static bool enter_namespace(const struct af_experiment *e) {
    int error = e->netns ? af_netns_new() : 0;
    if (error)
        af_tell("compare: --netns: no network namespace of our own is to be had: %s", strerror(-error));
    return !error;
}

static void use_output(const struct round *r) {
    dup2(r->null, STDIN_FILENO);
    dup2(r->null, STDOUT_FILENO);
    dup2(r->output, STDERR_FILENO);
}

/* In a process group of its own, so that what it leaves running can be ended. */
static bool prepare(const struct round *r) {
    int status = 0;
    if (!r->e->prepare)
        return true;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (r->e->netns)
            af_netns_keep_admin();
        setenv("COMPARE_SIDE", r->side->name, 1);
        execl("/bin/sh", "sh", "-c", r->e->prepare, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        setpgid(pid, pid);
        r->e->guard.guarded->group = pid;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    af_tell("compare: --prepare '%s' ended with status %d", r->e->prepare,
            pid < 0               ? 127
            : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                  : WEXITSTATUS(status));
    return false;
}

static int run_in_round(void *context) {
    const struct round *r = context;
    struct af_measure *m = r->measure;
    struct af_settings settings = r->side->settings;
    struct af_kernel_sockets before, left;
    struct af_result result;
    r->e->guard.guarded->run = getpid();
    close(r->e->guard.lifeline);
    sigaction(SIGCHLD, &r->e->on_child, NULL);
    sigprocmask(SIG_SETMASK, &r->e->mask, NULL);
    use_output(r);
    if (!enter_namespace(r->e) || !prepare(r) || !af_compare_dump(&before))
        return AF_EXIT_RUN;
    m->tw_before = af_compare_time_waits(&before);
    af_run_recorded(&result, "compare", r->e->command, &settings);
    m->status = result.child.status;
    m->started = result.child.started;
    const bool known = result.recorded && m->started && af_compare_dump(&left);
    if (known) {
        af_compare_measure(m, &result, &left, &before);
        m->done = r->e->settling != AF_SETTLE_REAP || af_compare_reap(&result, &left);
    }
    af_result_free(&result);
    if (m->done && r->e->settling == AF_SETTLE_WAIT && !r->last)
        af_compare_wait(r->e, &left);
    return known ? 0 : AF_EXIT_RUN;
}

/* ---- from outside ------------------------------------------------------------------------------------------- */

/* The last of what CMD, or whoever spoke for it, has written to stderr. */
static void show_output(int output) {
    char text[TAIL + 1];
    off_t size = lseek(output, 0, SEEK_END), from = size > TAIL ? size - TAIL : 0;
    ssize_t got = size > 0 ? pread(output, text, TAIL, from) : 0;
    if (got <= 0)
        return;
    text[got] = 0;
    char *start = from ? strchr(text, '\n') : NULL;
    fputs(start ? start + 1 : text, stderr);
    if (text[got - 1] != '\n')
        fputc('\n', stderr);
}

static bool judge(struct af_experiment *e, const struct af_side *side, const struct af_measure *m, int output,
                  int *status) {
    if (m->done && (!m->status || e->ignore))
        return true;
    af_progress_show(&e->progress, "%s", "");
    show_output(output);
    *status = m->status ? m->status : AF_EXIT_RUN;
    if (m->done) {
        char *policy = af_compare_policy(side);
        af_tell("compare: CMD ended with status %d under %s (%s); -i goes on all the same", m->status, side->name,
                policy);
        free(policy);
    }
    return false;
}

/* One that came between two rounds waits still. */
static int pending_signal(void) {
    static const int ends[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
    sigset_t pending;
    sigpending(&pending);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigismember(&pending, ends[i]))
            return ends[i];
    return 0;
}

static bool open_files(struct round *r) {
    char name[] = "/tmp/afterfin-compare-XXXXXX";
    r->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    r->output = mkostemp(name, O_CLOEXEC | O_APPEND);
    if (r->output >= 0)
        unlink(name);
    r->measure = mmap(NULL, sizeof *r->measure, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->null >= 0 && r->output >= 0 && r->measure != MAP_FAILED)
        return true;
    af_tell("compare: %s: %s", r->null < 0 ? "/dev/null" : r->output < 0 ? name : "memory", strerror(errno));
    return false;
}

bool af_compare_run(struct af_experiment *e, const struct af_side *side, bool last, struct af_measure *measure,
                    int *status) {
    struct round round = { .e = e, .side = side, .last = last };
    struct af_child child;
    *status = AF_EXIT_RUN;
    e->interrupted = pending_signal();
    if (e->interrupted || !open_files(&round))
        return false;
    af_child_call("compare", run_in_round, &round, &child);
    e->guard.guarded->run = 0;
    af_end_group(e->guard.guarded->group); /* we are its reaper */
    e->guard.guarded->group = 0;
    *measure = *round.measure;
    e->interrupted = child.asked;
    bool good = !e->interrupted && judge(e, side, measure, round.output, status);
    munmap(round.measure, sizeof *round.measure);
    close(round.output);
    close(round.null);
    return good;
}
