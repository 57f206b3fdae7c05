/* Connections that more than one process holds: whoever ends one has it, whoever opened it has it as `passed`,
 * and the tree's connections are the sum of established less the sum of passed. */
#include "tests/harness_counts.h"

#include <time.h>
#include <unistd.h>

enum { N = 10 };

#define ALONE CLIENT(time_wait)
/* Opened here, ended there: the ender has it as established too. */
#define HANDED_ON { .sockets = 1, .connects = 1, .established = 2, .time_wait = 1, .passed = 1 }

static struct tally once; /* counted besides, in every row of a test */

static void expect_tree(const char *name, const char *log, struct tally each, bool ack, uint16_t port, long kernel)
{
    struct books b = books_of(name, port);
    struct tally sum = tally_log(name, log), all = once;

    if (ack) {
        each.avoided = each.time_wait;
        each.time_wait = 0;
    }
    for (int i = 0; i < N; i++)
        all = tally_sum(all, each);
    tally_expect(name, log, &all, 1);
    cr_assert(sum.established - sum.passed == N, "%s: %ld connections", name, sum.established - sum.passed);
    cr_assert(b.to == kernel, "%s: the kernel has %ld in TIME_WAIT, not %ld", name, b.to, kernel);
    cr_assert(b.made == b.to + b.from, "%s: TcpExtTW says %ld", name, b.made);
    unlink(log);
}

/* "VICTIM WAY 127.0.0.1 PORT N EXTRA" in a fresh namespace, without a policy and with linger=ack. */
static void expect_way(const char *victim, const char *way, const char *extra, struct tally each)
{
    for (int ack = 0; ack < 2; ack++) {
        const char *name = text("%s %s %s linger=%s", victim, way, extra, ack ? "ack" : "off"), *log = scratch_path();
        ns_enter();
        struct peer peer = script_start("ec", 0);
        struct ended e = run(text("LOG=%s|LINGER=%s", log, ack ? "ack" : "off"), "%s %s 127.0.0.1 %u %d %s", victim,
                             way, peer.port, N, extra);
        cr_assert(e.status == 0, "%s: %d %s%s", name, e.status, e.out, e.err);
        expect_tree(name, log, each, ack, peer.port, ack ? 0 : N);
        peer_stop(&peer);
    }
}

struct way {
    const char *name;
    struct tally each;
};

Test(tree, fork_with_whoever_is_the_last_to_let_go)
{
    static const struct way ways[] = {
        { "child_closes_last", HANDED_ON },
        { "parent_closes_last", ALONE },
        { "child_exits_last", HANDED_ON },
        { "child_exits_first", ALONE },
        { "grandchild_closes_last", HANDED_ON },
        { "child_copies_and_closes_both", HANDED_ON },
        { "child_closes_all_and_opens_none", ALONE },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        expect_way("tree_by", ways[i].name, "fork", ways[i].each);
}

Test(tree, every_way_to_fork)
{
    static const char *const births[] = {
        "__fork", "_Fork", "syscall_fork", "syscall_clone", "syscall_clone3", "forkpty",
    };
    static const struct tally alone = ALONE, handed_on = HANDED_ON;
    for (size_t i = 0; i < sizeof births / sizeof *births; i++) {
        expect_way("tree_by", "child_closes_last", births[i], handed_on);
        expect_way("tree_by", "parent_closes_last", births[i], alone);
    }
}

/* The kernel closes for who is killed; its line is never written, its share stays `open` until a reader settles. */
Test(tree, a_child_that_is_killed_leaves_its_share_open)
{
    static const char *const ways[] = { "child_is_killed_last", "child_is_killed_first" };
    static const struct tally open = CLIENT(open);

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        expect_way("tree_by", ways[i], "fork", open);
}

Test(tree, a_child_on_our_memory_disturbs_nothing)
{
    static const char *const ways[] = {
        "vfork_closes_all", "vfork_puts_something_else_there", "vfork_leaves_at_once", "vfork_and_exec_fails",
        "__vfork_closes_all", "clone_vm_closes_all", "__clone_vm_closes_all", "clone_vfork_closes_all",
        "clone_closes_all", "__clone_closes_all",
    };
    static const struct tally alone = ALONE;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        expect_way("spawn_by", ways[i], "", alone);
}

Test(tree, a_child_that_becomes_another_image)
{
    static const char *const hows[] = { "vforked", "forked", "spawned", "spawnp_ed" };
    static const struct tally alone = ALONE, handed_on = HANDED_ON;

    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        expect_way("spawn_by", text("%s_child_first", hows[i]), "", alone);
        expect_way("spawn_by", text("%s_child_last", hows[i]), "", handed_on);
        expect_way("spawn_by", text("%s_child_without", hows[i]), "", alone);
    }
    expect_way("spawn_by", "spawned_with_it_on_stdin", "", handed_on);
    expect_way("spawn_by", "spawned_with_it_closed", "", alone);
    expect_way("spawn_by", "system_child_first", "", alone);
    expect_way("spawn_by", "popen_child_first", "", alone);
}

/* linger=rst is for the close that ends a connection: while such a child lives, ours does not. */
Test(tree, linger_rst_spares_what_a_child_of_popen_has)
{
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .raw = true });
    struct ended e = run("LINGER=rst", "spawn_by popen_child_last 127.0.0.1 %u %d", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    peer_expect_clean(&peer, 0, N, 1, "popen");
    peer_stop(&peer);
}

/* A relative knows the connection again by its cookie; who is none counts it as one that came from elsewhere. */
Test(tree, a_descriptor_that_is_sent_to_another_process)
{
    static const char *const whom[] = { "", "_image", "_family" };
    static const struct tally alone = ALONE, handed_on = HANDED_ON, one_more = { .sockets = 1 };

    for (size_t i = 0; i < sizeof whom / sizeof *whom; i++) {
        once = i == 2 ? one_more : (struct tally){ 0 };
        expect_way("pass_by", text("sender_first%s", whom[i]), "", handed_on);
        expect_way("pass_by", text("sender_first_many%s", whom[i]), "", handed_on);
        expect_way("pass_by", text("sender_first_twice%s", whom[i]), "", handed_on);
        expect_way("pass_by", text("at_once%s", whom[i]), "", handed_on);
        /* Of strangers neither can know who was last: the receiver has it, and a reader settles it by cookie. */
        expect_way("pass_by", text("sender_last%s", whom[i]), "", i == 2 ? alone : handed_on);
        expect_way("pass_by", text("sender_last_many%s", whom[i]), "", i == 2 ? alone : handed_on);
    }
}

/* ---- exec ------------------------------------------------------------------------------------------- */

static const char *const execs[] = {
    "execl", "execlp", "execle", "execv", "execve", "execvp", "execvpe", "fexecve", "execveat", "execveat_empty",
    "syscall_execve", "syscall_execveat", "script",
};
#define EXECS (sizeof execs / sizeof *execs)

Test(tree, exec_hands_over_what_is_not_close_on_exec)
{
    static const struct tally handed_on = HANDED_ON;
    for (size_t i = 0; i < EXECS; i++)
        expect_way("exec_by", execs[i], "keep", handed_on);
}

Test(tree, exec_ends_what_is_close_on_exec)
{
    static const struct tally alone = ALONE;
    for (size_t i = 0; i < EXECS; i++)
        expect_way("exec_by", execs[i], "cloexec", alone);
}

Test(tree, an_exec_that_fails_changes_nothing)
{
    static const struct tally alone = ALONE;
    expect_way("exec_by", "nothing_that_works", "keep", alone);
    expect_way("exec_by", "nothing_that_works", "cloexec", alone);
}

/* Where only the kernel's own look at the file tells, the line of the exec is written; the next one takes it back. */
Test(tree, an_exec_that_the_kernel_refuses_is_taken_back)
{
    static const struct tally alone = ALONE;
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = script_start("ec", 0);
    struct ended e = run(text("LOG=%s", log), "exec_by what_is_no_program 127.0.0.1 %u %d keep", peer.port, N);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    const char *whole = file_text(log), *line = log_line(whole, log_lines(whole) - 1);
    cr_assert_str_eq(log_text(log_line(whole, 0), "event"), "exec");
    cr_assert_str_eq(log_text(line, "event"), "exit");
    FILE *last = fopen(log, "w");
    fprintf(last, "%s\n", line);
    fclose(last);
    tally_expect("what is no program", log, &alone, N);
    cr_assert_eq(ns_tw(), N);
    peer_stop(&peer);
}

/* ---- daemon ----------------------------------------------------------------------------------------- */

/* What a daemon has said by the time that it has closed all: it outlives the process that was started. */
static const char *said_by_daemon(const char *settings, const char *log, struct peer *peer, unsigned before, int how)
{
    struct victim v = victim_start(settings, "daemonizes 127.0.0.1 %u %d %d %d", peer->port, N, how & 1, how >> 1);

    peer_wait_ended(peer, before + N);
    for (int i = 0; log && i < 12000 && log_lines(file_text(log)) < 2; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    const char *out = victim_out(&v);
    struct ended e = victim_wait(&v);
    cr_assert(e.status == 0 && !*e.err, "%d %s%s", e.status, e.out, e.err);
    return out;
}

Test(tree, daemon_hands_over_to_its_child)
{
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
static void expect_whole(const char *victim, const char *way, const char *extra)
{
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

Test(tree, what_no_process_can_know_keeps_the_invariant)
{
    expect_whole("pass_by", "lost", "");                         /* sent, and never received */
    expect_whole("pass_by", "grabbed", "");                      /* taken by pidfd_getfd, its owner unaware */
    expect_whole("pass_by", "grabbed_image", "");
    expect_whole("tree_by", "child_closes_last", "instruction"); /* forked past libc */
    expect_whole("tree_by", "parent_closes_last", "instruction");
}
