/* The table of endings, of one process: see ending_rows.h. Each expectation is written down from RFC 9293 and the
 * contract. */
#include "tests/shim/ending_rows.h"

/* clang-format off */
#define ENDINGS(name, of, where) \
    const struct endings name = { .victim = of, .side = where, .rows = name##_rows, \
                                  .n = sizeof name##_rows / sizeof *name##_rows }

/* ---- closing, copying, leaving ---------------------------------------------------------------------- */

#define LEFT(name) { .way = name, .script = "ec", .each = CLIENT(time_wait) }

static const struct row close_ways_rows[] = {
    LEFT("close"), LEFT("__close"), LEFT("syscall_close"), LEFT("close_range"), LEFT("close_range_all"),
    LEFT("close_range_unshare"), LEFT("syscall_close_range"), LEFT("closefrom"), LEFT("close_twice"), LEFT("close_loop"),
};
ENDINGS(close_ways, "end_by", CONNECTS);

static const struct row replace_ways_rows[] = {
    LEFT("dup2"), LEFT("__dup2"), LEFT("dup3"), LEFT("syscall_dup2"), LEFT("syscall_dup3"),
};
ENDINGS(replace_ways, "end_by", CONNECTS);

static const struct row stream_ways_rows[] = {
    LEFT("fclose"), LEFT("_IO_fclose"), LEFT("fclose_that_flushes"), LEFT("freopen"), LEFT("freopen64"),
    LEFT("freopen_that_fails"),
};
ENDINGS(stream_ways, "end_by", CONNECTS);

static const struct row dlsym_ways_rows[] = { LEFT("dlsym_default"), LEFT("dlsym_next"), LEFT("dlsym_program") };
ENDINGS(dlsym_ways, "end_by", CONNECTS);

static const struct row copy_ways_rows[] = {
    LEFT("dup"), LEFT("dup2"), LEFT("__dup2"), LEFT("dup3"), LEFT("fcntl"), LEFT("fcntl_cloexec"), LEFT("fcntl64"),
    LEFT("__fcntl"), LEFT("syscall_dup"), LEFT("syscall_dup2"), LEFT("syscall_dup3"), LEFT("syscall_fcntl"),
    LEFT("dup2_over_itself"), LEFT("dup_that_fails_first"),
    { .way = "dup2_over_another", .script = "ec",
      .each = { .sockets = 2, .connects = 2, .established = 2, .time_wait = 2 } },
};
ENDINGS(copy_ways, "copy_by", CONNECTS);

#define SPARED(name) { .way = name, .script = "ec", .each = CLIENT(time_wait), .spared = true }
static const struct row return_ways_rows[] = {
    SPARED("scm_rights"), SPARED("scm_rights_many"), SPARED("scm_rights_syscall"), SPARED("scm_rights_many_syscall"),
    LEFT("pidfd_getfd"), LEFT("syscall_pidfd_getfd"),
};
ENDINGS(return_ways, "copy_by", CONNECTS);

/* The first close finds the connection ESTABLISHED, the last one in CLOSE_WAIT. */
#define ENDED(name) { .way = name, .extra = "passive", .script = "bc", .each = CLIENT(passive), .peer_keeps = true }
static const struct row early_copy_ways_rows[] = {
    ENDED("dup"), ENDED("dup2"), ENDED("__dup2"), ENDED("dup3"), ENDED("fcntl"), ENDED("fcntl_cloexec"),
    ENDED("fcntl64"), ENDED("__fcntl"), ENDED("syscall_dup"), ENDED("syscall_dup2"), ENDED("syscall_dup3"),
    ENDED("syscall_fcntl"), ENDED("dup2_over_itself"), ENDED("dup_that_fails_first"), ENDED("scm_rights"),
    ENDED("scm_rights_many"), ENDED("scm_rights_syscall"), ENDED("scm_rights_many_syscall"), ENDED("pidfd_getfd"),
    ENDED("syscall_pidfd_getfd"),
};
ENDINGS(early_copy_ways, "copy_by", CONNECTS);

/* Calls that end nothing, in the same manner. */
#define HARMLESS(name) { .way = name, .script = "bc", .each = CLIENT(passive), .peer_keeps = true }
static const struct row harmless_ways_rows[] = {
    HARMLESS("close_range_that_only_marks"), HARMLESS("dup_that_fails"), HARMLESS("close_after_fcloseall"),
};
ENDINGS(harmless_ways, "end_by", CONNECTS);

static const struct row leave_ways_rows[] = {
    LEFT("exit"), LEFT("_exit"), LEFT("_Exit"), LEFT("quick_exit"), LEFT("return"), SPARED("exit_group"),
    LEFT("errx"), LEFT("pthread_exit"), LEFT("thread"), LEFT("signal_handler"), LEFT("atexit_handler"),
    LEFT("stream"),
};
ENDINGS(leave_ways, "leave_by", CONNECTS);

static const struct row family_ways_rows[] = {
    { .way = "close", .script = "ec", .address = "::1", .each = CLIENT(time_wait) },
    { .way = "close", .script = "ec", .address = "::ffff:127.0.0.1", .each = CLIENT(time_wait) },
    { .way = "dup2", .script = "ec", .address = "::1", .each = CLIENT(time_wait) },
    { .way = "fclose", .script = "ec", .address = "::1", .each = CLIENT(time_wait) },
};
ENDINGS(family_ways, "end_by", CONNECTS);

/* ---- opening ---------------------------------------------------------------------------------------- */

#define FAILED { .sockets = 1, .connects = 1, .connect_errors = 1 }
#define BOUND { .sockets = 1, .binds = 1, .connects = 1, .established = 1, .time_wait = 1 }
#define SEVERAL(n) { .sockets = 1, .connects = n, .established = 1, .time_wait = 1 }

static const struct row open_ways_rows[] = {
    LEFT("connect"),
    LEFT("__connect"),
    { .way = "syscall", .script = "ec", .each = { .sockets = 2, .connects = 1, .established = 1, .time_wait = 1 } },
    { .way = "bind_and_connect", .script = "ec", .each = BOUND },
    { .way = "syscall_bind_and_connect", .script = "ec", .each = BOUND },
    { .way = "bindresvport", .script = "ec", .each = BOUND, .most = 200 }, /* there are 424 such ports */
    { .way = "connect_twice", .script = "ec", .each = SEVERAL(2) },
    { .way = "nothing", .script = "ec", .each = { .sockets = 1 } },
};
ENDINGS(open_ways, "open_by", CONNECTS);

static const struct row nonblocking_ways_rows[] = {
    LEFT("looking_at_the_error"),
    LEFT("syscall_looking"),
    LEFT("poll_alone"),
    { .way = "connecting_again", .script = "ec", .each = SEVERAL(3) },
    LEFT("no_look"),
    LEFT("a_send"),
};
ENDINGS(nonblocking_ways, "open_by", CONNECTS);

static const struct row first_data_ways_rows[] = {
    LEFT("sendto"), LEFT("syscall_sendto"), LEFT("sendmsg"), LEFT("sendmmsg"),
    LEFT("syscall_sendmsg"), LEFT("syscall_sendmmsg"),
    { .way = "fastopen_connect", .script = "bsec", .each = CLIENT(time_wait) },
};
ENDINGS(first_data_ways, "open_by", CONNECTS);

static const struct row refused_ways_rows[] = {
    { .way = "refused", .each = FAILED, .errors = "connect:ECONNREFUSED" },
    { .way = "refused_and_looking", .each = FAILED, .errors = "connect:ECONNREFUSED" },
    { .way = "refused_and_syscall_looking", .each = FAILED, .errors = "connect:ECONNREFUSED" },
    { .way = "refused_unlooked", .each = FAILED, .errors = "connect:unknown" },
    { .way = "refused_connecting_again",
      .each = { .sockets = 1, .connects = 2, .connect_errors = 1 }, .errors = "connect:ECONNREFUSED" },
    { .way = "refused_and_sending", .each = FAILED, .errors = "connect:unknown" },
    { .way = "refused_sendto", .each = FAILED, .errors = "connect:ECONNREFUSED" },
    { .way = "unreachable", .each = FAILED, .errors = "connect:ENETUNREACH" },
    { .way = "bad_length", .each = FAILED, .errors = "connect:EINVAL" },
};
ENDINGS(refused_ways, "open_by", CONNECTS);

/* Nothing comes through, from the start. */
#define UNANSWERED(name, ...) { .way = name, .script = "k", .cut = CUT_OFF, __VA_ARGS__ }
static const struct row unanswered_ways_rows[] = {
    UNANSWERED("giving_up", .each = { .sockets = 1, .connects = 2 }),
    UNANSWERED("interrupted", .each = { .sockets = 1, .connects = 1 }),
    UNANSWERED("timeout", .each = FAILED, .errors = "connect:ETIMEDOUT"),
    UNANSWERED("timeout_sendto", .each = FAILED, .errors = "connect:ETIMEDOUT"),
    UNANSWERED("timeout_and_looking", .each = FAILED, .errors = "connect:ETIMEDOUT"),
    UNANSWERED("timeout_unlooked", .each = FAILED, .errors = "connect:unknown"),
    UNANSWERED("timeout_and_sending", .each = FAILED, .errors = "connect:unknown"),
};
ENDINGS(unanswered_ways, "cut_off", CONNECTS);

/* The kernel's TIME_WAIT bears the subflow's cookie, and the socket refuses TCP_LINGER2. The peer speaks MPTCP too, or
 * does not. */
#define MULTIPATH(name, steps, ending) \
    { .way = name, .script = steps, .each = { .sockets = 2, .connects = 1, .established = 1, .ending = 1 }, \
      .stays = true, .unattributed = true }
#define MULTIPATHS(prefix) \
    MULTIPATH("mptcp", prefix "ec", time_wait), \
    MULTIPATH("mptcp_half_closed", prefix "ec", time_wait), \
    MULTIPATH("mptcp_after_the_peer", prefix "bc", passive), \
    MULTIPATH("mptcp_half_closed_after_the_peer", prefix "bfec", passive)
static const struct row mptcp_ways_rows[] = {
    MULTIPATHS(""), MULTIPATH("mptcp_with_unread_data", "sek", time_wait),
    MULTIPATHS("m"), MULTIPATH("mptcp_with_unread_data", "msek", aborted),
};
ENDINGS(mptcp_ways, "open_by", CONNECTS);

static const struct row unspec_ways_rows[] = {
    { .way = "unspec", .script = "ec", .each = { .sockets = 1, .connects = 2, .established = 1, .aborted = 1 } },
    { .way = "unspec_and_again", .script = "ec",
      .each = { .sockets = 1, .connects = 3, .established = 2, .aborted = 1, .time_wait = 1 } },
    { .way = "unspec_of_nothing", .script = "ec", .each = SEVERAL(2) },
};
ENDINGS(unspec_ways, "open_by", CONNECTS);

/* ---- who was first ---------------------------------------------------------------------------------- */

static const struct row first_fin_rows[] = {
    { .way = "active", .script = "ec", .each = CLIENT(time_wait) },
    { .way = "active_with_data", .script = "ec", .each = CLIENT(time_wait) },
    { .way = "after_reading", .script = "sec", .each = CLIENT(time_wait) },
    { .way = "shut_then_close", .script = "ek", .each = CLIENT(time_wait) },
    { .way = "answered_after_shut", .script = "esk", .each = CLIENT(time_wait) },
    { .way = "shut_both_then_close", .script = "ek", .each = CLIENT(time_wait) },
    { .way = "shut_read_then_close", .script = "ec", .each = CLIENT(time_wait) },
    { .way = "shut_syscall_read_end_close", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    { .way = "shut_read_end_close", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    { .way = "shut_twice_read_end_close", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    { .way = "passive", .script = "c", .each = CLIENT(passive), .peer_keeps = true },
    { .way = "passive_read", .script = "c", .each = CLIENT(passive), .peer_keeps = true },
    { .way = "shut_badly_then_passive", .script = "bc", .each = CLIENT(passive), .peer_keeps = true },
    { .way = "passive_shut_close", .script = "fec", .each = CLIENT(passive), .peer_keeps = true },
    { .way = "passive_shut_wait_close", .script = "fec", .each = CLIENT(passive), .peer_keeps = true },
};
ENDINGS(first_fin, "end_in", CONNECTS);

static const struct row no_orderly_close_rows[] = {
    { .way = "unread", .script = "sek", .each = CLIENT(aborted) },
    { .way = "unread_after_shut", .script = "esk", .each = CLIENT(aborted) },
    { .way = "unread_after_fin", .script = "sc", .each = CLIENT(passive), .fleeting = true },
    { .way = "fin_then_reset", .script = "c", .each = CLIENT(passive), .fleeting = true },
    { .way = "reset", .script = "br", .each = CLIENT(aborted) },
    { .way = "reset_and_read", .script = "br", .each = CLIENT(aborted) },
    { .way = "reset_and_looked_at", .script = "br", .each = CLIENT(aborted) },
    { .way = "reset_after_shut", .script = "er", .each = CLIENT(aborted) },
};
ENDINGS(no_orderly_close, "end_in", CONNECTS);

/* An SO_LINGER with l_onoff=1, or TCP_LINGER2, settles linger: the program wins. */
static const struct row own_linger_rows[] = {
    { .way = "own_linger_0", .script = "ek", .each = CLIENT(aborted) },
    { .way = "syscall_linger_0", .script = "ek", .each = CLIENT(aborted) },
    { .way = "own_linger_0_taken_back", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    { .way = "own_linger_0_after_fin", .script = "c", .each = CLIENT(passive), .fleeting = true },
    { .way = "own_linger_5", .script = "ec", .each = CLIENT(time_wait), .stays = true },
    { .way = "own_linger_off", .script = "ec", .each = CLIENT(time_wait) },
    { .way = "own_linger2", .script = "ec", .each = CLIENT(aborted) },
    { .way = "own_linger2_taken_back", .script = "ec", .each = CLIENT(time_wait), .stays = true },
};
ENDINGS(own_linger, "end_in", CONNECTS);

/* Nothing comes through any more. */
#define TIMED_OUT(name) { .way = name, .script = "k", .cut = CUT_OFF_WHEN_READY, .each = CLIENT(aborted) }
static const struct row timeout_ways_rows[] = {
    TIMED_OUT("timed_out"), TIMED_OUT("timed_out_and_read"), TIMED_OUT("timed_out_and_looked_at"),
    TIMED_OUT("timed_out_after_shut"), TIMED_OUT("timed_out_idle"),
};
ENDINGS(timeout_ways, "cut_off", CONNECTS);

/* Whose FIN was first no close can see. */
static const struct row both_at_once_rows[] = {
    { .way = "at_once", .script = "bc", .each = { .sockets = 1, .connects = 1, .established = 1 }, .raced = true },
};
ENDINGS(both_at_once, "end_in", CONNECTS);

/* ---- servers ---------------------------------------------------------------------------------------- */

#define ONCE .once = { .sockets = 1, .binds = 1 }
static const struct row accept_ways_rows[] = {
    { .way = "accept", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "accept4", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "syscall_accept", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "syscall_accept4", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "accept_with_address", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "a_copy", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "peer_first", .script = "c", .each = SERVER(passive), .peer_keeps = true, ONCE },
    { .way = "reset_already", .script = "r", .each = SERVER(aborted), ONCE },
    { .way = "reset_already_unlooked", .script = "r", .each = SERVER(aborted), ONCE },
    { .way = "unread", .script = "sec", .each = SERVER(aborted), ONCE },
    { .way = "leaving_it_open", .script = "k", .each = SERVER(time_wait), ONCE },
    { .way = "inherited_linger_0", .script = "ec", .each = SERVER(aborted), ONCE },
    { .way = "accept_that_fails_first", .script = "ec", .each = SERVER(time_wait), .errors = "accept:EINVAL", ONCE },
};
ENDINGS(accept_ways, "accept_by", ACCEPTS);

/* Of an MPTCP listener; who speaks plain TCP gets a plain socket, whose TIME_WAIT bears its own cookie. */
static const struct row mptcp_accept_ways_rows[] = {
    { .way = "mptcp_accept", .script = "ec", .each = SERVER(time_wait), .stays = true, ONCE },
    { .way = "mptcp_peer_first", .script = "c", .each = SERVER(passive), .peer_keeps = true, ONCE },
    { .way = "mptcp_unread", .script = "sec", .each = SERVER(aborted), ONCE },
    { .way = "mptcp_accept", .script = "mec", .each = SERVER(time_wait), .stays = true, .unattributed = true, ONCE },
    { .way = "mptcp_peer_first", .script = "mc", .each = SERVER(passive), .unattributed = true, ONCE },
    { .way = "mptcp_unread", .script = "msec", .each = SERVER(aborted), .unattributed = true, ONCE },
};
ENDINGS(mptcp_accept_ways, "accept_by", ACCEPTS);

static const struct row listener_ways_rows[] = {
    { .way = "accept", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "accept4", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "syscall_accept", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "a_copy", .script = "ec", .each = SERVER(time_wait), ONCE },
    { .way = "leaving_it_open", .script = "k", .each = SERVER(time_wait), ONCE },
};
ENDINGS(listener_ways, "accept_by", INHERITS);

/* What an unwrapped starter has put on 0, 1 and 2: opened by nobody, and no policy of ours was on it. */
#define HANDED_IN(name) \
    { .way = name, .script = "ec", .each = { .established = 1, .time_wait = 1 }, .stays = true }
static const struct row stdio_ways_rows[] = {
    HANDED_IN("exit"), HANDED_IN("closing_all"), HANDED_IN("streams"), HANDED_IN("dev_null"), HANDED_IN("moving_away"),
};
ENDINGS(stdio_ways, "end_stdio", ON_STDIO);
