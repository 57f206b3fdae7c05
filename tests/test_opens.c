/* What is counted of a connection that is opened, or is not, by every way that libc offers. */
#include "tests/harness_counts.h"

#include <unistd.h>

#define FAILED { .sockets = 1, .connects = 1, .connect_errors = 1 }
#define BOUND { .sockets = 1, .binds = 1, .connects = 1, .established = 1, .time_wait = 1 }
#define CONNECTS(n) { .sockets = 1, .connects = n, .established = 1, .time_wait = 1 }

Test(opens, connections_are_counted_however_they_were_opened)
{
    static const struct row rows[] = {
        { .way = "connect", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "__connect", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "syscall", .script = "ec",
          .each = { .sockets = 2, .connects = 1, .established = 1, .time_wait = 1 } },
        { .way = "bind_and_connect", .script = "ec", .each = BOUND },
        { .way = "syscall_bind_and_connect", .script = "ec", .each = BOUND },
        { .way = "bindresvport", .script = "ec", .each = BOUND },
        { .way = "connect_twice", .script = "ec", .each = CONNECTS(2) },
        { .way = "nothing", .script = "ec", .each = { .sockets = 1 } },
    };
    ROW_CLIENTS("open_by", rows);
}

Test(opens, non_blocking_connections_are_counted_however_the_program_learns_of_them)
{
    static const struct row rows[] = {
        { .way = "looking_at_the_error", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "syscall_looking", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "poll_alone", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "connecting_again", .script = "ec", .each = CONNECTS(3) },
        { .way = "no_look", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "a_send", .script = "ec", .each = CLIENT(time_wait) },
    };
    ROW_CLIENTS("open_by", rows);
}

Test(opens, connections_that_open_with_their_first_data_are_counted)
{
    static const struct row rows[] = {
        { .way = "sendto", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "syscall_sendto", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "sendmsg", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "sendmmsg", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "syscall_sendmsg", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "syscall_sendmmsg", .script = "ec", .each = CLIENT(time_wait) },
        { .way = "fastopen_connect", .script = "bsec", .each = CLIENT(time_wait) },
    };
    ROW_CLIENTS("open_by", rows);
    cr_assert_geq(ns_netstat("TCPFastOpenActive"), ROW_TIMES - 1, "TCP Fast Open was not in use");
}

/* The first one has no cookie yet and shakes hands; the others never send anything. */
Test(opens, a_fast_open_that_never_sends_is_no_connection)
{
    static const struct row row = { .way = "fastopen_connect_alone", .script = "ec", 
                                    .each = { .sockets = 1, .connects = 1 },
                                    .once = { .established = 1, .time_wait = 1 } };
    row_client("open_by", &row, false);
}

Test(opens, failed_connects_are_counted_once_each_with_their_errno)
{
    static const struct row rows[] = {
        { .way = "refused", .each = FAILED, .errors = "connect:ECONNREFUSED" },
        { .way = "refused_and_looking", .each = FAILED, .errors = "connect:ECONNREFUSED" },
        { .way = "refused_and_syscall_looking", .each = FAILED, .errors = "connect:ECONNREFUSED" },
        { .way = "refused_unlooked", .each = FAILED, .errors = "connect:unknown" },
        { .way = "refused_connecting_again",
          .each = { .sockets = 1, .connects = 2, .connect_errors = 1 }, .errors = "connect:ECONNREFUSED" },
        { .way = "refused_and_sending", .each = FAILED, .errors = "connect:unknown" },
        { .way = "refused_sendto", .each = FAILED, .errors = "connect:ECONNREFUSED" },
    };
    ROW_CLIENTS("open_by", rows);
}

Test(opens, each_failure_of_one_socket_counts)
{
    static const struct tally two = { .sockets = 1, .connects = 2, .connect_errors = 2 },
                              three = { .sockets = 1, .connects = 3, .connect_errors = 3 };
    enum { N = 20 };
    const char *log = scratch_path();

    ns_enter();
    run(text("LOG=%s", log), "open_by refused_twice 127.0.0.1 9 %d", N);
    tally_expect("refused twice", log, &two, N);
    unlink(log);
    run(text("LOG=%s", log), "open_by bad_address 127.0.0.1 9 %d", N);
    tally_expect("bad addresses", log, &three, N);
    cr_assert_str_eq(log_text(log_line(file_text(log), 0), "errors"), "connect:EINVAL=20,connect:EFAULT=40");
    unlink(log);
}

/* Nothing comes through: all of them at once, since the kernel takes a second to give a SYN up. */
Test(opens, connects_that_nobody_answers)
{
    static const struct row rows[] = {
        { .way = "giving_up", .each = { .sockets = 1, .connects = 2 }, .errors = "" },
        { .way = "interrupted_connect", .each = { .sockets = 1, .connects = 1 }, .errors = "" },
        { .way = "timeout", .each = FAILED, .errors = "connect:ETIMEDOUT=1" },
        { .way = "timeout_and_looking", .each = FAILED, .errors = "connect:ETIMEDOUT=1" },
        { .way = "timeout_unlooked", .each = FAILED, .errors = "connect:unknown=1" },
    };
    enum { ROWS = sizeof rows / sizeof *rows, EACH = 5 };
    struct victim v[ROWS * EACH];
    const char *log[ROWS];

    ns_enter();
    struct peer peer = script_start("ec", 0);
    ns_cut(peer.port);
    for (int i = 0; i < ROWS * EACH; i++) {
        if (i < ROWS)
            log[i] = scratch_path();
        v[i] = victim_start(text("LOG=%s", log[i % ROWS]), "open_by %s 127.0.0.1 %u 1",
                            rows[i % ROWS].way, peer.port);
    }
    for (int i = 0; i < ROWS * EACH; i++) {
        struct ended e = victim_wait(&v[i]);
        cr_assert(e.status == 0, "%s: %s%s", rows[i % ROWS].way, e.out, e.err);
    }
    for (int i = 0; i < ROWS; i++) {
        tally_expect(rows[i].way, log[i], &rows[i].each, EACH);
        cr_assert_str_eq(log_text(log_line(file_text(log[i]), 0), "errors"), rows[i].errors, "%s", rows[i].way);
        unlink(log[i]);
    }
    cr_assert_eq(ns_tw(), 0);
}

Test(opens, connect_to_AF_UNSPEC_ends_a_connection)
{
    static const struct row rows[] = {
        { .way = "unspec", .script = "ec", .each = { .sockets = 1, .connects = 2, .established = 1, .aborted = 1 } },
        { .way = "unspec_and_again", .script = "ec",
          .each = { .sockets = 1, .connects = 3, .established = 2, .aborted = 1, .time_wait = 1 } },
        { .way = "unspec_of_nothing", .script = "ec", .each = CONNECTS(2) },
    };
    ROW_CLIENTS("open_by", rows);
}
