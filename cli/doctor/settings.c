/* What each setting means on this machine, and what it should be. Advice is given only where the state of the
 * machine warrants it, so that following it makes it go. */
#include "cli/doctor/doctor.h"
#include "cli/output/memory.h"
#include "cli/output/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_WAIT_S = 60, STANDARD_DELAY_MS = 1000, FIN_TIMEOUT_S = 60 };
enum { WIDEST_LOW = 1024, WIDEST_HIGH = 65535 };
enum { TIME_WAIT_BYTES = 512, MEMORY_SHARE = 32 }; /* what a TIME_WAIT on a port of its own takes; how much may go */

const char *af_level_name(enum af_level level) {
    static const char *const names[] = { "ok", "note", "advice", "problem" };
    return names[level];
}

static void say(struct af_finding *f, enum af_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct af_finding *f, enum af_level level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    free(f->why);
    f->why = af_format_list(format, args);
    va_end(args);
    f->level = level;
}

/* ---- destinations --------------------------------------------------------------------------------------------- */

static bool is_loopback(const struct af_addr *addr) {
    static const uint8_t one[16] = { [15] = 1 };
    return addr->v6 ? memcmp(addr->ip, one, sizeof one) == 0 : addr->ip[0] == 127;
}

/* May a connect from here to there take over a TIME_WAIT, as tcp_twsk_unique() decides it? */
static bool may_take_over(const struct af_machine *m, const struct af_destination *d) {
    const int64_t reuse = af_machine_number(m, AF_SYSCTL_tcp_tw_reuse);
    if (af_machine_number(m, AF_SYSCTL_tcp_timestamps) < 1 ||
        af_machine_number(m, AF_SYSCTL_tcp_tw_reuse_delay) > STANDARD_DELAY_MS)
        return false;
    return reuse == 1 || (reuse == 2 && (is_loopback(&d->local) || is_loopback(&d->peer)));
}

/* Does it? It never comes so far as to ask where the port was bound. */
static bool is_bound(const struct af_machine *m, const struct af_destination *d) {
    return m->none_left && d->time_wait && may_take_over(m, d);
}

uint32_t af_machine_held(const struct af_machine *m, const struct af_destination *d) {
    return may_take_over(m, d) && !is_bound(m, d) ? d->ports - d->time_wait : d->ports;
}

enum af_level af_machine_filling(const struct af_machine *m, const struct af_destination *d) {
    const uint64_t held = af_machine_held(m, d), range = m->ephemeral.n;
    return !range || held * 2 < range ? AF_OK : held * 10 < range * 9 ? AF_ADVICE : AF_PROBLEM;
}

/* The one that is nearest to its end; NULL: none is filling. */
static const struct af_destination *fullest(const struct af_machine *m) {
    const struct af_destination *found = NULL;
    for (size_t i = 0; i < m->n_destinations; i++)
        if (af_machine_filling(m, &m->destinations[i]) > AF_OK &&
            (!found || af_machine_held(m, &m->destinations[i]) > af_machine_held(m, found)))
            found = &m->destinations[i];
    return found;
}

/* The same, if it is TIME_WAIT that fills it. */
static const struct af_destination *filled_by_time_wait(const struct af_machine *m) {
    const struct af_destination *d = fullest(m);
    return d && d->time_wait * 2 >= d->ports ? d : NULL;
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

/* The widest range that the kernel takes: nothing below ip_unprivileged_port_start, and bounds of different parity,
 * or it complains in its log. False: there is none wider. */
static bool wider_range(const struct af_machine *m, unsigned *low, unsigned *high) {
    *low = m->unprivileged > WIDEST_LOW ? m->unprivileged : WIDEST_LOW;
    *low += *low % 2;
    *low = m->ephemeral.low < *low ? m->ephemeral.low : *low;
    *high = WIDEST_HIGH;
    return m->ephemeral.high && *high - *low > m->ephemeral.high - m->ephemeral.low;
}

static bool should_widen(const struct af_machine *m, unsigned *low, unsigned *high) {
    return fullest(m) && wider_range(m, low, high);
}

/* Listened on and not reserved, from low to high, inside the range that is now or outside it. */
static unsigned unreserved(const struct af_machine *m, unsigned low, unsigned high, bool inside,
                           struct af_port_set *out) {
    unsigned n = 0;
    for (unsigned port = low; port <= high; port++) {
        const bool in = port >= m->ephemeral.low && port <= m->ephemeral.high;
        if (in != inside || !af_port_has(&m->listened, port) || af_port_has(&m->reserved, port))
            continue;
        af_port_add(out, port);
        n++;
    }
    return n;
}

static void judge_ip_local_reserved_ports(const struct af_machine *m, struct af_finding *f) {
    struct af_port_set ports = { { 0 } };
    unsigned low, high, n = 0;
    if (should_widen(m, &low, &high) && (n = unreserved(m, low, high, false, &ports))) {
        char *which = af_ports_text(&ports);
        say(f, AF_ADVICE,
            "%s %s listened on and would lie in the wider range: reserved, no outgoing connection "
            "takes %s while a service restarts",
            which, n == 1 ? "is" : "are", n == 1 ? "it" : "one");
        free(which);
        for (unsigned port = 0; port <= WIDEST_HIGH; port++)
            if (af_port_has(&m->reserved, port))
                af_port_add(&ports, port);
        f->set = af_ports_text(&ports);
    } else if (m->ephemeral.high && (n = unreserved(m, m->ephemeral.low, m->ephemeral.high, true, &ports))) {
        char *which = af_ports_text(&ports);
        say(f, AF_NOTE,
            "%s %s listened on inside the range and not reserved: should %s be a service's own, an "
            "outgoing connection can take it while it restarts",
            which, n == 1 ? "is" : "are", n == 1 ? "it" : "one");
        free(which);
    }
}

static void judge_ip_local_port_range(const struct af_machine *m, struct af_finding *f) {
    const struct af_destination *d = fullest(m);
    unsigned low, high;
    if (m->ephemeral.high && !m->ephemeral.n) {
        say(f, AF_PROBLEM, "every port of it is reserved (net.ipv4.ip_local_reserved_ports): no connect finds one");
        return;
    }
    if (!d) {
        say(f, AF_OK, "%u port%s for each local address and destination, address and port", m->ephemeral.n,
            af_plural(m->ephemeral.n, "", "s"));
        return;
    }
    char peer[AF_ADDR_TEXT];
    af_addr_text(&d->peer, peer);
    const unsigned held = af_machine_held(m, d);
    if (!wider_range(m, &low, &high)) {
        say(f, af_machine_filling(m, d),
            "%u of %u port%s towards %s %s taken, and the range is as wide as it gets: "
            "what helps is linger=ack, connections that stay open, or another address",
            held, m->ephemeral.n, af_plural(m->ephemeral.n, "", "s"), peer, af_plural(held, "is", "are"));
        return;
    }
    say(f, af_machine_filling(m, d), "%u of %u port%s towards %s %s taken: there are %u from %u to %u", held,
        m->ephemeral.n, af_plural(m->ephemeral.n, "", "s"), peer, af_plural(held, "is", "are"), high - low + 1, low,
        high);
    f->set = af_format("%u %u", low, high);
}

static void judge_tcp_timestamps(const struct af_machine *m, struct af_finding *f) {
    if (af_machine_number(m, AF_SYSCTL_tcp_timestamps) == 0) {
        say(f, AF_ADVICE,
            "without timestamps tcp_tw_reuse does nothing, and a stray segment of an old connection is "
            "told from a new one's by its sequence number alone");
        f->set = af_format("1");
    }
}

static void judge_tcp_tw_reuse(const struct af_machine *m, struct af_finding *f) {
    const int64_t reuse = af_machine_number(m, AF_SYSCTL_tcp_tw_reuse);
    const struct af_destination *d = filled_by_time_wait(m);
    if (d && is_bound(m, d)) {
        say(f, AF_ADVICE,
            "no connect finds a port now: those in TIME_WAIT were bound before their connect, and such ones are never taken "
            "over. IP_BIND_ADDRESS_NO_PORT has connect choose them, and take them over later: bind_no_port=on");
    } else if (reuse == 1) {
        say(f, AF_OK,
            "an outgoing connection takes over the port of a TIME_WAIT to the same destination, unless the "
            "program binds its port");
    } else if (d && af_machine_number(m, AF_SYSCTL_tcp_timestamps) > 0) {
        char peer[AF_ADDR_TEXT];
        af_addr_text(&d->peer, peer);
        say(f, AF_ADVICE,
            "%u of the %u port%s taken towards %s %s in TIME_WAIT: with 1, outgoing connections take "
            "such a port over after a second, unless the program binds its port",
            d->time_wait, d->ports, af_plural(d->ports, "", "s"), peer, af_plural(d->time_wait, "is", "are"));
        f->set = af_format("1");
    } else {
        say(f, reuse == 2 ? AF_OK : AF_NOTE, "%s: 1 is for when ports towards one destination run short",
            reuse == 2 ? "the default, on for loopback only" : "off");
    }
}

static void judge_tcp_tw_reuse_delay(const struct af_machine *m, struct af_finding *f) {
    const int64_t delay = af_machine_number(m, AF_SYSCTL_tcp_tw_reuse_delay);
    const bool slow = delay > STANDARD_DELAY_MS && af_machine_number(m, AF_SYSCTL_tcp_tw_reuse) > 0;
    if (slow && filled_by_time_wait(m)) {
        say(f, AF_ADVICE, "a TIME_WAIT is taken over only when it is %.3g s old, and ports run short",
            (double)delay / 1e3);
        f->set = af_format("%d", STANDARD_DELAY_MS);
    } else if (delay != STANDARD_DELAY_MS) {
        say(f, AF_NOTE, "how old a TIME_WAIT is before tcp_tw_reuse has it taken over; the default is %d",
            STANDARD_DELAY_MS);
    }
}

/* As many as a 32nd of memory holds, a power of two. */
static uint64_t room_for_time_wait(const struct af_machine *m) {
    uint64_t most = m->memory / MEMORY_SHARE / TIME_WAIT_BYTES, n = 1;
    while (n * 2 <= most && n < 1 << 30)
        n *= 2;
    return n;
}

static void judge_tcp_max_tw_buckets(const struct af_machine *m, struct af_finding *f) {
    const int64_t max = af_machine_number(m, AF_SYSCTL_tcp_max_tw_buckets);
    const uint64_t room = room_for_time_wait(m);
    if (max == 0)
        say(f, AF_NOTE, "no connection here leaves a TIME_WAIT, nor has its protection");
    if (max <= 0 || (m->overflow <= 0 && m->time_wait * 10 < max * 8))
        return;
    const bool raise = (uint64_t)max < room;
    const int64_t overflow = m->overflow > 0 ? m->overflow : 0;
    say(f, raise ? AF_ADVICE : AF_NOTE,
        "%lld TIME_WAIT%s now, and %lld connection%s ended without one, and "
        "without its protection, since this network namespace began%s",
        (long long)m->time_wait, af_plural((uint64_t)m->time_wait, "", "s"), (long long)overflow,
        af_plural((uint64_t)overflow, " has", "s have"), raise ? "" : "; more would take over a 32nd of memory");
    if (raise)
        f->set = af_format("%llu", (unsigned long long)room);
}

/* The kernel's own text has it the other way round. */
static void judge_tcp_rfc1337(const struct af_machine *m, struct af_finding *f) {
    if (af_machine_number(m, AF_SYSCTL_tcp_rfc1337) == 0)
        say(f, AF_OK,
            "the default: an RST that strays in ends a TIME_WAIT early; 1 keeps it (the kernel's own "
            "documentation has it the other way round)");
    else
        say(f, AF_OK, "no RST ends a TIME_WAIT early");
}

static void judge_tcp_fin_timeout(const struct af_machine *m, struct af_finding *f) {
    const bool standard = af_machine_number(m, AF_SYSCTL_tcp_fin_timeout) == FIN_TIMEOUT_S;
    say(f, standard ? AF_OK : AF_NOTE, "how long an orphan waits in FIN_WAIT2; TIME_WAIT lasts %d s, whatever it is",
        TIME_WAIT_S);
}

static bool conntrack_is_full(const struct af_machine *m) {
    return m->conntrack > 0 && m->conntrack * 10 >= af_machine_number(m, AF_SYSCTL_nf_conntrack_max) * 8;
}

static void judge_nf_conntrack_max(const struct af_machine *m, struct af_finding *f) {
    if (!conntrack_is_full(m))
        return;
    say(f, AF_PROBLEM,
        "%lld entr%s now: at the limit new connections are dropped (it is set in the initial network "
        "namespace)",
        (long long)m->conntrack, af_plural((uint64_t)m->conntrack, "y", "ies"));
    f->set = af_format("%lld", (long long)af_machine_number(m, AF_SYSCTL_nf_conntrack_max) * 2);
}

static void judge_nf_conntrack_tcp_timeout_time_wait(const struct af_machine *m, struct af_finding *f) {
    const int64_t timeout = af_machine_number(m, AF_SYSCTL_nf_conntrack_tcp_timeout_time_wait);
    if (timeout <= TIME_WAIT_S || m->conntrack <= 0)
        return;
    const bool fills = conntrack_is_full(m) && m->conntrack_time_wait * 4 >= m->conntrack;
    say(f, fills ? AF_ADVICE : AF_OK,
        "conntrack keeps an entry for so long after the close, the kernel its "
        "TIME_WAIT for %d s%s",
        TIME_WAIT_S, fills ? "; these entries fill the table" : "");
    if (fills)
        f->set = af_format("%d", TIME_WAIT_S);
}

void af_machine_judge(struct af_machine *m) {
    static void (*const judges[AF_SYSCTLS])(const struct af_machine *, struct af_finding *) = {
#define SETTING(name, directory, unit) [AF_SYSCTL_##name] = judge_##name,
#include "cli/doctor/settings.def"
#undef SETTING
    };
    for (int i = 0; i < AF_SYSCTLS; i++)
        if (m->values[i])
            judges[i](m, &m->findings[i]);
}

const struct af_myth af_myths[] = {
#define MYTH(name, why) { name, why },
#include "cli/doctor/myths.def"
#undef MYTH
};
const size_t af_n_myths = sizeof af_myths / sizeof *af_myths;
