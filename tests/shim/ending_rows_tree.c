/* The table of endings, of trees of processes and of threads: see ending_rows.h. Whoever ends a connection has it,
 * whoever opened it has it as `passed`. */
#include "tests/shim/ending_rows.h"

/* clang-format off */
#define ENDINGS(name, of) \
    const struct endings name = { .victim = of, .rows = name##_rows, .n = sizeof name##_rows / sizeof *name##_rows }

/* Opened here, ended there: the ender has it as established too. */
#define HANDED_ON { .sockets = 1, .connects = 1, .established = 2, .time_wait = 1, .passed = 1 }
#define ALONE(name, ...) { .way = name, .script = "ec", .each = CLIENT(time_wait), __VA_ARGS__ }
#define HANDED(name, ...) { .way = name, .script = "ec", .each = HANDED_ON, .spared = true, __VA_ARGS__ }
#define SPARED(name, ...) ALONE(name, .spared = true, __VA_ARGS__)

static const struct tally alone = CLIENT(time_wait);

static const struct row fork_ways_rows[] = {
    HANDED("child_closes_last", .extra = "fork"),
    ALONE("parent_closes_last", .extra = "fork"),
    HANDED("child_exits_last", .extra = "fork"),
    ALONE("child_exits_first", .extra = "fork"),
    HANDED("grandchild_closes_last", .extra = "fork"),
    HANDED("child_copies_and_closes_both", .extra = "fork"),
    ALONE("child_closes_all_and_opens_none", .extra = "fork"),
};
ENDINGS(fork_ways, "tree_by");

/* The opener leaves before a child that has it still: its line says `open`, until a reader knows better. */
static const struct tally handed_on = HANDED_ON;
#define SURVIVED(name) \
    { .way = name, .script = "ec", .settled = &handed_on, .spared = true, \
      .each = { .sockets = 1, .connects = 1, .established = 2, .time_wait = 1, .open = 1 } }
static const struct row part_ways_rows[] = {
    SURVIVED("parent_exits_first"), SURVIVED("parent__exits_first"), ALONE("child_exits_first"),
    ALONE("child__exits_first"),
};
ENDINGS(part_ways, "part_by");

static const struct row daemon_ways_rows[] = {
    SURVIVED("daemon_closes"), SURVIVED("daemon_keeps_stdio"), SURVIVED("daemon_exits"), SURVIVED("daemon_closes_all"),
};
ENDINGS(daemon_ways, "part_by");

#define BIRTH(name, ...) \
    HANDED("child_closes_last", .extra = name, __VA_ARGS__), ALONE("parent_closes_last", .extra = name, __VA_ARGS__)
static const struct row birth_ways_rows[] = {
    BIRTH("__fork", .most = 0), BIRTH("_Fork", .most = 0), BIRTH("syscall_fork", .most = 0),
    BIRTH("syscall_clone", .most = 0), BIRTH("syscall_clone3", .most = 0), BIRTH("forkpty", .most = 250),
    BIRTH("fork_in_fork", .most = 0),
};
ENDINGS(birth_ways, "tree_by");

/* The kernel closes for who is killed; its line is never written, its share stays `open` until a reader settles.
 * A live record says how many hold it, not who: whoever opened it has it then, though the child was the last. */
static const struct row killed_ways_rows[] = {
    { .way = "child_is_killed_last", .extra = "fork", .script = "ec", .each = CLIENT(open), .settled = &alone, .spared = true,
      .unasked = true },
    { .way = "child_is_killed_first", .extra = "fork", .script = "ec", .each = CLIENT(open), .settled = &alone, .spared = true, .unasked = true },
};
ENDINGS(killed_ways, "tree_by");

static const struct row memory_ways_rows[] = {
    ALONE("vfork_closes_all", .extra = ""), ALONE("vfork_puts_something_else_there", .extra = ""),
    ALONE("vfork_leaves_at_once", .extra = ""), ALONE("vfork_and_exec_fails", .extra = ""),
    ALONE("__vfork_closes_all", .extra = ""), ALONE("clone_vm_closes_all", .extra = ""),
    ALONE("__clone_vm_closes_all", .extra = ""), ALONE("clone_vfork_closes_all", .extra = ""),
    ALONE("clone_closes_all", .extra = ""), ALONE("__clone_closes_all", .extra = ""),
    ALONE("clone_vm_files_leaves", .extra = ""), ALONE("clone_vm_after_a_fork_was_left", .extra = ""),
};
ENDINGS(memory_ways, "spawn_by");

/* A handler in the parent, before its vfork has returned, is not the child. */
#define TWICE { .sockets = 2, .connects = 2, .established = 2, .time_wait = 2 }
static const struct row handler_ways_rows[] = {
    { .way = "vfork_and_a_handler_opens", .extra = "", .script = "ec", .each = TWICE },
    { .way = "vfork_and_a_handler_does_too", .extra = "", .script = "ec", .each = TWICE },
    HANDED("vfork_and_a_handler_closes", .extra = ""), ALONE("vfork_and_a_handler_jumps", .extra = ""),
};
ENDINGS(handler_ways, "spawn_by");

#define IMAGE(how, ...) \
    SPARED(how "_child_first", .extra = ""), HANDED(how "_child_last", .extra = ""), \
    ALONE(how "_child_without", .extra = "", __VA_ARGS__)
static const struct row image_ways_rows[] = {
    IMAGE("vforked", .most = 0), IMAGE("forked", .spared = true), IMAGE("spawned", .most = 0),
    IMAGE("spawnp_ed", .most = 0),
    HANDED("spawned_with_it_on_stdin", .extra = ""), SPARED("spawned_with_it_closed", .extra = ""),
    ALONE("system_child_first", .extra = ""), ALONE("popen_child_first", .extra = ""),
};
ENDINGS(image_ways, "spawn_by");

/* A relative knows the connection again by its cookie; who is none counts it as one that came from elsewhere. */
#define FAMILY .once = { .sockets = 1 }
static const struct row sent_ways_rows[] = {
    HANDED("sender_first", .extra = ""), HANDED("sender_first_image", .extra = ""),
    HANDED("sender_first_family", FAMILY), HANDED("sender_first_many", .extra = ""),
    HANDED("sender_first_many_image", .extra = ""), HANDED("sender_first_many_family", FAMILY),
    HANDED("sender_first_many_second", .extra = ""),
    HANDED("sender_first_twice", .extra = ""), HANDED("sender_first_twice_image", .extra = ""),
    HANDED("sender_first_twice_family", FAMILY), HANDED("at_once", .extra = ""),
    HANDED("at_once_image", .extra = ""), HANDED("at_once_family", FAMILY),
};
ENDINGS(sent_ways, "pass_by");

/* Of strangers neither can know who was last: the receiver has it, and a reader settles it by cookie. */
static const struct row sent_last_ways_rows[] = {
    HANDED("sender_last", .settled = &alone), HANDED("sender_last_image", .settled = &alone),
    SPARED("sender_last_family", FAMILY), HANDED("sender_last_many", .settled = &alone),
    HANDED("sender_last_many_image", .settled = &alone), SPARED("sender_last_many_family", FAMILY),
};
ENDINGS(sent_last_ways, "pass_by");

#define EXEC(name) HANDED(name, .extra = "keep"), SPARED(name, .extra = "cloexec")
static const struct row exec_ways_rows[] = {
    EXEC("execl"), EXEC("execlp"), EXEC("execle"), EXEC("execv"), EXEC("execve"), EXEC("execvp"), EXEC("execvpe"),
    EXEC("fexecve"), EXEC("execveat"), EXEC("execveat_empty"), EXEC("syscall_execve"), EXEC("syscall_execveat"),
    EXEC("script"), ALONE("nothing_that_works", .extra = "keep"), ALONE("nothing_that_works", .extra = "cloexec"),
};
ENDINGS(exec_ways, "exec_by");

static const struct row thread_ways_rows[] = {
    { .way = "own", .script = "ec", .each = { .sockets = 8, .connects = 8, .established = 8, .time_wait = 8 } },
    ALONE("copies", .extra = ""),
    ALONE("apart", .extra = ""), ALONE("apart_by_range", .extra = ""), ALONE("apart_by_marking", .extra = ""),
    ALONE("apart_by_syscall", .extra = ""), ALONE("parts_before", .extra = ""),
};
ENDINGS(thread_ways, "threads");

/* One of them closes the descriptor, perhaps before another one that had it first could set linger=rst on it, or take
 * ack back. */
static const struct row same_ways_rows[] = {
    ALONE("same", .extra = "", .late = true),
    { .way = "same_heard", .script = "sec", .each = CLIENT(time_wait) },
};
ENDINGS(same_ways, "threads");

/* The process itself, with all open: no line is written. */
static const struct row kill_ways_rows[] = {
    { .way = "sigkill", .script = "ec", .settled = &alone, .status = 128 + 9 },
    { .way = "abort", .script = "ec", .settled = &alone, .status = 128 + 6 },
};
ENDINGS(kill_ways, "leave_by");
