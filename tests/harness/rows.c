/* Plays one row: a victim, its peer, and what both the library and the kernel counted. */
#include "tests/harness/command.h"
#include "tests/shim/ending_rows.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SERVER_PORT = 8080 };

/* One playing of it. */
struct play {
    const struct endings *of;
    const struct row *row;
    const char *linger, *json, *name, *log;
    int times;
    long late; /* row->late: how many the kernel has in TIME_WAIT; -1: it is known beforehand */
};

int row_times(void) {
    const char *times = getenv("TIMES");
    return times && atoi(times) > 0 ? atoi(times) : 20;
}

static bool resets(const struct play *p) {
    return strcmp(p->linger, "rst") == 0 && !p->row->spared;
}

/* Is the TIME_WAIT let go of once the FIN is acknowledged? linger=ack takes itself back where the peer has said nothing. */
static bool acks(const struct play *p) {
    if (strcmp(p->linger, "ack") == 0)
        return p->row->unasked || (p->row->script && strchr(p->row->script, 's'));
    return strcmp(p->linger, "ack-always") == 0;
}

/* What the policy makes of it, all repetitions together. */
static struct tally treated(const struct play *p, const struct tally *each) {
    bool avoids = (acks(p) || resets(p)) && !p->row->stays;
    struct tally t = *each, all = p->row->once;

    if (avoids) {
        t.avoided += t.time_wait;
        t.time_wait = 0;
    }
    for (int i = 0; i < p->times; i++)
        all = tally_sum(all, t);
    if (p->late >= 0) {
        all.avoided += all.time_wait - p->late;
        all.time_wait = p->late;
    }
    return all;
}

/* Whoever writes no line of its own at the end has errors that are nobody's. */
static void expect_log(const struct play *p) {
    struct tally all = treated(p, &p->row->each);

    if (p->row->raced) { /* what became of it is in doubt: the sum is not */
        struct tally got = tally_log(p->name, p->log);
        cr_assert(got.established - got.passed == all.established - all.passed, "%s: %ld connections", p->name,
                  got.established - got.passed);
        return;
    }
    tally_expect(p->name, p->log, &all, 1);
    if (!all.sockets && !all.accepts)
        return;
    const char *line = log_line(file_text(p->log), 0), *errors = line ? log_text(line, "errors") : "(no line)";
    const char *wanted = p->row->errors ? text("%s=%d", p->row->errors, p->times) : "";
    /* A JSON line's errors are an object. */
    if (line && *line == '{')
        wanted = p->row->errors ? text("{\"%s\":%d}", p->row->errors, p->times) : "{}";
    cr_assert_str_eq(errors, wanted, "%s: errors are %s, not %s", p->name, errors, wanted);
}

static bool is_late(const struct play *p) {
    return p->row->late && strcmp(p->linger, "ack") == 0 && !acks(p);
}

static struct played expect(struct play *p, uint16_t port) {
    const struct row *row = p->row;
    p->late = is_late(p) ? books_of(p->name, port).to : -1;
    struct played played = { .name = p->name,
                             .times = p->times,
                             .settled = treated(p, row->settled ? row->settled : &row->each) };

    expect_log(p);
    unlink(p->log);
    if (row->unattributed)
        return played;
    struct books b = books_of(p->name, port);
    bool server = p->of->side == ACCEPTS || p->of->side == INHERITS;
    long ours = server ? b.from : b.to, theirs = server ? b.to : b.from;
    played.kernel = ours;
    if (row->raced)
        return played;
    cr_assert(ours == played.settled.time_wait, "%s: the kernel has %ld in TIME_WAIT, not %ld", p->name, ours,
              played.settled.time_wait);
    if (row->fleeting || (row->peer_keeps && resets(p)))
        return played;
    cr_assert(theirs == (row->peer_keeps ? p->times : 0), "%s: the peer has %ld in TIME_WAIT", p->name, theirs);
    cr_assert(b.made == ours + theirs, "%s: TcpExtTW says %ld", p->name, b.made);
    return played;
}

/* The victim's arguments are in `command`. */
static struct victim start(const struct play *p, const char *command) {
    const char *format = strcmp(p->linger, "ack") == 0 ? "json" : "logfmt";

    if (!p->json)
        return victim_start(text("LOG=%s|LOG_FORMAT=%s|LINGER=%s", p->log, format, p->linger), "%s", command);
    return victim_start(NULL,
                        "/usr/bin/env AFTERFIN_LOG=%s AFTERFIN_LOG_FORMAT=%s AFTERFIN_LINGER=%s %s run -q "
                        "--json=%s %s",
                        p->log, format, p->linger, command_path(), p->json, command);
}

static void end(const struct play *p, struct victim *v) {
    struct ended e = victim_wait(v);
    cr_assert(e.status == p->row->status, "%s: %d %s%s", p->name, e.status, e.out, e.err);
}

static const char *connecting(const struct play *p, uint16_t port) {
    const struct row *row = p->row;

    return text("%s %s %s %u %d %s", victim_path(p->of->victim), row->way, row->address ? row->address : "127.0.0.1",
                port, p->times, row->extra ? row->extra : "");
}

/* The starter runs bare, under run too. */
static const char *on_stdio(const struct play *p, uint16_t port) {
    return text("/usr/bin/env LD_PRELOAD= %s connections %u %d /usr/bin/env LD_PRELOAD=%s %s %s",
                victim_path("inherit"), port, p->times, library_path(), victim_path(p->of->victim), p->row->way);
}

static struct played play_client(struct play *p) {
    struct peer peer = { .port = 9 };

    ns_sysctl("tcp_fastopen", "1027"); /* both sides, and listeners need no option of their own */
    if (p->row->script)
        peer = script_start(p->row->script, 0);
    if (p->row->cut == CUT_OFF)
        ns_cut(peer.port);
    struct victim v = start(p, p->of->side == ON_STDIO ? on_stdio(p, peer.port) : connecting(p, peer.port));
    if (p->row->cut == CUT_OFF_WHEN_READY) {
        victim_wait_out(&v, "ready");
        ns_cut(peer.port);
        kill(v.pid, SIGUSR1);
    }
    end(p, &v);
    struct played played = expect(p, peer.port);
    if (peer.pid)
        peer_stop(&peer);
    return played;
}

static struct played play_server(struct play *p) {
    bool inherits = p->of->side == INHERITS;
    const char *starter = inherits ? text("%s listener %d ", victim_path("inherit"), SERVER_PORT) : "";
    struct victim v = start(p, text("%s%s %s %d %d", starter, victim_path(p->of->victim), p->row->way,
                                    inherits ? 0 : SERVER_PORT, p->times));

    ns_wait_listen(SERVER_PORT);
    script_client(p->row->script, SERVER_PORT, (unsigned)p->times);
    if (strncmp(p->row->way, "reset", 5) == 0) {
        victim_wait_out(&v, "ready");
        kill(v.pid, SIGUSR1);
    }
    end(p, &v);
    return expect(p, SERVER_PORT);
}

struct played row_play(const struct endings *of, const struct row *row, const char *linger, const char *json,
                       int times) {
    struct play p = { .of = of, .row = row, .linger = linger, .json = json, .log = scratch_path(), .times = times };

    p.name = text("%s %s %s %s linger=%s", of->victim, row->way, row->extra ? row->extra : "",
                  row->address ? row->address : "", linger);
    ns_enter();
    return of->side == CONNECTS || of->side == ON_STDIO ? play_client(&p) : play_server(&p);
}

void rows_logged(const struct endings *of) {
    static const char *const policies[] = { "off", "ack", "ack-always" };
    for (size_t i = 0; i < 3 * of->n; i++)
        row_play(of, &of->rows[i / 3], policies[i % 3], NULL, row_times());
}
