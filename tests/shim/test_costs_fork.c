/* What fork costs more with many connections than with few: nothing but the page tables of what is known of them. Exact. */
#include "tests/harness/harness.h"

#include <unistd.h>

enum { FEW = 500, MANY = 9000, FORKS = 4 };

struct memory {
    long mappings, anonymous_kib, huge_kib, large;
};

static struct memory holding(const char *settings, int n, const char *pages) {
    struct ended e = run(settings, "fork_holding %d 0 %s", n, pages);
    struct memory m;

    if (e.status == 77)
        cr_skip_test("so many descriptors are not allowed");
    cr_assert(e.status == 0 && sscanf(e.out, "mappings %ld anonymous %ld huge %ld large %ld", &m.mappings,
                                      &m.anonymous_kib, &m.huge_kib, &m.large) == 4,
              "status %d: %s%s", e.status, e.out, e.err);
    return m;
}

static const char *const asked[] = { "LINGER=ack", "LOG=/dev/null" };

/* 96 bytes a record, 8 in the table; the program's own heap and stack do not grow. */
Test(costs, a_fork_copies_little_for_a_connection) {
    enum { MOST_BYTES = 112 };

    ns_enter();
    for (size_t i = 0; i < 2; i++) {
        struct memory few = holding(asked[i], FEW, "small"), many = holding(asked[i], MANY, "small");
        long bytes = (many.anonymous_kib - few.anonymous_kib) * 1024 / (MANY - FEW);
        cr_expect(bytes <= MOST_BYTES && many.huge_kib == 0, "%s: %ld bytes a connection", asked[i], bytes);
        cr_expect(many.mappings <= few.mappings + 1, "%s: %ld mappings, %ld with %d connections", asked[i],
                  many.mappings, few.mappings, FEW);
    }
}

/* Where the kernel has huge pages: an entry of the page table for the many, none for a process that has few. It may have none
 * left just now. */
Test(costs, a_fork_copies_one_huge_page_of_many_connections) {
    enum { HUGE_KIB = 2048, TRIES = 5 };

    ns_enter();
    for (size_t i = 0; i < 2; i++) {
        struct memory few = holding(asked[i], FEW, ""), many = holding(asked[i], MANY, "");
        cr_expect(few.large == 0 && many.large == 1, "%s: %ld mappings are to be huge, %ld with %d connections",
                  asked[i], many.large, few.large, FEW);
        for (int t = 1; t < TRIES && many.huge_kib == 0; t++)
            many = holding(asked[i], MANY, "");
        if (many.huge_kib == 0)
            cr_skip_test("the kernel has no huge pages");
        cr_expect(many.huge_kib == HUGE_KIB && many.anonymous_kib - HUGE_KIB <= few.anonymous_kib + 16,
                  "%s: %ld KiB beside %ld in huge pages, %ld with %d connections", asked[i],
                  many.anonymous_kib - many.huge_kib, many.huge_kib, few.anonymous_kib, FEW);
    }
}

/* The page with its state. Where the stack lies is a matter of chance, and so is whether bare a fork copies one page of it or
 * two: the least counts. */
Test(costs, a_fork_makes_its_parent_copy_one_page_more) {
    enum { FORKS_EACH = 100, PROCESSES = 10 };
    long least[2] = { -1, -1 };

    ns_enter();
    for (int i = 0; i < 2 * PROCESSES; i++) {
        struct ended e = run(i & 1 ? "LINGER=ack" : NULL, "fork_holding 10 %d", FORKS_EACH);
        const char *at = strstr(e.out, "faults ");
        long faults;
        cr_assert(e.status == 0 && at && sscanf(at, "faults %ld", &faults) == 1, "%d: %s%s", e.status, e.out, e.err);
        if (least[i & 1] < 0 || faults < least[i & 1])
            least[i & 1] = faults;
    }
    cr_expect(least[1] - least[0] <= FORKS_EACH + FORKS_EACH / 2, "%ld pages copied in %d forks, bare %ld", least[1],
              FORKS_EACH, least[0]);
}

/* It lets go of each that it has inherited, and writes to the table alone: a page for 512 of them. What it reads in the ledger is
 * mapped by the kernel many pages at a time. */
Test(costs, a_child_that_ends_copies_little_for_what_it_inherited) {
    enum { CHILDREN = 10, MOST_PAGES = MANY / 100 }; /* of their records each page has 42 */

    ns_enter();
    for (size_t i = 0; i < 2; i++) {
        long copied[2];
        for (int many = 0; many < 2; many++) {
            struct ended e = run(asked[i], "fork_holding %d %d exit", many ? MANY : FEW, CHILDREN);
            const char *at = strstr(e.out, "children ");
            if (e.status == 77)
                cr_skip_test("so many descriptors are not allowed");
            cr_assert(e.status == 0 && at && sscanf(at, "children %ld", &copied[many]) == 1, "%d: %s%s", e.status,
                      e.out, e.err);
        }
        cr_expect(copied[1] - copied[0] <= CHILDREN * MOST_PAGES, "%s: %ld faults in %d children, %ld with %d sockets",
                  asked[i], copied[1], CHILDREN, copied[0], FEW);
    }
}

/* In the parent, whose word comes last. */
static long instructions(const char *settings, int n, int forks) {
    char holds[16], times[16];
    long collected = -1;

    snprintf(holds, sizeof holds, "%d", n);
    snprintf(times, sizeof times, "%d", forks);
    /* valgrind lets nobody raise the limit that it was started with. */
    struct ended e = run_argv(settings, (const char *[]){ "sh", "-c", "ulimit -n 9500 && exec \"$@\"", "sh", "valgrind",
                                                          "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                                          victim_path("fork_holding"), holds, times, NULL });
    for (const char *at = e.err; (at = strstr(at, "Collected : ")); at++)
        sscanf(at, "Collected : %ld", &collected);
    if (e.status == 77)
        cr_skip_test("so many descriptors are not allowed");
    cr_assert(e.status == 0 && collected > 0, "status %d: %s%s", e.status, e.out, e.err);
    return collected;
}

Test(costs, a_fork_takes_as_many_instructions_with_many_connections_as_with_few) {
    enum { MOST_DIFFERENCE = 50 }; /* the heap's state may differ */

    if (access("/usr/bin/valgrind", X_OK) != 0)
        cr_skip_test("valgrind is not there");
    ns_enter();
    holding("LINGER=ack", FEW, "");
    long few = (instructions("LINGER=ack", FEW, 2 * FORKS) - instructions("LINGER=ack", FEW, FORKS)) / FORKS,
         many = (instructions("LINGER=ack", MANY, 2 * FORKS) - instructions("LINGER=ack", MANY, FORKS)) / FORKS;
    cr_expect(many - few <= MOST_DIFFERENCE && few - many <= MOST_DIFFERENCE, "%ld instructions a fork, %ld with %d",
              many, few, FEW);
}
