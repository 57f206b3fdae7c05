/* afterfin set: other policies for processes that run. */
#include "cli/set/set.h"
#include "cli/commands.h"
#include "cli/kernel/ptrace.h"
#include "cli/options.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PID = AF_NO_LETTER, TREE, JSON };

static const struct af_option_row rows[] = {
    { PID, "pid", AF_TAKES_ONE, "N", "the process" },
    { TREE, "tree", AF_TAKES_NOTHING, NULL, "and all that descend from it" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

/* ---- what is asked -------------------------------------------------------------------------------------------- */

/* What a program reads once, at its start. */
static const enum af_key at_start[] = { AF_KEY_ONLY,         AF_KEY_SKIP,   AF_KEY_LOG,    AF_KEY_LOG_FORMAT,
                                        AF_KEY_LOG_INTERVAL, AF_KEY_LEDGER, AF_KEY_STRICT, AF_KEY_SET };

static int read_policy(struct af_set *set, struct af_options *options, const char *word) {
    const char *value = strchr(word, '=');
    const int key = af_settings_key(word);
    if (*word == '-' && word[1] == '-')
        return af_misuse(options, "%s: options come before the first KEY=VALUE", word);
    for (size_t i = 0; i < sizeof at_start / sizeof *at_start; i++)
        if (key == (int)at_start[i])
            return af_misuse(options, "%s: a program reads %s at its start only", word, af_keys[key].name);
    if (key >= 0 && af_settings_get(&set->settings, af_keys[key].variable))
        return af_misuse(options, "%s: %s is given twice", word, af_keys[key].name);
    set->every_key |= key == AF_KEY_RULES && !value[1];
    if (value && !value[1] && !set->every_key)
        return af_misuse(options, "%s: expected a value; off gives the option back", word);
    return af_option_accepted(options, af_settings_add(&set->settings, NULL, word)) ? 0 : -1;
}

static int check(struct af_set *set, struct af_options *options) {
    struct af_error error;
    if (!set->pid)
        return af_misuse(options, "needs --pid N");
    if (options->next == options->argc)
        return af_misuse(options, "needs what to set, as KEY=VALUE");
    if (!af_options_were_first(options))
        return -1;
    for (int i = options->next; i < options->argc; i++)
        if (read_policy(set, options, options->argv[i]) < 0)
            return -1;
    if (af_settings_parse(&set->settings, &error))
        return 0;
    af_tell("set: %s", error.text);
    options->status = AF_EXIT_USAGE;
    return -1;
}

/* False: the status to exit with is in *status. */
static bool read_options(struct af_set *set, int argc, char **argv, int *status) {
    static char *const nothing[] = { NULL }; /* the environment is that of programs to come */
    struct af_options options = { .command = "set", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    unsigned pid = 0;
    af_settings_init(&set->settings, nothing);
    while ((id = af_next_option(&options)) > 0) {
        if (id == PID && !af_option_number(&options, "--pid", 1, INT32_MAX, &pid))
            break;
        set->tree |= id == TREE;
        set->json |= id == JSON;
        set->json_path = id == JSON ? options.value : set->json_path;
    }
    set->pid = (pid_t)pid;
    if (id == 0)
        id = check(set, &options);
    *status = options.status;
    return id == 0;
}

/* ---- the processes -------------------------------------------------------------------------------------------- */

static struct af_set_process *process_of(struct af_set *set, pid_t pid) {
    for (struct af_set_process *p = set->processes; p < set->processes + set->n_processes; p++)
        if (p->pid == pid)
            return p;
    set->processes = af_room_for_one(set->processes, set->n_processes, sizeof *set->processes);
    struct af_set_process *p = &set->processes[set->n_processes++];
    *p = (struct af_set_process){ .pid = pid, .inside.memory = -1 };
    return p;
}

/* Who has ended is out of reach, and nothing is left to be reached: only for whoever was named is that a failure. */
static void note_error(const struct af_set *set, struct af_set_process *p, int error) {
    if (error == -ESRCH && p->pid != set->pid)
        return;
    free(p->error);
    p->error = error == -ESRCH && !af_is_zombie(p->pid) ? af_format("there is no process %d", (int)p->pid)
                                                        : af_refusal(p->pid, error);
}

/* Two numbers that are equal may be two processes. */
enum how { ONLY_LETTERS, ONLY_LISTENING, ALL };

static void treat(struct af_set *set, pid_t pid, enum how how) {
    struct af_held held;
    struct af_set_process *p = process_of(set, pid);
    int error = p->error ? 0 : af_held_open(pid, &held);
    if (p->error)
        return;
    if (!error && p->start_ticks && p->start_ticks != held.start_ticks) {
        af_held_close(&held);
        return;
    }
    if (!error) {
        p->start_ticks = held.start_ticks;
        p->thread = held.thread;
        memcpy(p->program, held.program, sizeof p->program);
        if (!p->asked)
            af_set_letter(set, p);
        if (!p->in_force)
            af_set_letter_read(p);
        if (!set->seen_all && set->acts)
            af_set_find_listeners(set, &held);
        set->old = p->posted ? &p->old.policy : NULL;
        set->only_look = p->in_force || !set->acts;
        error = how != ONLY_LETTERS && !p->error ? af_set_sockets(set, &held, how == ONLY_LISTENING, p) : 0;
        af_held_close(&held);
    }
    if (error && (error != -ESRCH || !p->start_ticks))
        note_error(set, p, error);
}

/* Has the library a letter somewhere that it has not read? One that opens and closes connections reads it within
 * microseconds. */
static bool waits_for_library(struct af_set *set) {
    bool waits = false;
    for (struct af_set_process *p = set->processes; p < set->processes + set->n_processes; p++) {
        if (!p->in_force)
            af_set_letter_read(p);
        waits |= p->posted && !p->in_force;
    }
    return waits;
}

/* Where the library is and reads its letter it does all that is to be done, and nobody changes a socket behind its
 * counts. */
static void give_library_time(struct af_set *set) {
    enum { TRIES = 100, PAUSE_NS = 1000000 };
    for (int i = 0; i < TRIES && waits_for_library(set); i++)
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

/* What listens is first, in all of them: what it accepts from then on has inherited. */
static void treat_all(struct af_set *set, bool first) {
    pid_t *pids = NULL;
    const size_t n = set->tree ? af_process_tree(set->pid, &pids) : 1;
    for (int how = first ? ONLY_LETTERS : ALL; how <= ALL; how++) {
        for (size_t i = 0; i < n && (how != ONLY_LISTENING || n > 1); i++)
            treat(set, pids ? pids[i] : set->pid, (enum how)how);
        if (how == ONLY_LETTERS)
            give_library_time(set);
    }
    free(pids);
}

/* Again until nothing is new: processes fork and accept meanwhile, and what waited to be accepted as its listening
 * socket was set has inherited nothing. */
static void treat_until_still(struct af_set *set) {
    enum { ROUNDS = 8, ROUNDS_FOR_WAITING = 4, PAUSE_NS = 20000000 };
    for (int round = 0; round < ROUNDS; round++) {
        set->n_new = set->n_left = 0;
        treat_all(set, round == 0);
        set->seen_all = true;
        if (round && !set->n_new && !set->n_left && (!set->has_waiting || round >= ROUNDS_FOR_WAITING))
            break;
        if (set->has_waiting || set->n_left)
            nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
    }
    if (set->n_left) {
        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
        set->last_look = true;
        treat_all(set, false);
    }
}

/* ---- set ------------------------------------------------------------------------------------------------------ */

/* Halfway would be something set that nobody has noted. */
static void hold_signals(void) {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, NULL);
}

static bool any_reached(const struct af_set *set) {
    for (size_t i = 0; i < set->n_processes; i++)
        if (set->processes[i].set || set->processes[i].posted)
            return true;
    return false;
}

static void set_free(struct af_set *set) {
    for (size_t i = 0; i < set->n_processes; i++)
        free(set->processes[i].error);
    for (size_t i = 0; i < set->n_processes; i++)
        af_inside_free(&set->processes[i].inside);
    free(set->processes);
    free(set->beyond);
    free(set->seen);
    free(set->listeners);
    free(set->listening);
}

/* What was done stays done. */
static bool write_out(const struct af_set *set, bool reached) {
    bool written = true;
    if (set->json) {
        written = af_set_write_json(set);
    } else {
        af_set_print(set);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            af_tell("set: cannot write to stdout: %s", strerror(errno));
            written = false;
        }
    }
    if (!written && reached)
        af_tell("set: it has been set all the same");
    return written;
}

int af_command_set(int argc, char **argv) {
    struct af_set set = { .pid = 0 };
    int status;
    if (!read_options(&set, argc, argv, &status))
        return status;
    if (set.json && !af_output_will("set", "JSON", set.json_path))
        return AF_EXIT_FAILURE;
    af_set_find_beyond(&set);
    hold_signals();
    if (set.acts)
        af_givens_read(&set.givens);
    treat_until_still(&set);
    if (set.acts)
        af_givens_write(&set.givens);
    waits_for_library(&set);
    bool ok = any_reached(&set);
    ok &= write_out(&set, ok);
    af_set_tell(&set);
    set_free(&set);
    return ok ? 0 : AF_EXIT_FAILURE;
}
