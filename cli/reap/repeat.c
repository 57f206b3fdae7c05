/* reap --every: a service. It ends between two rounds, never within one. */
#include "cli/output/say.h"
#include "cli/reap/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stopped;

static void on_signal(int signal) {
    (void)signal;
    stopped = 1;
}

/* SIGTERM and SIGINT wait until they are let through with the mask *open. A signal that was ignored when we were
 * started (a shell's background job) stays so. */
static void hold_signals(sigset_t *open) {
    static const int ends[] = { SIGTERM, SIGINT };
    sigset_t held;
    sigemptyset(&held);
    for (int i = 0; i < 2; i++) {
        struct sigaction was, act = { .sa_handler = on_signal };
        sigaddset(&held, ends[i]);
        if (sigaction(ends[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
            sigaction(ends[i], &act, NULL);
    }
    sigprocmask(SIG_BLOCK, &held, open);
    for (int i = 0; i < 2; i++)
        sigdelset(open, ends[i]);
}

static void wait_ms(uint32_t ms, const sigset_t *open) {
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    ppoll(NULL, 0, &time, open);
}

/* May it be otherwise the next time? */
static bool is_transient(int error) {
    return error == -EAGAIN || error == -EINTR || error == -ENOBUFS || error == -ENOMEM || error == -EMFILE ||
           error == -ENFILE;
}

/* A reader that does not read must not keep us from ending. */
static bool print_line(const struct af_reap *q, const struct af_reaped *r, const sigset_t *open) {
    sigset_t held;
    sigprocmask(SIG_SETMASK, open, &held);
    bool ok = af_reap_print_line(q, r);
    sigprocmask(SIG_SETMASK, &held, NULL);
    return ok;
}

/* False: there is no going on. *last: the error of the round before, which is said once. */
static bool one_round(const struct af_reap *q, const sigset_t *open, bool first, int *last) {
    struct af_reaped r;
    const int error = af_reap_round(q, first, &r);
    if (error && error != *last)
        af_reap_tell_error(&r, error);
    *last = error;
    bool ok = !error || is_transient(error);
    if (r.done.ended || (q->dry_run && r.chosen))
        ok &= print_line(q, &r, open);
    af_reaped_free(&r);
    return ok;
}

int af_reap_repeat(const struct af_reap *q) {
    sigset_t open;
    int last = 0;
    bool ok = true;
    hold_signals(&open);
    for (bool first = true; ok && !stopped; first = false) {
        ok = one_round(q, &open, first, &last);
        if (ok && !stopped)
            wait_ms(q->every_ms, &open);
    }
    return ok || stopped ? 0 : AF_EXIT_FAILURE;
}
