/* Every way into the kernel that libc offers for closing, copying and leaving: none escapes the count, and none
 * the policy. Each row is run in a namespace of its own, without a policy and with linger=ack; what the library
 * counted is held against the tables of TIME_WAIT sockets. */
#include "tests/harness_counts.h"

#include <unistd.h>

enum { N = 20 };

/* One victim that opens N connections and ends them first. */
static void expect_all_ended(const char *victim, const char *way, const char *linger)
{
    static const struct tally left = CLIENT(time_wait), none_left = CLIENT(avoided);
    bool ack = strcmp(linger, "ack") == 0;
    const char *row = text("%s %s linger=%s", victim, way, linger), *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s|LINGER=%s|LOG_FORMAT=%s", log, linger, ack ? "json" : "logfmt"),
                         "%s %s 127.0.0.1 %u %d", victim, way, peer.port, N);
    cr_assert(e.status == 0, "%s: %d %s%s", row, e.status, e.out, e.err);
    struct books b = books_of(row, peer.port);
    tally_expect(row, log, ack ? &none_left : &left, N);
    cr_assert(b.to == (ack ? 0 : N), "%s: the kernel has %ld in TIME_WAIT", row, b.to);
    cr_assert(b.from == 0, "%s: the peer has %ld", row, b.from);
    peer_stop(&peer);
    unlink(log);
}

static void expect_rows(const char *victim, const char *const *ways, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_all_ended(victim, ways[i], "off");
        expect_all_ended(victim, ways[i], "ack");
    }
}
#define EXPECT_ROWS(victim, ways) expect_rows(victim, ways, sizeof ways / sizeof *ways)

Test(ways, no_way_to_close_a_descriptor_escapes)
{
    static const char *const ways[] = {
        "close", "__close", "syscall_close", "close_range", "close_range_all", "close_range_unshare",
        "syscall_close_range", "closefrom", "close_twice", "close_loop",
    };
    EXPECT_ROWS("end_by", ways);
}

Test(ways, no_way_to_put_something_else_in_the_place_of_a_descriptor_escapes)
{
    static const char *const ways[] = {
        "dup2", "__dup2", "dup3", "syscall_dup2", "syscall_dup3",
    };
    EXPECT_ROWS("end_by", ways);
}

Test(ways, no_way_to_close_a_stream_escapes)
{
    static const char *const ways[] = {
        "fclose", "_IO_fclose", "fclose_that_flushes", "freopen", "freopen64", "freopen_that_fails",
    };
    EXPECT_ROWS("end_by", ways);
}

Test(ways, what_dlsym_finds_is_the_same)
{
    static const char *const ways[] = { "dlsym_default", "dlsym_next", "dlsym_program" };
    EXPECT_ROWS("end_by", ways);
}

static const char *const copies[] = {
    "dup", "dup2", "__dup2", "dup3", "fcntl", "fcntl_cloexec", "fcntl64", "__fcntl", "syscall_dup", "syscall_dup2",
    "syscall_dup3", "syscall_fcntl", "dup2_over_itself", "dup_that_fails_first",
    /* those that come back to their own process are known again */
    "scm_rights", "scm_rights_many", "scm_rights_syscall", "scm_rights_many_syscall", "pidfd_getfd",
    "syscall_pidfd_getfd",
};

Test(ways, a_connection_ends_with_the_last_of_its_descriptors_however_they_were_copied)
{
    EXPECT_ROWS("copy_by", copies);
}

/* The peer's FIN comes before the close that ends the connection, and after all that do not. */
static void expect_passive(const char *victim, const char *way, const char *extra)
{
    static const struct tally passive = CLIENT(passive);
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("bc", 0);
    struct ended e = run(text("LOG=%s", log), "%s %s 127.0.0.1 %u %d %s", victim, way, peer.port, N, extra);
    cr_assert(e.status == 0, "%s: %d %s%s", way, e.status, e.out, e.err);
    tally_expect(way, log, &passive, N);
    struct books b = books_of(way, peer.port);
    cr_assert(b.to == 0 && b.from == N, "%s: the kernel has %ld and %ld", way, b.to, b.from);
    peer_stop(&peer);
    unlink(log);
}

Test(ways, a_close_that_is_not_the_last_counts_nothing)
{
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
        expect_passive("copy_by", copies[i], "passive");
}

Test(ways, what_ends_nothing_counts_nothing)
{
    expect_passive("end_by", "close_range_that_only_marks", "");
    expect_passive("end_by", "dup_that_fails", "");
    expect_passive("end_by", "close_after_fcloseall", "");
}

Test(ways, no_way_out_of_the_process_escapes)
{
    static const char *const ways[] = {
        "exit", "_exit", "_Exit", "quick_exit", "return", "exit_group", "errx", "pthread_exit", "thread",
        "signal_handler", "atexit_handler", "stream",
    };
    EXPECT_ROWS("leave_by", ways);
}
