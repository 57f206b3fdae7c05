/* What memory the library takes from a program: little, not locked to speak of, and none that a limit would miss. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* The last number after `name` in what the victim has said. */
static long said(const struct ended *e, const char *name) {
    long n = -1;

    for (const char *at = e->out; (at = strstr(at, name)); at++)
        n = atol(at + strlen(name));
    return n;
}

static const char *const settings[] = { "LINGER=ack", "LOG=/dev/null", "LOG=/dev/null|LEDGER=" };

Test(memory, of_a_program_is_hardly_more_than_bare) {
    static const char *const ways[] = { "plain", "lock_before", "lock_after" };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t w = 0; w < 3; w++) {
        struct ended bare = run(NULL, "memory %s 127.0.0.1 %u", ways[w], peer.port);
        for (size_t i = 0; i < 3; i++) {
            const char *directory = i == 2 ? directory_made() : NULL, *name = text("%s, %s", ways[w], settings[i]);
            struct ended e;
            for (int tries = 0; tries < 5; tries++) { /* of a time, the best counts */
                e = run(text("%s%s", settings[i], directory ? directory : ""), "memory %s 127.0.0.1 %u", ways[w],
                        peer.port);
                if (said(&e, "first ") < 1000000)
                    break;
            }
            cr_assert(bare.status == 0 && e.status == 0, "%s: %s%s", name, e.out, e.err);
            cr_expect(said(&e, "VmSize ") - said(&bare, "VmSize ") < 1024, "%s: %ld KiB, bare %ld", name,
                      said(&e, "VmSize "), said(&bare, "VmSize "));
            cr_expect(said(&e, "VmLck ") - said(&bare, "VmLck ") < 1024, "%s: %ld KiB locked, bare %ld", name,
                      said(&e, "VmLck "), said(&bare, "VmLck "));
            /* A file's pages, locked at once, take the time of its disk. */
            cr_expect(directory || said(&e, "first ") < 1000000, "%s: the first socket took %ld ns", name,
                      said(&e, "first "));
            cr_expect(!strstr(bare.out, "mlockall 0") || strstr(e.out, "mlockall 0"), "%s: %s", name, e.out);
            if (directory)
                directory_removed(directory);
        }
    }
    peer_stop(&peer);
}

/* Where stderr is the log, whoever lets go of it gets a line. */
Test(memory, does_not_grow_with_the_lines_of_a_log) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const struct ended none = run("LOG=stderr", "memory plain 127.0.0.1 %u", peer.port),
                       many = run("LOG=stderr", "memory lines 127.0.0.1 %u", peer.port);
    size_t lines = 0;
    for (const char *at = many.err; (at = strstr(at, "event=interval")); at++)
        lines++;
    cr_assert(none.status == 0 && many.status == 0 && lines >= 600, "%zu lines: %s", lines, many.out);
    cr_expect_lt(said(&many, "VmSize ") - said(&none, "VmSize "), 512, "%ld KiB, without lines %ld",
                 said(&many, "VmSize "), said(&none, "VmSize "));
    peer_stop(&peer);
}

Test(memory, is_left_to_a_program_that_has_little_address_space) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < 3; i++) {
        const char *directory = i == 2 ? directory_made() : NULL, *log = scratch_path();
        struct ended e = run(i ? text("LOG=%s%s%s", log, directory ? "|LEDGER=" : "", directory ? directory : "")
                               : "LINGER=ack",
                             "memory address_space 127.0.0.1 %u", peer.port);
        cr_assert(e.status == 0 && strstr(e.out, "malloc 1 MiB") && !*e.err, "%s: %d %s%s", settings[i], e.status,
                  e.out, e.err);
        cr_expect(!i || log_number(log_line(file_text(log), 0), "established") == 1, "%s", settings[i]);
        if (directory)
            directory_removed(directory);
    }
    peer_stop(&peer);
}

/* Each mapping that is ours and shared: small, not for a core dump, not for huge pages. */
Test(memory, that_is_shared_stays_out_of_core_dumps) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (size_t i = 0; i < 3; i++) {
        const char *directory = i == 2 ? directory_made() : NULL;
        struct victim v = victim_start(text("%s%s", settings[i], directory ? directory : ""),
                                       "connect_hold 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "open");
        FILE *smaps = fopen(text("/proc/%d/smaps", (int)v.pid), "re");
        long size = 0, sizes = 0, resident = 0, rss = 0, n = 0;
        bool shared = false;
        for (char line[512], mode[8]; smaps && fgets(line, sizeof line, smaps);) {
            if (sscanf(line, "%*x-%*x %7s", mode) == 1)
                shared = mode[3] == 's';
            if (shared && sscanf(line, "Size: %ld", &size) == 1)
                sizes += size;
            if (shared && sscanf(line, "Rss: %ld", &rss) == 1)
                resident += rss;
            if (shared && strncmp(line, "VmFlags:", 8) == 0) {
                n++;
                cr_expect(strstr(line, " dd") && strstr(line, " nh"), "%s: %s", settings[i], line);
            }
        }
        fclose(smaps);
        cr_expect(n > 0 && sizes <= 128 && resident > 0 && resident <= 96, "%s: %ld mappings, %ld KiB, %ld resident",
                  settings[i], n, sizes, resident);
        victim_kill(&v, SIGKILL);
        if (directory)
            directory_removed(directory);
    }
    peer_stop(&peer);
}

/* Private memory without a name that can be written and would be in a core dump, KiB. */
static long dumped(pid_t pid) {
    FILE *smaps = fopen(text("/proc/%d/smaps", (int)pid), "re");
    long sum = 0, size = 0, inode = 0;
    char mode[8] = "";
    bool named = false;

    cr_assert(smaps, "/proc/%d/smaps", (int)pid);
    for (char line[512]; fgets(line, sizeof line, smaps);) {
        if (sscanf(line, "%*x-%*x %7s %*s %*s %ld", mode, &inode) == 2)
            named = strpbrk(line, "/[") != NULL;
        else if (strncmp(line, "Size:", 5) == 0)
            size = atol(line + 5);
        else if (strncmp(line, "VmFlags:", 8) == 0 && mode[1] == 'w' && mode[3] == 'p' && !inode && !named &&
                 !strstr(line, " dd"))
            sum += size;
    }
    fclose(smaps);
    return sum;
}

/* What rules, addresses and long settings became. */
Test(memory, that_policies_are_kept_in_stays_out_of_core_dumps) {
    static char many[40000];
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    size_t n = (size_t)sprintf(many, "LINGER=ack|ONLY=connect_hold");
    for (int i = 0; i < 1000; i++)
        n += (size_t)sprintf(many + n, ",name%d", i);
    n += (size_t)sprintf(many + n, "|RULES=");
    for (int i = 0; i < 500; i++)
        n += (size_t)sprintf(many + n, "connect :%d source=10.0.0.1+10.0.0.9;", 20000 + i);
    long sums[2];
    for (int i = 0; i < 2; i++) {
        struct victim v = victim_start(i ? many : "LINGER=ack", "connect_hold 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "open");
        sums[i] = dumped(v.pid);
        victim_kill(&v, SIGKILL);
    }
    cr_expect_eq(sums[1], sums[0], "%ld KiB, with few settings %ld", sums[1], sums[0]);
    peer_stop(&peer);
}

/* What vm.overcommit_memory=2, which takes no notice of MAP_NORESERVE, makes a process answer for, KiB: private memory
 * that can be written, all of it, and pages of shared memory as they come to be. */
static long committed(pid_t pid) {
    FILE *smaps = fopen(text("/proc/%d/smaps", (int)pid), "re");
    long sum = 0, n;
    char mode[8] = "";

    cr_assert(smaps, "/proc/%d/smaps", (int)pid);
    for (char line[512]; fgets(line, sizeof line, smaps);) {
        const bool mapping = sscanf(line, "%*x-%*x %7s", mode) == 1;
        if (!mapping && mode[3] == 'p' && mode[1] == 'w' && sscanf(line, "Size: %ld", &n) == 1)
            sum += n;
        if (!mapping && mode[3] == 's' && sscanf(line, "Rss: %ld", &n) == 1)
            sum += n;
    }
    fclose(smaps);
    return sum;
}

Test(memory, that_counts_where_nothing_is_overcommitted_is_under_2_MiB) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim bare = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    victim_wait_out(&bare, "open");
    const long without = committed(bare.pid);
    victim_kill(&bare, SIGKILL);
    for (size_t i = 0; i < 3; i++) {
        const char *directory = i == 2 ? directory_made() : NULL;
        struct victim v = victim_start(text("%s%s", settings[i], directory ? directory : ""),
                                       "connect_hold 127.0.0.1 %u", peer.port);
        victim_wait_out(&v, "open");
        const long with = committed(v.pid);
        cr_expect(with > without && with - without < 2048, "%s: %ld KiB, bare %ld", settings[i], with, without);
        victim_kill(&v, SIGKILL);
        if (directory)
            directory_removed(directory);
    }
    peer_stop(&peer);
}

static const char *const of_stack[] = {
    "LINGER=ack|BIND_NO_PORT=on",
    "LOG=/dev/null|LOG_INTERVAL=1|PORT_SEARCH=cycle|BIND_NO_PORT=on|KEEPALIVE=60",
    "LOG=stderr|LINGER=rst",
    "LOG=/dev/null|SOURCE=127.0.0.2-127.0.0.9,10.1.2.3|PORT_SEARCH=cycle|SYN_RETRIES=9|LEDGER=",
    "LOG=/nonexistent/log|LINGER=ack|LEDGER=",
    "LOG=/dev/null|LEDGER=/nonexistent",
    "SET=on|LOG=/dev/null|SOURCE=127.0.0.1-127.0.0.9|PORT_SEARCH=cycle|KEEPALIVE=60|LEDGER=",
    "SET=on|LINGER=rst", /* and letters come */
    "REUSEADDR=perhaps",
};

/* On a painted stack, everything linked beforehand: what ld.so takes for itself is not ours. */
Test(memory, of_the_stack_less_than_a_kibibyte_is_taken) {

    ns_enter();
    own_default(); /* where set notes what was there before */
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended bare = run("ONLY=other|$LD_BIND_NOW=1", "stack 127.0.0.1 %u", peer.port);
    cr_assert(bare.status == 0, "%s%s", bare.out, bare.err);
    for (size_t i = 0; i < sizeof of_stack / sizeof *of_stack; i++) {
        const char *directory = of_stack[i][strlen(of_stack[i]) - 1] == '=' ? directory_made() : NULL;
        struct ended e = run(text("%s%s|$LD_BIND_NOW=1", of_stack[i], directory ? directory : ""),
                             "stack 127.0.0.1 %u %s", peer.port, strstr(of_stack[i], "SET=on") ? command_path() : "");
        cr_assert(e.status == 0, "%s: %d %s%s", of_stack[i], e.status, e.out, e.err);
        char name[64];
        long used;
        int n = 0;
        for (const char *at = e.out; sscanf(at, "%63s %ld", name, &used) == 2; at = strchr(at, '\n') + 1) {
            const char *line = strstr(bare.out, text("%s ", name));
            long without = line ? atol(line + strlen(name)) : 0;
            cr_expect(used - without < 1024, "%s: %s takes %ld bytes of stack, bare %ld", of_stack[i], name, used,
                      without);
            n++;
        }
        cr_expect(n > 30, "%s: %s", of_stack[i], e.out);
        if (directory)
            directory_removed(directory);
    }
    peer_stop(&peer);
}

/* As a crash handler has it, or a language of its own: the least that the kernel takes, and 2 KiB. */
Test(memory, of_a_small_stack_for_signals_is_enough) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const struct ended bare = run("$LD_BIND_NOW=1|$LD_PRELOAD=", "stack 127.0.0.1 %u signal", peer.port);
    cr_assert_eq(bare.status, 0, "%d %s%s", bare.status, bare.out, bare.err);
    for (size_t i = 0; i < sizeof of_stack / sizeof *of_stack; i++) {
        const char *directory = of_stack[i][strlen(of_stack[i]) - 1] == '=' ? directory_made() : NULL;
        struct ended e = run(text("%s%s|$LD_BIND_NOW=1", of_stack[i], directory ? directory : ""),
                             "stack 127.0.0.1 %u signal", peer.port);
        cr_assert_eq(e.status, 0, "%s: %d, after %s", of_stack[i], e.status, e.out);
        cr_expect_str_eq(e.out, bare.out, "%s", of_stack[i]);
        if (directory)
            directory_removed(directory);
    }
    peer_stop(&peer);
}
