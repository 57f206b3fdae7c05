/* afterfin compare: CMD under policy A and under policy B in turn, and what differs beyond noise. */
#include "cli/commands.h"
#include "cli/compare/experiment.h"
#include "cli/kernel/diag.h"
#include "cli/launch/preload.h"
#include "cli/launch/reach.h"
#include "cli/launch/supervisor.h"
#include "cli/options.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

enum { WARMUP = AF_NO_LETTER, PREPARE, NETNS, SETTLE, JSON, PLOT };
enum { ROUNDS = 10, MOST_ROUNDS = 10000 };

static const struct af_option_row rows[] = {
    { 'a', NULL, AF_TAKES_VALUE, "KEY=VALUE", "policy A; beats the environment; may be repeated" },
    { 'b', NULL, AF_TAKES_VALUE, "KEY=VALUE", "policy B" },
    { 'r', NULL, AF_TAKES_VALUE, "RUNS", "how often each is run (10; what is plain takes 6)" },
    { WARMUP, "warmup", AF_TAKES_VALUE, "N", "first run each N times that do not count" },
    { PREPARE, "prepare", AF_TAKES_ONE, "CMD",
      "sh -c CMD before each run; what it leaves in the background ends "
      "with the run" },
    { 'i', NULL, AF_TAKES_NOTHING, NULL, "go on where CMD ends with another status than 0" },
    { NETNS, "netns", AF_TAKES_NOTHING, NULL, "each run in a network namespace of its own, loopback up" },
    { SETTLE, "settle", AF_TAKES_VALUE, "wait|reap",
      "after a run wait until its TIME_WAITs have expired, or end them "
      "(CAP_NET_ADMIN)" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout in place of the table, or to FILE beside it" },
    { PLOT, "plot", AF_TAKES_ONE, "FILE.svg", "draw every round (needs gnuplot)" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

/* ---- what is asked ------------------------------------------------------------------------------------------ */

static bool read_settling(struct af_experiment *e, struct af_options *options) {
    const bool waits = strcmp(options->value, "wait") == 0, reaps = strcmp(options->value, "reap") == 0;
    e->settling = waits ? AF_SETTLE_WAIT : AF_SETTLE_REAP;
    if (!waits && !reaps)
        af_misuse(options, "--settle needs wait or reap, not '%s'", options->value);
    return waits || reaps;
}

static bool take(struct af_experiment *e, struct af_options *options, int id) {
    switch (id) {
    case 'a':
    case 'b':
        return af_option_accepted(options, af_settings_add(&e->side[id - 'a'].settings, (char[]){ '-', (char)id, 0 },
                                                           options->value));
    case 'r': return af_option_number(options, "-r", 1, MOST_ROUNDS, &e->rounds);
    case WARMUP: return af_option_number(options, "--warmup", 0, MOST_ROUNDS, &e->warmup);
    case SETTLE: return read_settling(e, options);
    case PREPARE: e->prepare = options->value; return true;
    case JSON:
        e->json_path = options->value;
        e->json = true;
        return true;
    case PLOT: e->plot_path = options->value; return true;
    default: *(id == 'i' ? &e->ignore : &e->netns) = true; return true;
    }
}

/* False: the status to exit with is in *status. */
static bool read_options(struct af_experiment *e, int argc, char **argv, int *status) {
    struct af_options options = { .command = "compare", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    bool policies = false, ok = true;
    int id;
    while (ok && (id = af_next_option(&options)) > 0) {
        ok = take(e, &options, id);
        policies |= id == 'a' || id == 'b';
    }
    e->command = argv + options.next;
    if (ok && id == 0 && !policies)
        id = af_misuse(&options, "what is to be compared? -a KEY=VALUE is one side, -b KEY=VALUE the other");
    else if (ok && id == 0 && options.next >= argc)
        id = af_misuse(&options, "which CMD?");
    else if (ok && id == 0 && e->netns && e->settling)
        id = af_misuse(&options, "--settle is for runs that share a network namespace: it excludes --netns");
    *status = options.status;
    return ok && id == 0;
}

/* Everything that can be wrong is found before CMD starts. */
static bool prepare(struct af_experiment *e) {
    char why[512];
    if (e->settling == AF_SETTLE_REAP && af_diag_may_destroy() != 0) {
        af_tell("compare: --settle=reap needs CAP_NET_ADMIN in this network namespace");
        return false;
    }
    const enum af_way way = af_reach_way(e->command[0], getenv("PATH"), why);
    const char *refused = NULL;
    if (way == AF_WAY_NONE) {
        af_tell("compare: %s", why);
        return false;
    }
    for (int s = 0; s < 2; s++) {
        e->side[s].name = s ? "B" : "A";
        if (!af_settings_check(&e->side[s].settings) || !af_preload(&e->side[s].settings))
            return false;
        af_preload_for(&e->side[s].settings, e->command[0]);
        e->side[s].settings.supervised = way == AF_WAY_PRELOAD ? AF_NOT_SUPERVISED : af_supervisor_way(&refused);
    }
    e->runs = af_array(NULL, 2 * (size_t)e->rounds, sizeof *e->runs);
    sigprocmask(SIG_SETMASK, NULL, &e->mask); /* af_child_call leaves signals blocked, and SIGCHLD its own */
    sigaction(SIGCHLD, NULL, &e->on_child);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a --prepare leaves behind comes to us, to be ended and collected */
    return (!e->plot_path || af_compare_can_plot()) && af_output_will("compare", "the picture", e->plot_path) &&
           af_output_will("compare", "JSON", e->json_path) &&
           af_guard_start(&e->guard, &e->side[0].settings.policy, &e->side[1].settings.policy);
}

/* ---- runs --------------------------------------------------------------------------------------------------- */

static uint64_t random_bits(void) {
    uint64_t bits = 0;
    while (getrandom(&bits, sizeof bits, 0) < 0 && errno == EINTR)
        ;
    return bits;
}

static bool play(struct af_experiment *e, int side, bool last, const char *what, struct af_measure *into, int *status) {
    af_progress_run(&e->progress, side, what);
    const bool good = af_compare_run(e, &e->side[side], last, into, status);
    if (good)
        af_progress_made(&e->progress, side);
    return good;
}

static bool play_all(struct af_experiment *e, int *status) {
    const unsigned runs = 2 * e->rounds, warmup = 2 * e->warmup;
    struct af_measure unused;
    char what[48];
    for (unsigned i = 0; i < warmup; i++) {
        snprintf(what, sizeof what, "warm-up %u of %u", i + 1, warmup);
        if (!play(e, i % 2, false, what, &unused, status))
            return false;
    }
    for (size_t *i = &e->order.done; *i < runs; ++*i) {
        snprintf(what, sizeof what, "run %zu of %u", *i + 1, runs);
        if (!play(e, e->order.side[*i], *i + 1 == runs, what, &e->runs[*i], status))
            return false;
    }
    return true;
}

/* ---- what came of it ---------------------------------------------------------------------------------------- */

static int tell(struct af_experiment *e) {
    bool ok = true;
    af_compare_judge(e);
    if (!e->json || e->json_path)
        af_compare_print(e);
    if (e->json)
        ok = af_compare_write_json(e);
    af_memory_leaves(NULL);
    if (e->plot_path)
        ok &= af_compare_plot(e);
    return ok ? 0 : AF_EXIT_RUN;
}

int af_command_compare(int argc, char **argv) {
    struct af_experiment e = { .rounds = ROUNDS, .progress = { .terminal = -1 } };
    int status;
    af_memory_exits(AF_EXIT_RUN);
    for (int s = 0; s < 2; s++)
        af_settings_init(&e.side[s].settings, environ);
    if (!read_options(&e, argc, argv, &status))
        return status;
    af_memory_leaves(e.json_path);
    if (!prepare(&e))
        return AF_EXIT_RUN;
    af_order_make(&e.order, e.rounds, random_bits);
    af_progress_begin(&e.progress, e.rounds, e.warmup);
    const bool all = play_all(&e, &status);
    af_progress_show(&e.progress, "%s", "");
    af_guard_end(&e.guard);
    if (!all && !e.interrupted)
        return status;
    const bool both = af_order_made(&e.order, 0) && af_order_made(&e.order, 1);
    if (e.interrupted)
        af_tell("compare: interrupted after %zu of %u runs%s", e.order.done, 2 * e.rounds,
                both ? "" : ", before both sides had one");
    status = both ? tell(&e) : 0;
    return e.interrupted ? 128 + e.interrupted : status;
}
