/* What set prints: a row a process; and what was not reached, in a line each. */
#include "cli/kernel/supervised.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/table.h"
#include "cli/set/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMN_PID, PROGRAM, LISTENING, CONNECTIONS, SET, CHOSEN, REFUSED, HOW, COLUMNS };
static const struct af_column columns[COLUMNS] = {
    [COLUMN_PID] = { "PID", .rank = 2 },
    [PROGRAM] = { "PROGRAM", .text = true },
    [LISTENING] = { "LISTENING", .rank = 3 },
    [CONNECTIONS] = { "CONNECTIONS", .rank = 4 },
    [SET] = { .title = "SET" },
    [CHOSEN] = { "ITS_OWN", .optional = true, .rank = 1 },
    [REFUSED] = { "REFUSED", .optional = true, .rank = 1 },
    [HOW] = { "HOW", .text = true, .least = 12, .rank = 5 },
};

void af_set_print(const struct af_set *set) {
    struct af_table table = { .columns = columns, .n_columns = COLUMNS };
    for (const struct af_set_process *p = set->processes; p < set->processes + set->n_processes; p++) {
        if (p->error || !p->start_ticks)
            continue;
        char **cells = af_table_row(&table);
        cells[COLUMN_PID] = af_format("%d", (int)p->pid);
        cells[PROGRAM] = af_format("%s", p->program);
        cells[LISTENING] = af_format("%zu", p->listening);
        cells[CONNECTIONS] = af_format("%zu", p->connections);
        cells[SET] = af_format("%zu", p->set);
        cells[CHOSEN] = af_format("%zu", p->chosen);
        cells[REFUSED] = af_format("%zu", p->refused);
        cells[HOW] = af_format("%s", !p->posted    ? "from outside"
                                     : p->in_force ? "by the library"
                                                   : "by the library, at its next call");
    }
    if (table.n_lines)
        af_table_print(&table, stdout, af_width_of(STDOUT_FILENO), af_colour_on(STDOUT_FILENO));
    af_table_free(&table);
}

/* One line for all that were refused for the same reason: a tree may have thousands. */
static void tell_alike(const struct af_set *set, const char *(*text_of)(const struct af_set_process *)) {
    const struct af_set_process *all = set->processes;
    for (size_t i = 0; i < set->n_processes; i++) {
        const char *text = text_of(&all[i]);
        size_t before = 0, after = 0;
        for (size_t k = 0; text && k < set->n_processes; k++)
            if (k != i && text_of(&all[k]) && strcmp(text_of(&all[k]), text) == 0)
                *(k < i ? &before : &after) += 1;
        if (text && !before && after)
            af_tell("set: process %d and %zu more: %s", (int)all[i].pid, after, text);
        else if (text && !before)
            af_tell("set: process %d: %s", (int)all[i].pid, text);
    }
}

static const char *error_of(const struct af_set_process *p) {
    return p->error;
}

static const char *note_of(const struct af_set_process *p) {
    return p->error ? NULL : p->note;
}

static void tell_sockets(const struct af_set *set) {
    size_t sockets = 0, chosen = 0, refused = 0, processes = 0;
    int why = 0;
    for (const struct af_set_process *p = set->processes; p < set->processes + set->n_processes; p++) {
        processes += p->start_ticks && !p->error && !p->posted && set->acts;
        sockets += p->listening + p->connections;
        chosen += p->chosen;
        refused += p->refused;
        why = p->why_refused ? p->why_refused : why;
    }
    if (processes && !sockets)
        af_tell("set: no TCP socket is there to be set");
    if (chosen)
        af_tell("set: what the program itself has set stays so on %zu of the sockets; override=on beats it", chosen);
    if (refused)
        af_tell("set: the kernel refused it on %zu of the sockets: %s%s", refused, strerror(-why),
                why == -EOPNOTSUPP ? ": MPTCP knows no such option" : "");
}

static bool asks_ack(const struct af_policy *policy) {
    bool asks = policy->set & AF_BIT(LINGER) && policy->values.linger == AF_LINGER_ACK;
    for (size_t i = 0; i < policy->n_rules; i++)
        asks |= policy->rules[i].named & AF_BIT(LINGER) && policy->rules[i].values.linger == AF_LINGER_ACK;
    return asks;
}

/* A process that was looked into, and whose library was not told. */
static bool is_outside(const struct af_set_process *p) {
    return p->start_ticks && !p->error && !p->posted;
}

/* A server's listening socket hands on what was set. If that is all it does nothing is missing. */
static bool will_open(const struct af_set_process *p) {
    return is_outside(p) && (p->opened || !p->listening || !p->set);
}

char *af_set_out_of_reach(const struct af_set *set) {
    const char *which = set->beyond;
    bool outside = false, opens = false, supervised = false;
    for (size_t i = 0; i < set->n_processes; i++) {
        const struct af_set_process *p = &set->processes[i];
        outside |= is_outside(p);
        opens |= will_open(p);
        supervised |= !supervised && will_open(p) && af_is_supervised(p->pid);
    }
    opens &= set->acts && (supervised || af_policy_acts(&set->settings.policy));
    if (!outside || (!which && !opens))
        return NULL;
    return af_format("%s%s%s%s", which ? which : "", which && opens ? ", " : "",
                     opens ? "outgoing connections that it opens later" : "",
                     opens && supervised ? ", which run's supervisor goes on to treat as it was told" : "");
}

static void tell_beyond(const struct af_set *set) {
    char *which = af_set_out_of_reach(set);
    bool outside = false;
    for (size_t i = 0; i < set->n_processes; i++)
        outside |= is_outside(&set->processes[i]);
    if (outside && asks_ack(&set->settings.policy))
        af_tell("set: nobody sees a close from outside: linger=ack is linger=ack-always there");
    if (which)
        af_tell("set: not reached from outside: %s", which);
    else if (outside && !set->acts && set->settings.policy.set & AF_BIT(OVERRIDE))
        af_tell("set: override=%s changes no option by itself: it goes with a policy, and says whether that beats what "
                "the program has set",
                set->settings.policy.override ? "on" : "off");
    free(which);
}

void af_set_tell(const struct af_set *set) {
    tell_alike(set, error_of);
    tell_alike(set, note_of);
    tell_sockets(set);
    tell_beyond(set);
}
