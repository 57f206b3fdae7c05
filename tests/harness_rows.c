/* Runs one row: a victim, its peer, and what both the library and the kernel counted. */
#include "tests/harness_counts.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What linger=ack makes of it. */
static struct tally treated(const struct row *row, bool ack)
{
    struct tally t = row->each;

    if (ack && !row->stays) {
        t.avoided += t.time_wait;
        t.time_wait = 0;
    }
    return t;
}

static void expect_errors(const char *name, const struct row *row, const char *log)
{
    const char *line = log_line(file_text(log), 0), *errors = line ? log_text(line, "errors") : "(no line)";
    const char *wanted = row->errors ? text("%s=%d", row->errors, ROW_TIMES) : "";

    cr_assert_str_eq(errors, wanted, "%s: errors are %s, not %s", name, errors, wanted);
}

static void expect(const struct row *row, const char *name, bool ack, const char *log, uint16_t port, bool server)
{
    struct tally each = treated(row, ack), all = row->once;
    struct books b = books_of(name, port);
    long ours = server ? b.from : b.to, theirs = server ? b.to : b.from;

    for (int i = 0; i < ROW_TIMES; i++)
        all = tally_sum(all, each);
    tally_expect(name, log, &all, 1);
    expect_errors(name, row, log);
    cr_assert(ours == all.time_wait, "%s: the kernel has %ld in TIME_WAIT, not %ld", name, ours, all.time_wait);
    if (!row->fleeting) {
        cr_assert(theirs == (row->peer_keeps ? ROW_TIMES : 0), "%s: the peer has %ld in TIME_WAIT", name, theirs);
        cr_assert(b.made == ours + theirs, "%s: TcpExtTW says %ld", name, b.made);
    }
    unlink(log);
}

/* ---- clients ---------------------------------------------------------------------------------------- */

void row_client(const char *victim, const struct row *row, bool ack)
{
    const char *name = text("%s %s linger=%s", victim, row->way, ack ? "ack" : "off"), *log = scratch_path();
    struct peer peer = { .port = 9 };

    ns_enter();
    ns_sysctl("tcp_fastopen", "1027"); /* both sides, and listeners need no option of their own */
    if (row->script)
        peer = script_start(row->script, 0);
    struct ended e = run(text("LOG=%s|LINGER=%s", log, ack ? "ack" : "off"), "%s %s 127.0.0.1 %u %d", victim,
                         row->way, peer.port, ROW_TIMES);
    cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
    expect(row, name, ack, log, peer.port, false);
    if (peer.pid)
        peer_stop(&peer);
}

void row_clients(const char *victim, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < 2 * n; i++)
        row_client(victim, &rows[i / 2], i % 2);
}

void row_server(const struct row *row, bool ack)
{
    const char *name = text("accept_by %s linger=%s", row->way, ack ? "ack" : "off"), *log = scratch_path();
    const uint16_t port = 8080;

    ns_enter();
    struct victim v = victim_start(text("LOG=%s|LINGER=%s", log, ack ? "ack" : "off"), "accept_by %s %u %d",
                                   row->way, port, ROW_TIMES);
    ns_wait_listen(port);
    script_client(row->script, port, ROW_TIMES);
    if (strncmp(row->way, "reset", 5) == 0) {
        victim_wait_out(&v, "ready");
        kill(v.pid, SIGUSR1);
    }
    struct ended e = victim_wait(&v);
    cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
    expect(row, name, ack, log, port, true);
}

