/* One run of CMD, in a process of its own: it may have a network namespace to itself, and whatever becomes of it,
 * the next round starts afresh. */
#include "cli/compare.h"
#include "cli/diag.h"
#include "cli/memory.h"
#include "cli/netns.h"
#include "cli/watched.h"
#include "ledger/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 2000, STEP_MS = 10, TAIL = 600 };

/* What the round's process is told. */
struct round {
    struct af_experiment *e;
    const struct af_side *side;
    struct af_measure *measure; /* shared */
    int null, output;           /* CMD's stdin and stdout, and its stderr */
    bool last;
};

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* ---- measuring ---------------------------------------------------------------------------------------------- */

static int by_cookie(const void *a, const void *b) {
    const struct af_kernel_socket *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Leaves those of `now` that were not there before, a dump in order. */
static void keep_new(struct af_kernel_sockets *now, const struct af_kernel_sockets *before) {
    size_t kept = 0;
    for (size_t i = 0; i < now->n; i++)
        if (!before->n || !bsearch(&now->all[i], before->all, before->n, sizeof *before->all, by_cookie))
            now->all[kept++] = now->all[i];
    now->n = kept;
}

static unsigned count_ports(const struct af_kernel_sockets *sockets) {
    static uint8_t used[65536];
    unsigned low = 32768, high = 60999, n = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file && fscanf(file, "%u %u", &low, &high) != 2)
        low = 1;
    if (file)
        fclose(file);
    memset(used, 0, sizeof used);
    for (size_t i = 0; i < sockets->n; i++)
        used[sockets->all[i].local.port] = 1;
    for (unsigned port = low; port <= high && port < 65536; port++)
        n += used[port];
    return n;
}

static void measure(struct af_measure *m, const struct af_result *r, const struct af_kernel_sockets *new) {
    const struct af_histogram *times = &r->found.connect_times;
    uint64_t count[AF_COUNTERS], confirmed;
    af_result_totals(r, count, &confirmed);
    m->value[AF_METRIC_elapsed_s] = r->child.elapsed_s;
    m->value[AF_METRIC_connects] = (double)count[AF_COUNT_connects];
    m->value[AF_METRIC_established] = (double)count[AF_COUNT_established];
    m->value[AF_METRIC_time_wait] = (double)count[AF_COUNT_time_wait];
    m->value[AF_METRIC_avoided] = (double)count[AF_COUNT_avoided];
    m->value[AF_METRIC_connect_p50_us] = af_histogram_quantile(times, 0.5) / 1000;
    m->value[AF_METRIC_connect_p99_us] = af_histogram_quantile(times, 0.99) / 1000;
    m->value[AF_METRIC_connect_max_us] = (double)times->max / 1000;
    m->value[AF_METRIC_ports] = count_ports(new);
    for (size_t i = 0; i < r->found.n_rows; i++)
        for (uint32_t k = 0; k < r->found.rows[i].seen.n_errors; k++) {
            const struct af_seen_error *error = &r->found.rows[i].seen.errors[k];
            m->failed[error->call][error->error < AF_ERRNOS ? error->error : 0] += error->count;
            m->value[AF_METRIC_failed_calls] += error->count;
        }
}

/* ---- what it left ------------------------------------------------------------------------------------------- */

static size_t keep_time_waits(struct af_kernel_sockets *sockets) {
    size_t kept = 0;
    for (size_t i = 0; i < sockets->n; i++)
        if (af_is_time_wait(&sockets->all[i]))
            sockets->all[kept++] = sockets->all[i];
    return sockets->n = kept;
}

/* How many of them are still there. */
static size_t remaining(const struct af_kernel_sockets *left) {
    struct af_kernel_sockets now;
    size_t n = 0;
    if (af_diag_dump(AF_IN_TIME_WAIT | AF_IN_FIN_WAIT2, &now) != 0)
        return 0;
    for (size_t i = 0; i < now.n; i++)
        n += left->n && bsearch(&now.all[i], left->all, left->n, sizeof *left->all, by_cookie) != NULL;
    free(now.all);
    return n;
}

static void wait_for_expiry(const struct af_experiment *e, const struct af_kernel_sockets *left) {
    sigprocmask(SIG_SETMASK, &e->mask, NULL); /* who waits for a minute may be interrupted */
    for (size_t n = left->n; n && (n = remaining(left)); pause_ms(500))
        af_compare_progress(e, "waiting for %zu TIME_WAITs to expire", n);
}

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
        execl("/bin/sh", "sh", "-c", r->e->prepare, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        setpgid(pid, pid);
        r->measure->prepare_group = pid;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    af_tell("compare: --prepare '%s' ended with status %d", r->e->prepare,
            pid < 0 ? 127 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static uint64_t count_time_waits(const struct af_kernel_sockets *sockets) {
    uint64_t n = 0;
    for (size_t i = 0; i < sockets->n; i++)
        n += af_is_time_wait(&sockets->all[i]);
    return n;
}

/* The kernel's table as it is, in order of cookies; false: it has been said why there is none. */
static bool look(struct af_kernel_sockets *sockets) {
    int error = af_diag_dump(AF_IN_ANY, sockets);
    if (error)
        af_tell("compare: the kernel's table cannot be read: %s", strerror(-error));
    else if (sockets->n)
        qsort(sockets->all, sockets->n, sizeof *sockets->all, by_cookie);
    return !error;
}

static int run_in_round(void *context) {
    const struct round *r = context;
    struct af_measure *m = r->measure;
    struct af_settings settings = r->side->settings;
    struct af_kernel_sockets before, new;
    struct af_watched watched;
    sigaction(SIGCHLD, &r->e->on_child, NULL);
    sigprocmask(SIG_SETMASK, &r->e->mask, NULL);
    use_output(r);
    if (!enter_namespace(r->e) || !prepare(r) || !look(&before))
        return AF_EXIT_RUN;
    m->tw_before = count_time_waits(&before);
    af_watched_run(&watched, "compare", r->e->command, &settings);
    m->status = watched.result.child.status;
    m->started = watched.result.child.started;
    if (!watched.placed || !m->started || !look(&new))
        return AF_EXIT_RUN;
    keep_new(&new, &before);
    measure(m, &watched.result, &new);
    m->done = true;
    af_watched_leave(&watched);
    keep_time_waits(&new);
    if (r->e->settling == AF_SETTLE_WAIT && !r->last)
        wait_for_expiry(r->e, &new);
    return 0;
}

/* ---- from outside ------------------------------------------------------------------------------------------- */

/* What --prepare has left running: we are its reaper. */
static void end_group(pid_t group) {
    if (group <= 0 || kill(-group, SIGTERM) != 0)
        return;
    for (int ms = 0; ms < GRACE_MS; ms += STEP_MS) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (kill(-group, 0) != 0)
            return;
        pause_ms(STEP_MS);
    }
    kill(-group, SIGKILL);
}

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
    af_compare_progress(e, "%s", "");
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
    end_group(round.measure->prepare_group);
    *measure = *round.measure;
    e->interrupted = child.asked;
    bool good = !e->interrupted && judge(e, side, measure, round.output, status);
    munmap(round.measure, sizeof *round.measure);
    close(round.output);
    close(round.null);
    return good;
}
