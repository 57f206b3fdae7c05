/* Connections that more than one process holds: whoever ends one has it, whoever opened it has it as `passed`,
 * and the tree's connections are the sum of established less the sum of passed. */
#include "tests/shim/ending_rows.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { N = 10 };

Test(tree, fork_with_whoever_is_the_last_to_let_go) {
    rows_logged(&fork_ways);
}

Test(tree, every_way_to_fork) {
    rows_logged(&birth_ways);
}

Test(tree, a_child_that_is_killed_leaves_its_share_open) {
    rows_logged(&killed_ways);
}

/* A fork copies the table at some moment of an opening or a closing: whatever it has copied, no count waits for a
 * child that does not know that it has the connection. Who of them was the last may be in doubt. */
Test(tree, forks_at_any_moment_leave_nothing_open) {
    static const struct {
        const char *way;
        int n;
    } rows[] = { { "threads", 500 }, { "handler", 200 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = run(text("LOG=%s", log), "fork_storm %s 127.0.0.1 %u %d", rows[i].way, peer.port, rows[i].n);
        cr_assert(e.status == 0, "%s: %d %s%s", rows[i].way, e.status, e.out, e.err);
        long opened = 0;
        cr_assert(sscanf(e.out, "opened %ld", &opened) == 1 && opened > 0, "%s", e.out);
        struct tally sum = tally_log(rows[i].way, log);
        cr_expect(sum.open == 0, "%s: %ld of %ld are open", rows[i].way, sum.open, opened);
        cr_expect(sum.connects == opened && sum.established - sum.passed == opened, "%s: %ld less %ld for %ld",
                  rows[i].way, sum.established, sum.passed, opened);
        cr_expect(sum.time_wait == opened && books_of(rows[i].way, peer.port).to == opened, "%s: %ld, kernel %ld",
                  rows[i].way, sum.time_wait, books_of(rows[i].way, peer.port).to);
        peer_stop(&peer);
    }
}

/* A child that comes back from the handler has half a close in its hands, of which it may count what its parent counts too; but
 * it lives. Of one that ends there nothing stays: at most one instruction, at which a fork becomes a child, may. */
Test(tree, a_handler_forks_at_any_instruction) {
    static const char *const ways[] = { "close", "fork" };

    for (size_t i = 0; i < 2; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = run(text("LOG=%s|LOG_INTERVAL=off", log), "stepped %s 127.0.0.1 %u 11", ways[i], peer.port);
        if (e.status == 77)
            cr_skip_test("stepping is for x86_64");
        if (i == 1 && e.status == 128 + SIGTRAP)
            cr_skip_test("this libc blocks all signals in fork, where a step then ends the process");
        long steps = 0, opened = 0, died = -1;
        cr_assert(e.status == 0 && sscanf(e.out, "steps %ld opened %ld died %ld", &steps, &opened, &died) == 3,
                  "%d: %s%s", e.status, e.out, e.err);
        cr_expect(steps > 200 && died == 0, "%s: %ld children died, %ld steps", ways[i], died, steps);
        cr_expect(!strstr(file_text(log), "open=1844"), "%s: fewer than none are open", ways[i]); /* 2^64 - 1 */
        if (i == 1) {
            struct tally sum = tally_log(ways[i], log);
            cr_expect(sum.open <= 2 && sum.established - sum.passed == opened, "%ld are open, %ld less %ld for %ld",
                      sum.open, sum.established, sum.passed, opened);
        }
        peer_stop(&peer);
    }
}

Test(tree, a_child_on_our_memory_disturbs_nothing) {
    rows_logged(&memory_ways);
}

Test(tree, a_handler_that_interrupts_vfork_is_no_child) {
    if (victims_are("i386"))
        cr_skip_test("there a handler that comes before vfork has returned is taken for the child (vfork.S)");
    rows_logged(&handler_ways);
}

Test(tree, a_child_that_becomes_another_image) {
    rows_logged(&image_ways);
}

/* The child's pid is the parent's, as each of them sees it. */
Test(tree, a_vfork_child_with_its_parents_pid_disturbs_nothing) {
    static const struct tally all = { .sockets = 2, .connects = 2, .established = 2, .time_wait = 2 };
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .raw = true });
    struct ended e = run(text("LOG=%s", log), "new_namespace 127.0.0.1 %u", peer.port);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    tally_expect("pid 1", log, &all, 1);
    cr_assert_eq(ns_tw(), 2);
    peer_stop(&peer);
}

/* linger=rst is for the close that ends a connection: while such a child lives, ours does not. */
Test(tree, linger_rst_spares_what_a_child_of_popen_has) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .raw = true });
    struct ended e = run("LINGER=rst", "spawn_by popen_child_last 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    peer_expect_clean(&peer, 0, N, 1, "popen");
    peer_stop(&peer);
}

Test(tree, a_descriptor_that_is_sent_to_another_process) {
    rows_logged(&sent_ways);
    rows_logged(&sent_last_ways);
}

/* ---- exec ------------------------------------------------------------------------------------------- */

Test(tree, exec_hands_over_what_is_not_close_on_exec_and_ends_what_is) {
    rows_logged(&exec_ways);
}

/* Where only the kernel's own look at the file tells, the line of the exec is written; the next one takes it back. */
Test(tree, an_exec_that_the_kernel_refuses_is_taken_back) {
    static const struct tally ended = CLIENT(passive);
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("bc", 0);
    struct ended e = run(text("LOG=%s", log), "exec_by what_is_no_program 127.0.0.1 %u %d copied", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    const char *whole = file_text(log), *line = log_line(whole, log_lines(whole) - 1);
    cr_assert_str_eq(log_text(log_line(whole, 0), "event"), "exec");
    cr_assert_str_eq(log_text(line, "event"), "exit");
    FILE *last = fopen(log, "w");
    fprintf(last, "%s\n", line);
    fclose(last);
    tally_expect("what is no program", log, &ended, N);
    cr_assert_eq(ns_tw(), N);
    peer_stop(&peer);
}

/* ---- daemon ----------------------------------------------------------------------------------------- */

/* What a daemon has said by the time that it has closed all: it outlives the process that was started. */
static const char *said_by_daemon(const char *settings, const char *log, struct peer *peer, unsigned before, int how) {
    struct victim v = victim_start(settings, "daemonizes 127.0.0.1 %u %d %d %d", peer->port, N, how & 1, how >> 1);

    peer_wait_ended(peer, before + N);
    for (int i = 0; log && i < 12000 && log_lines(file_text(log)) < 2; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    const char *out = victim_out(&v);
    struct ended e = victim_wait(&v);
    cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
    return out;
}

Test(tree, daemon_hands_over_to_its_child) {
    /* The parent's line is written while the daemon has them still: open. */
    static const struct tally both = { .sockets = 1, .connects = 1, .established = 2, .time_wait = 1, .open = 1 };

    for (int how = 0; how < 4; how++) {
        const char *log = scratch_path(), *name = text("daemon(%d, %d)", how & 1, how >> 1);
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        const char *bare = said_by_daemon(NULL, NULL, &peer, 0, how);
        const char *wrapped = said_by_daemon(text("LOG=%s", log), log, &peer, N, how);
        cr_assert(strlen(bare) > 100, "%s: %s", name, bare);
        cr_assert_str_eq(wrapped, bare, "%s", name);
        tally_expect(name, log, &both, N);
        cr_assert_eq(ns_tw(), 2 * N, "%s", name);
        peer_stop(&peer);
    }
}

/* ---- what no process can know ----------------------------------------------------------------------- */

/* The counts of a way whose outcome neither side can see; a reader settles it by cookie. What is asserted: the
 * invariant, and that the kernel has each connection once. */
static void expect_whole(const char *victim, const char *way, const char *extra) {
    const char *name = text("%s %s %s", victim, way, extra), *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "%s %s 127.0.0.1 %u %d %s", victim, way, peer.port, N, extra);
    cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
    struct tally sum = tally_log(name, log);
    struct books b = books_of(name, peer.port);
    cr_assert(sum.connects == N && sum.sockets == N, "%s: %s", name, file_text(log));
    cr_assert(sum.time_wait + sum.passed >= N, "%s: %s", name, file_text(log));
    cr_assert(b.to == N && b.made == N, "%s: the kernel has %ld", name, b.to);
    peer_stop(&peer);
}

Test(tree, what_no_process_can_know_keeps_the_invariant) {
    expect_whole("pass_by", "lost", "");    /* sent, and never received */
    expect_whole("pass_by", "grabbed", ""); /* taken by pidfd_getfd, its owner unaware */
    expect_whole("pass_by", "grabbed_image", "");
    expect_whole("tree_by", "child_closes_last", "instruction"); /* forked past libc */
    expect_whole("tree_by", "parent_closes_last", "instruction");
}
