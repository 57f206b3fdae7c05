/* What doctor prints of a program and of a process: first the verdict. */
#include "cli/launch/supervisor.h"
#include "cli/doctor/print.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILTER = 2 }; /* Seccomp: of /proc/N/status, SECCOMP_MODE_FILTER */

/* ---- a program ------------------------------------------------------------------------------------------------ */

static void print_chain(const struct af_program *p) {
    for (size_t i = 1; i < p->reach.n_files; i++) {
        const char *from = p->reach.files[i - 1], *slash = strrchr(from, '/');
        const bool env = i > 1 && strcmp(slash ? slash + 1 : from, "env") == 0;
        af_doctor_line(AF_INDENT, "%s %s %s", from, env ? "runs" : "is a script for", p->reach.files[i]);
    }
    if (p->kind && strcmp(p->kind, "other") == 0)
        af_doctor_line(
            AF_INDENT,
            "%s is neither ELF nor a script (#! and a program): exec refuses it, and run, as a shell does, hands it to /bin/sh",
            p->reach.files[p->reach.n_files - 1]);
}

static void print_facts(const struct af_program *p) {
    const struct af_elf *elf = &p->elf;
    if (!elf->class)
        return;
    const bool native = af_elf_native(elf) || af_elf_is_i386(elf);
    af_doctor_line(AF_INDENT, "%s: %s%s%s%s%s%s%s%s%s", p->reach.files[p->reach.n_files - 1], af_elf_machine(elf),
                   !native          ? ""
                   : elf->loader[0] ? ", dynamic, "
                   : elf->library   ? ", a library"
                                    : ", static",
                   p->libc ? p->libc : "", p->libc && strcmp(p->libc, "other") == 0 ? " C library" : "",
                   native && elf->moves && !elf->library ? ", PIE" : "", p->code.go ? ", Go" : "",
                   p->setuid ? ", setuid" : "", p->setgid ? ", setgid" : "",
                   p->capabilities ? ", file capabilities" : "");
    if (elf->loader[0])
        af_doctor_line(AF_INDENT, "loader: %s", elf->loader);
    if (p->library)
        af_doctor_line(AF_INDENT, "library: %s", p->library);
}

/* Of a library only the calls that matter. */
static void print_through(const struct af_program *p) {
    const char *own = p->reach.files[p->reach.n_files - 1];
    for (size_t i = 0; i < p->n_through; i++) {
        const struct af_through *t = &p->through[i];
        const size_t n = strcmp(t->path, own) == 0 ? t->n_calls : t->n_opening;
        char *list = af_format("%s", t->calls[0]);
        for (size_t k = 1; k < n; k++) {
            char *more = af_format("%s, %s", list, t->calls[k]);
            free(list);
            list = more;
        }
        af_doctor_line(AF_INDENT, "through %s: %s", t->path, list);
        free(list);
    }
}

static void print_past(const struct af_program *p) {
    static const char *const what[] = {
        [AF_BY_DEEPBIND] = "can open more (dlopen) and has a search path of its own: what it opens by a bare name with "
                           "RTLD_DEEPBIND is not reached",
        [AF_BY_DLMOPEN] = "can open libraries in a namespace of their own (dlmopen): of those some are not "
                          "reached (afterfin(7), LIMITS)",
        [AF_BY_KERNEL] =
            "makes connections by instructions of its own (it has a libc in it, or is written in Go): those "
            "are not reached",
    };
    for (size_t i = 0; i < p->n_past; i++)
        af_doctor_line(AF_INDENT, "%s %s", p->past[i].path, what[p->past[i].by]);
}

static bool past_by_kernel(const struct af_program *p) {
    for (size_t i = 0; i < p->n_past; i++)
        if (p->past[i].by == AF_BY_KERNEL)
            return true;
    return false;
}

static void print_doubts(const struct af_program *p) {
    if (p->reach.is_i386) {
        af_doctor_line(AF_INDENT, "what it and its libraries call is not looked at in programs of 32 bits");
        return;
    }
    for (size_t i = 0; i < p->n_libraries; i++)
        if (!p->libraries[i].path)
            af_doctor_line(AF_INDENT, "%s is needed, and was not found", p->libraries[i].name);
    if (!af_program_opens(p) && p->elf.class && p->reached == AF_REACHED)
        af_doctor_line(AF_INDENT, "neither it nor its libraries take a call for connections from libc%s",
                       p->loads_later || past_by_kernel(p)
                           ? ""
                           : ": it opens none itself; programs that it starts are reached");
    if (p->loads_later)
        af_doctor_line(AF_INDENT, "it can load more while it runs (dlopen): what that calls is not seen from here");
    if (p->io_uring)
        af_doctor_line(AF_INDENT, "it uses io_uring: what goes that way passes the library by");
    if (p->code.kernel_calls && p->reached == AF_REACHED)
        af_doctor_line(AF_INDENT, "it has %llu instruction%s the kernel: what is done so passes the library by",
                       (unsigned long long)p->code.kernel_calls,
                       af_plural(p->code.kernel_calls, " of its own that enters", "s of its own that enter"));
    if ((p->setuid || p->setgid || p->capabilities) && p->reached == AF_REACHED)
        af_doctor_line(AF_INDENT, "for us it gains no privilege; run by another user it does, and is not reached");
}

static void print_carried(void) {
    for (int key = 0; key < AF_KEYS; key++)
        if (af_keys[key].roles)
            af_doctor_line(AF_INDENT * 2, "%s: %s", af_keys[key].name,
                           af_supervisor_carries(AF_SOCKETS_TAKEN, (enum af_key)key));
}

void af_doctor_print_program(const struct af_program *p) {
    static const char *const verdicts[][2] = {
        [AF_REACHED] = { "run reaches", "" },
        [AF_FROM_OUTSIDE] = { "run reaches", " from outside" },
        [AF_ONLY_LOADED] = { "run loads the library into", ", to little use" },
        [AF_NOT_REACHED] = { "run does not reach", "" },
    };
    char *title = p->elf.library
                      ? af_format("Library: %s %s", p->name,
                                  p->reached == AF_REACHED ? "is reached in programs that load it" : "goes past")
                      : af_format("Program: %s %s%s", verdicts[p->reached][0], p->name, verdicts[p->reached][1]);
    af_doctor_heading(title);
    free(title);
    if (p->why && !p->elf.library)
        af_doctor_line(AF_INDENT, "%s", p->why);
    print_chain(p);
    print_facts(p);
    if (p->reach.is_go)
        af_doctor_line(AF_INDENT, "from outside it has:");
    if (p->reached == AF_FROM_OUTSIDE || p->reach.is_go)
        print_carried();
    if ((p->reached == AF_NOT_REACHED && !p->elf.library) || p->reached == AF_FROM_OUTSIDE)
        return;
    print_through(p);
    print_past(p);
    if (p->elf.library)
        return;
    print_doubts(p);
}

/* ---- a process ------------------------------------------------------------------------------------------------ */

static void print_settings(const struct af_process_seen *p) {
    if (!p->n_settings && p->awake)
        af_doctor_line(AF_INDENT, "its settings at its start are not to be seen: it has overwritten its environment");
    else if (!p->n_settings && p->library)
        af_doctor_line(AF_INDENT, "no AFTERFIN_ variable was set at its start: it does nothing");
    if (p->n_settings)
        af_doctor_line(AF_INDENT, "settings at its start:");
    for (size_t i = 0; i < p->n_settings; i++)
        af_doctor_line(AF_INDENT * 2, "%s", p->settings[i]);
}

static void print_ledger(const struct af_process_seen *p) {
    if (p->ledger)
        af_doctor_line(AF_INDENT, "its ledger is %s; in force, it says: %s", p->ledger,
                       *p->policy ? p->policy : "no policy");
    else if (p->keeps_ledger)
        af_doctor_line(AF_INDENT, "its ledger was not found: it has had no TCP socket yet, or we may not read it");
    if (p->sealed)
        af_doctor_line(AF_INDENT, "it has installed a seccomp filter: the library does nothing more in it");
    else if (p->seccomp == FILTER && !p->supervised)
        af_doctor_line(AF_INDENT,
                       "it has a seccomp filter: inherited it is no hindrance, unless it kills, rather than "
                       "refuses, for a call that the library adds (LIMITS in afterfin(7)); if it installed one "
                       "itself, the library does nothing more in it%s",
                       p->ledger ? ", but its ledger says no such thing" : "");
    if (p->no_new_privs == 1)
        af_doctor_line(AF_INDENT, "no_new_privs is set: setuid programs that it starts gain nothing: reached");
    if (p->net_ns)
        af_doctor_line(AF_INDENT,
                       "it is in another network namespace (%llu): what is said of the machine here is "
                       "not of that; nsenter -t %d -n afterfin doctor",
                       (unsigned long long)p->net_ns, (int)p->pid);
}

static void print_set(const struct af_process_seen *p) {
    if (p->in_force && p->policy_since) {
        const time_t seconds = (time_t)(p->policy_since / 1000000000);
        struct tm when;
        char text[32];
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &when));
        af_doctor_line(AF_INDENT, "in force since %s: %s", text, *p->in_force ? p->in_force : "no policy");
    }
    if (p->set_way == AF_SET_LIBRARY)
        af_doctor_line(AF_INDENT,
                       "afterfin set --pid %d KEY=VALUE would reach it by the library: all that it opens from its next "
                       "call on, and its %zu listening socket%s and %zu connection%s",
                       (int)p->pid, p->listening, af_plural(p->listening, "", "s"), p->connections,
                       af_plural(p->connections, "", "s"));
    else if (p->set_way == AF_SET_OUTSIDE && !p->listening && !p->connections)
        af_doctor_line(AF_INDENT,
                       "afterfin set --pid %d KEY=VALUE would reach its sockets from outside, and it has none; not "
                       "those that it opens itself later",
                       (int)p->pid);
    else if (p->set_way == AF_SET_OUTSIDE)
        af_doctor_line(
            AF_INDENT,
            "afterfin set --pid %d KEY=VALUE would reach it from outside: its %zu listening socket%s and what "
            "%s, and its %zu connection%s; not those that it opens itself later",
            (int)p->pid, p->listening, af_plural(p->listening, "", "s"),
            af_plural(p->listening, "that accepts", "they accept"), p->connections, af_plural(p->connections, "", "s"));
    else
        af_doctor_line(AF_INDENT, "afterfin set would not reach it: %s", p->set_why);
}

void af_doctor_print_process(const struct af_process_seen *p) {
    char *title = af_format("Process %d, %s: %s", (int)p->pid, p->program,
                            p->inside       ? "the library is in there"
                            : p->library    ? "the library is in there, to no effect"
                            : p->supervised ? "reached from outside"
                                            : "the library is not in there");
    af_doctor_heading(title);
    free(title);
    if (p->why)
        af_doctor_line(AF_INDENT, "%s", p->why);
    if (p->library)
        af_doctor_line(AF_INDENT, "%s%s", p->library, p->deleted ? ", which has been removed or replaced since" : "");
    print_settings(p);
    print_ledger(p);
    print_set(p);
}
