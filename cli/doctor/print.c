/* What doctor prints of the machine: first what should change. */
#include "cli/doctor/print.h"
#include "cli/doctor/doctor.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"
#include "cli/output/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOP = 8, WIDE = 1 << 12, DEEPER = 6 };

/* ---- lines ---------------------------------------------------------------------------------------------------- */

void af_doctor_heading(const char *title) {
    static bool again;
    const bool colour = af_colour_on(STDOUT_FILENO);
    printf("%s%s", again ? "\n" : "", colour ? "\033[1m" : "");
    af_doctor_line(0, "%s", title);
    fputs(colour ? "\033[0m" : "", stdout);
    again = true;
}

void af_doctor_line(size_t indent, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = af_format_list(format, args);
    va_end(args);
    af_print_wrapped(stdout, af_width_of(STDOUT_FILENO), indent, text);
    free(text);
}

static void print_table(struct af_table *table, size_t width) {
    af_table_print(table, stdout, width, false);
    af_table_free(table);
}

/* ---- what to change ------------------------------------------------------------------------------------------- */

static const char *shown(const char *value) {
    return *value ? value : "empty";
}

static void print_finding(const struct af_machine *m, int i) {
    const struct af_finding *f = &m->findings[i];
    af_doctor_line(AF_INDENT, "%s is %s (%s)", af_sysctls[i].name, shown(m->values[i]), af_level_name(f->level));
    af_doctor_line(DEEPER, "%s", f->why);
    if (f->set)
        printf("%*ssysctl -w %s=%s%s%s\n", DEEPER, "", af_sysctls[i].name, strchr(f->set, ' ') ? "\"" : "", f->set,
               strchr(f->set, ' ') ? "\"" : "");
}

static void print_changes(const struct af_machine *m) {
    bool any = false, known = false;
    for (int i = 0; i < AF_SYSCTLS; i++)
        known |= m->values[i] != NULL;
    af_doctor_heading("What to change");
    for (int level = AF_PROBLEM; level >= AF_ADVICE; level--)
        for (int i = 0; i < AF_SYSCTLS; i++)
            if (m->findings[i].level == (enum af_level)level) {
                print_finding(m, i);
                any = true;
            }
    if (!any && !known)
        af_doctor_line(AF_INDENT, "not known: none of the settings above can be read");
    else if (!any)
        af_doctor_line(AF_INDENT, "nothing: no setting of this machine is in the way of its connections now");
}

char *af_doctor_sysctl(const struct af_machine *m) {
    char *text = af_format("# By afterfin doctor, for /etc/sysctl.d: what this machine's state asks for.\n");
    bool any = false;
    for (int i = 0; i < AF_SYSCTLS; i++) {
        const struct af_finding *f = &m->findings[i];
        if (!f->set)
            continue;
        char *more = af_format("%s\n# %s\n# It was %s\n%s = %s\n", text, f->why, shown(m->values[i]),
                               af_sysctls[i].name, f->set);
        free(text);
        text = more;
        any = true;
    }
    if (!any) {
        free(text);
        text = af_format("# By afterfin doctor: nothing to change.\n");
    }
    return text;
}

/* ---- the machine ---------------------------------------------------------------------------------------------- */

enum { SETTING, VALUE, UNIT, SETTING_COLUMNS };
static const struct af_column setting_columns[SETTING_COLUMNS] = {
    [SETTING] = { "SETTING", .text = true, .rank = 0 },
    [VALUE] = { "VALUE", .text = true, .rank = 0 },
    [UNIT] = { "UNIT", .text = true, .optional = true, .rank = 1 },
};

static void print_settings(const struct af_machine *m) {
    struct af_table table = { .columns = setting_columns, .n_columns = SETTING_COLUMNS };
    for (int i = 0; i < AF_SYSCTLS; i++) {
        const struct af_finding *f = &m->findings[i];
        if (!m->values[i] && i >= AF_SYSCTL_nf_conntrack_max)
            continue; /* no conntrack */
        char **cells = af_table_row(&table);
        cells[SETTING] = af_format("%s", af_sysctls[i].name);
        cells[VALUE] = af_format("%s", !m->values[i] ? strerror(m->errors[i]) : *m->values[i] ? m->values[i] : "-");
        cells[UNIT] = af_format("%s", m->values[i] && *m->values[i] ? af_sysctls[i].unit : "");
        if (f->why && f->level < AF_ADVICE)
            af_table_note(&table, af_format("%s", f->why));
    }
    af_doctor_heading("Settings");
    print_table(&table, af_width_of(STDOUT_FILENO));
}

static void print_time_wait(const struct af_machine *m) {
    af_doctor_heading("TIME_WAIT");
    if (m->time_wait < 0)
        af_doctor_line(AF_INDENT, "/proc/net/sockstat cannot be read: how many there are is not known");
    else
        af_doctor_line(AF_INDENT, "%lld now, of %s that may be", (long long)m->time_wait,
                       m->values[AF_SYSCTL_tcp_max_tw_buckets] ? m->values[AF_SYSCTL_tcp_max_tw_buckets] : "those");
    if (m->accepted)
        af_doctor_line(AF_INDENT,
                       "%u of them on %s listened on: a server here closes first. That takes no ephemeral "
                       "port; a rule as `listen :PORT linger=ack` leaves none",
                       m->accepted, af_plural(m->accepted, "a port that is", "ports that are"));
    if (m->overflow > 0)
        af_doctor_line(AF_INDENT, "%lld connection%s ended without one, for want of room (TCPTimeWaitOverflow)",
                       (long long)m->overflow, af_plural((uint64_t)m->overflow, " has", "s have"));
    if (m->conntrack > 0 && m->conntrack_time_wait >= 0)
        af_doctor_line(AF_INDENT, "conntrack holds %lld connection%s, %lld of them in TIME_WAIT",
                       (long long)m->conntrack, af_plural((uint64_t)m->conntrack, "", "s"),
                       (long long)m->conntrack_time_wait);
    else if (m->conntrack > 0)
        af_doctor_line(AF_INDENT, "conntrack holds %lld connection%s; how many are in TIME_WAIT only root may read",
                       (long long)m->conntrack, af_plural((uint64_t)m->conntrack, "", "s"));
    else if (m->conntrack == 0)
        af_doctor_line(AF_INDENT, "conntrack is not in use here");
}

/* What no socket option can do for a program that ends by shutdown, its own namespace can. */
static void print_namespace(const struct af_machine *m) {
    if (m->net_ns_own != 1 || af_machine_number(m, AF_SYSCTL_tcp_max_tw_buckets) <= 0)
        return;
    af_doctor_heading("A network namespace of its own");
    af_doctor_line(AF_INDENT,
                   "This is not the initial one, but as a container has it. net.ipv4.tcp_max_tw_buckets=0 keeps no "
                   "TIME_WAIT in it, whatever closes first and how, and no peer notices; it costs all its sockets "
                   "TIME_WAIT's protection");
    if (m->buckets_error)
        af_doctor_line(AF_INDENT, "It may not be set from here (%s), but by who makes it:", strerror(m->buckets_error));
    else
        af_doctor_line(AF_INDENT, "It may be set from here, or by who makes it:");
    if (!m->buckets_error)
        af_doctor_line(DEEPER, "sysctl -w net.ipv4.tcp_max_tw_buckets=0");
    af_doctor_line(DEEPER, "docker run --sysctl net.ipv4.tcp_max_tw_buckets=0 IMAGE");
    af_doctor_line(DEEPER, "pod: securityContext: {sysctls: [{name: net.ipv4.tcp_max_tw_buckets, value: \"0\"}]}");
    af_doctor_line(DEEPER, "(to Kubernetes it is unsafe: the kubelet needs --allowed-unsafe-sysctls)");
}

enum { LOCAL, PEER, PORTS, OF, SHARE, IN_TIME_WAIT, DESTINATION_COLUMNS };
static const struct af_column destination_columns[DESTINATION_COLUMNS] = {
    [LOCAL] = { "FROM", .text = true, .rank = 2 },
    [PEER] = { "TOWARDS", .text = true, .rank = 0 },
    [PORTS] = { "PORTS", .rank = 0 },
    [OF] = { "OF", .rank = 3 },
    [SHARE] = { "SHARE", .rank = 0 },
    [IN_TIME_WAIT] = { "TIME_WAIT", .rank = 1 },
};

static void print_destinations(const struct af_machine *m) {
    struct af_table table = { .columns = destination_columns, .n_columns = DESTINATION_COLUMNS };
    const size_t width = af_width_of(STDOUT_FILENO);
    char text[AF_ADDR_TEXT];
    bool filling = false;
    af_doctor_heading("Destinations, by ports taken");
    for (size_t i = 0; i < m->n_destinations && i < TOP; i++) {
        const struct af_destination *d = &m->destinations[i];
        char **cells = af_table_row(&table);
        af_addr_text(&d->local, text);
        cells[LOCAL] = af_format("%.*s", (int)(strrchr(text, ':') - text), text);
        af_addr_text(&d->peer, text);
        cells[PEER] = af_format("%s", text);
        cells[PORTS] = af_format("%u", d->ports);
        cells[OF] = af_format("%u", m->ephemeral.n);
        cells[SHARE] = m->ephemeral.n ? af_format("%.1f%%", 100.0 * d->ports / m->ephemeral.n) : af_format("-");
        cells[IN_TIME_WAIT] = af_format("%u", d->time_wait);
        filling |= af_machine_filling(m, d) > AF_OK;
    }
    if (m->dump_error)
        af_doctor_line(AF_INDENT, "the kernel's table cannot be read: %s", strerror(-m->dump_error));
    else if (!m->ephemeral.high)
        af_doctor_line(AF_INDENT, "not known: net.ipv4.ip_local_port_range cannot be read");
    else if (!m->n_destinations)
        af_doctor_line(AF_INDENT, "no outgoing connection has a port of the range");
    else
        print_table(&table, isatty(STDOUT_FILENO) ? width : WIDE); /* whoever reads a pipe can use a whole address */
    if (m->n_destinations > TOP)
        af_doctor_line(AF_INDENT, "and %zu more", m->n_destinations - TOP);
    if (filling)
        af_doctor_line(AF_INDENT,
                       "From half of a range on, each connect searches thousands of ports; at its end it "
                       "fails with EADDRNOTAVAIL. What helps the program: port_search=cycle against the search, "
                       "linger=ack against the TIME_WAITs");
}

/* ---- policies, advice ----------------------------------------------------------------------------------------- */

enum { NAME, HERE, SINCE, NEEDS, NEED_COLUMNS };
static const struct af_column need_columns[NEED_COLUMNS] = {
    [NAME] = { "POLICY", .text = true, .rank = 0 },
    [HERE] = { "HERE", .text = true, .rank = 0 },
    [SINCE] = { "LINUX", .rank = 1 },
    [NEEDS] = { "NEEDS", .text = true, .rank = 2 },
};

static void add_needs(struct af_table *table, const struct af_need *list, size_t n, bool lacking) {
    for (size_t i = 0; i < n; i++) {
        if (lacking && !list[i].error)
            continue;
        char **cells = af_table_row(table);
        cells[NAME] = af_format("%s", list[i].name);
        cells[HERE] = af_format("%s", list[i].error ? "no" : "yes");
        cells[SINCE] = af_format("%s", list[i].since ? list[i].since : "any");
        cells[NEEDS] = af_format("%s", list[i].needs);
        if (list[i].error)
            af_table_note(table, af_format("%s; without: %s", strerror(-list[i].error), list[i].without));
    }
}

static void print_needs(const struct af_doctor *d, bool lacking) {
    struct af_table table = { .columns = need_columns, .n_columns = NEED_COLUMNS };
    char *title = af_format("Policies on Linux %s", d->machine.release);
    add_needs(&table, d->policies, d->n_policies, lacking);
    if (!lacking)
        add_needs(&table, d->commands, d->n_commands, lacking);
    if (table.n_lines) {
        af_doctor_heading(title);
        print_table(&table, af_width_of(STDOUT_FILENO));
    }
    free(title);
}

static void print_myths(void) {
    af_doctor_heading("Often advised, and of no use");
    for (size_t i = 0; i < af_n_myths; i++)
        af_doctor_line(AF_INDENT, "%s: %s", af_myths[i].name, af_myths[i].why);
}

void af_doctor_print(const struct af_doctor *d) {
    const bool brief = d->program || d->process;
    if (d->program)
        af_doctor_print_program(d->program);
    if (d->process)
        af_doctor_print_process(d->process);
    print_changes(&d->machine);
    if (!brief) {
        print_settings(&d->machine);
        print_time_wait(&d->machine);
        print_namespace(&d->machine);
        print_destinations(&d->machine);
    }
    print_needs(d, brief);
    if (!brief)
        print_myths();
}
