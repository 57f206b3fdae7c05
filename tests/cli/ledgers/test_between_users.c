/* Root reads what other users have written down, and believes of it what they may say: forged ledgers know every cookie
 * and address, for those are no secret, and may lie in any number. */
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { ALICE = 65533, MALLORY = 65534, RING = 1 << 18 };

/* Their default directories, in a /run of the test's own. */
static void make_users(void) {
    ns_enter();
    own_default();
    for (unsigned uid = ALICE; uid <= MALLORY; uid++)
        if (shell("mkdir -p /run/user/%u && install -d -m 700 -o %u /run/user/%u/afterfin", uid, uid, uid).status != 0)
            cr_skip_test("only the machine's root can give other users a directory");
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A ledger of that user (0: root) with one process of this pid, slot 0. */
static struct af_ledger *ledger_of(unsigned uid, int32_t pid, const char *name) {
    char directory[64], path[128];
    snprintf(directory, sizeof directory, uid ? "/run/user/%u/afterfin" : "/run/afterfin", uid);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    struct af_ledger *ledger = make_ledger(directory, name);
    ledger->max_closed = RING;
    snprintf(ledger->program, sizeof ledger->program, "of-%u", uid);
    make_process(ledger, pid);
    cr_assert_eq(chown(path, uid, uid), 0);
    return ledger;
}

static void claim(struct af_ledger *ledger, uint64_t cookie, uint64_t at) {
    make_closed(ledger, cookie, at, 0, 0, AF_END_TIME_WAIT);
    make_count(ledger, 0, AF_COUNT_established, 1);
    make_count(ledger, 0, AF_COUNT_time_wait, 1);
}

/* ... to have had, and handed on. */
static void passed(struct af_ledger *ledger, uint64_t cookie) {
    make_closed(ledger, cookie, now(), 0, 0, AF_END_PASSED);
    make_count(ledger, 0, AF_COUNT_established, 1);
    make_count(ledger, 0, AF_COUNT_passed, 1);
}

static uint64_t cookie_of(int fd) {
    uint64_t cookie;
    socklen_t size = sizeof cookie;
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
    return cookie;
}

static int connect_to(uint16_t port) {
    const struct sockaddr_in to = { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* The cookie of a TIME_WAIT that this process leaves. */
static uint64_t leave_one(uint16_t port) {
    int fd = connect_to(port);
    const uint64_t cookie = cookie_of(fd);
    close(fd);
    return cookie;
}

static json_t *json_of(const char *subcommand, const char *option) {
    struct ended e = command("XDG_RUNTIME_DIR=", subcommand, "--json", option, NULL);
    cr_assert_eq(e.status, 0, "%s: %s", subcommand, e.err);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_assert(json, "%s", e.out);
    return json;
}

Test(between_users, what_several_claim_is_shown_as_claimed_and_nobodys) {
    make_users();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct af_ledger *root = ledger_of(0, 70, "r.ledger"), *alice = ledger_of(ALICE, 71, "a.ledger"),
                     *mallory = ledger_of(MALLORY, 72, "m.ledger");
    uint64_t cookie[6];
    for (size_t i = 0; i < ROWS(cookie); i++)
        cookie[i] = leave_one(peer.port);
    ns_settle();
    /* Root's own two, and Alice's two; one each of them does Mallory claim, and one that nobody else does. */
    claim(root, cookie[0], now());
    claim(root, cookie[1], now());
    claim(alice, cookie[2], now());
    claim(alice, cookie[3], now());
    claim(mallory, cookie[1], now());
    claim(mallory, cookie[3], now());
    claim(mallory, cookie[4], now());

    json_t *who = json_of("who", NULL);
    cr_expect_eq(total_of(who, 70), 1);
    cr_expect_eq(total_of(who, 71), 1);
    cr_expect_eq(total_of(who, 72), 1, "what nothing contradicts");
    cr_expect_eq(json_number(who, "contested"), 2);
    cr_expect_eq(json_number(who, "unknown"), 1);
    long claims = 0, claimants = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(who, "sockets")); i++) {
        const json_t *socket = json_array_get(json_object_get(who, "sockets"), i),
                     *all = json_object_get(socket, "claims");
        claims += all != NULL;
        claimants += (long)json_array_size(all);
        cr_expect(!all || json_is_null(json_object_get(socket, "pid")));
        cr_expect(!all || json_number(all ? json_array_get(all, 1) : NULL, "uid") == MALLORY);
    }
    cr_expect(claims == 2 && claimants == 4, "%ld %ld", claims, claimants);
    struct ended table = command("XDG_RUNTIME_DIR=", "who", NULL);
    cr_expect(strstr(table.out, "claimed: of-0 70 of us, of-65534 72 of nobody"), "%s", table.out);
    cr_expect(strstr(table.out, "claimed by several users"), "%s", table.out);

    json_t *top = json_of("top", "--once"), *report = json_of("report", NULL);
    cr_expect_eq(json_number(top, "contested"), 2);
    cr_expect_eq(json_number(top, "unknown"), 1);
    cr_expect(strstr(command("XDG_RUNTIME_DIR=", "top", "--once", NULL).out, "claimed by several users"));
    cr_expect_eq(json_number(report, "totals.time_wait"), 7, "what each counts of himself stays");
    cr_expect(strstr(command("XDG_RUNTIME_DIR=", "report", NULL).err, "2 TIME_WAIT sockets are claimed by ledgers"));

    struct ended reap = command("XDG_RUNTIME_DIR=", "reap", "--pid", "70", NULL);
    cr_expect(strstr(reap.out, "ended 2 of 2"), "its own word is enough for root: %s", reap.out);
    cr_expect(strstr(command("XDG_RUNTIME_DIR=", "reap", "--pid", "72", NULL).out, "no TIME_WAIT socket matches"));
}

Test(between_users, a_time_in_the_future_is_broken) {
    static const uint64_t later[] = { UINT64_MAX, UINT64_C(1) << 63, 0 };
    make_users();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct af_ledger *alice = ledger_of(ALICE, 71, "a.ledger"), *mallory = ledger_of(MALLORY, 72, "m.ledger"),
                     *begins = ledger_of(MALLORY, 73, "b.ledger"), *process = ledger_of(MALLORY, 74, "p.ledger"),
                     *policy = ledger_of(MALLORY, 75, "s.ledger");
    for (size_t i = 0; i < ROWS(later); i++) {
        const uint64_t cookie = leave_one(peer.port), at = later[i] ? later[i] : now() + UINT64_C(3600000000000);
        claim(alice, cookie, now());
        claim(mallory, cookie, at);
        claim(begins, cookie, now());
    }
    ns_settle();
    begins->started = UINT64_MAX;
    policy->policy_since = UINT64_MAX;
    af_ledger_process(made_map(process), 0)->started = UINT64_MAX;
    struct ended e = command("XDG_RUNTIME_DIR=", "who", "--json", NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_expect_eq(total_of(json, 71), (long)ROWS(later), "%s", e.out);
    cr_expect_eq(json_number(json, "contested"), -1);
    cr_expect(strstr(e.err, "b.ledger: says that it begins in the future"), "%s", e.err);
    cr_expect(strstr(e.err, "s.ledger: says that its policy came in the future"), "%s", e.err);
    cr_expect(strstr(e.err, "4 records made no sense"), "%s", e.err);
}

static void open_in(struct af_ledger *ledger, uint64_t cookie) {
    struct af_connection *conn = af_ledger_connection(made_map(ledger), af_ledger_take_block(made_map(ledger)));
    conn->state = AF_CONN_OPEN;
    conn->cookie = cookie;
    conn->peer = made_peer;
    make_count(ledger, 0, AF_COUNT_established, 1);
}

/* Who made it the kernel tells as long as it is open. */
Test(between_users, an_open_connection_is_its_makers) {
    make_users();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct af_ledger *alice = ledger_of(ALICE, (int32_t)getpid(), "a.ledger"),
                     *mallory = ledger_of(MALLORY, (int32_t)getppid(), "m.ledger");
    af_ledger_process(made_map(alice), 0)->ended = af_ledger_process(made_map(mallory), 0)->ended = AF_RUNNING;
    cr_assert_eq(seteuid(ALICE), 0);
    int fd = connect_to(peer.port);
    cr_assert_eq(seteuid(0), 0);
    open_in(alice, cookie_of(fd));
    open_in(mallory, cookie_of(fd));
    json_t *top = json_of("top", "--once");
    long open[2] = { -1, -1 };
    for (size_t i = 0; i < json_array_size(json_object_get(top, "processes")); i++) {
        const json_t *one = json_array_get(json_object_get(top, "processes"), i);
        open[json_number(one, "pid") == getppid()] = json_number(one, "open");
    }
    cr_expect_eq(open[0], 1, "Alice's: %s", json_dumps(top, 0));
    cr_expect_eq(open[1], 0, "Mallory's");
}

/* ---- how much is read of one user ------------------------------------------------------------------------------ */

/* Its peak memory in kB, and its time. */
static struct ended measured(const char *subcommand, const char *option, long *kilobytes, double *seconds) {
    struct timespec from, to;
    struct rusage usage;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct ended e = command("XDG_RUNTIME_DIR=", subcommand, "--json", option, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    getrusage(RUSAGE_CHILDREN, &usage);
    *kilobytes = usage.ru_maxrss;
    *seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    cr_assert_eq(e.status, 0, "%s: %s", subcommand, e.err);
    return e;
}

Test(between_users, a_file_with_several_names_or_too_long_a_ring_is_left_out) {
    make_users();
    claim(ledger_of(MALLORY, 72, "0.ledger"), 4711, now());
    ledger_of(MALLORY, 73, "long.ledger")->max_closed = AF_MAX_CLOSED;
    struct ended e = command("XDG_RUNTIME_DIR=", "report", "--json", NULL);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "ledgers"), 1, "%s", e.out);
    cr_expect(strstr(e.err,
                     "long.ledger: has room for 1048576 closed connections, more than the kernel has TIME_WAITs\n"),
              "%s", e.err);
    claim(ledger_of(MALLORY, 74, "several.ledger"), 4712, now());
    cr_assert_eq(shell("cd /run/user/%u/afterfin && for i in $(seq 37); do ln several.ledger $i.ledger; done", MALLORY)
                     .status,
                 0);
    e = command("XDG_RUNTIME_DIR=", "report", "--json", NULL);
    cr_expect_eq(json_number(json_loads(e.out, 0, NULL), "ledgers"), 1, "%s", e.out);
    cr_expect(strstr(e.err, ".ledger: has 38 names, of which a ledger has one\n"), "%s", e.err);
    cr_expect(strstr(e.err, "report: user 65534: 35 more were left out\n"), "%s", e.err);
}

/* A name is nothing but a header, or nothing at all, before a hole. */
static void make_names(void) {
    struct af_ledger *first = ledger_of(MALLORY, 71, "first.ledger");
    for (int i = 0; i < 100000; i++) {
        char path[64];
        const bool is_ledger = i % 16 == 0;
        snprintf(path, sizeof path, "/run/user/%u/afterfin/n%d%s", MALLORY, i, is_ledger ? ".ledger" : "");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        cr_assert(fd >= 0 && fchown(fd, MALLORY, MALLORY) == 0, "%s", path);
        if (is_ledger)
            cr_assert(write(fd, first, sizeof *first) > 0 && ftruncate(fd, (off_t)first->size) == 0);
        close(fd);
    }
}

enum { FULL = 12 };

/* Ledgers of 17 MB, their rings full of ends. */
static void make_rings(void) {
    struct af_closed *ring = calloc(RING, sizeof *ring);
    char name[64];
    for (uint32_t i = 0; i < RING; i++)
        ring[i] = (struct af_closed){
            .serial = i + 1, .cookie = i + 1, .at = now(), .counted = AF_END_TIME_WAIT, .peer = made_peer
        };
    for (int i = 0; i < FULL; i++) {
        snprintf(name, sizeof name, "%d.ledger", i);
        struct af_ledger *full = ledger_of(MALLORY, 72 + i, name);
        memcpy((char *)full + full->closed_at, ring, RING * sizeof *ring);
        full->n_closed = RING;
        munmap(full, full->size);
    }
    free(ring);
}

/* Some with as many processes as there is room for. */
static void make_processes(void) {
    char name[64];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%d.ledger", i);
        struct af_ledger *full = ledger_of(MALLORY, 72 + i, name);
        for (int32_t slot = 1; slot < AF_MAX_PROCESSES; slot++)
            make_process(full, 100 + slot);
        munmap(full, full->size);
    }
}

/* Full ledgers; many that are nearly empty, and holes of hundreds of MB; a hundred thousand names. Without an end of
 * what is read of one user it is 190 MB, and 230 to 380. */
Test(between_users, whatever_lies_there_costs_root_no_more_than_the_kernels_table, .timeout = 120) {
    static const char *const rows[][2] = { { "who", NULL }, { "report", NULL }, { "top", "--once" } };
    static const struct {
        const char *what;
        void (*make)(void);
        long most_kilobytes;
    } kinds[] = { { "rings", make_rings, 140000 }, { "processes", make_processes, 190000 } };
    make_users();
    make_names();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    claim(ledger_of(ALICE, 71, "a.ledger"), leave_one(peer.port), now());
    ns_settle();
    for (size_t k = 0; k < ROWS(kinds); k++) {
        kinds[k].make();
        for (size_t i = 0; i < ROWS(rows); i++) {
            long kilobytes;
            double seconds;
            struct ended e = measured(rows[i][0], rows[i][1], &kilobytes, &seconds);
            cr_expect_lt(kilobytes, kinds[k].most_kilobytes, "%s: %s: %ld kB", kinds[k].what, rows[i][0], kilobytes);
            cr_expect_lt(seconds, 15, "%s: %s: %.1f s", kinds[k].what, rows[i][0], seconds);
            cr_expect(strstr(e.err, "user 65534 has more files, or more in them, than a user has sockets"),
                      "%s: %s: %.300s", kinds[k].what, rows[i][0], e.err);
        }
        cr_expect_eq(total_of(json_of("who", NULL), 71), 1, "and others are read");
        cr_assert_eq(shell("rm /run/user/%u/afterfin/[0-9]*.ledger", MALLORY).status, 0);
    }
}

/* What nobody is known to have ended is its last known holder's, unless several users say that they are that. */
Test(between_users, what_was_handed_on_to_nobody_known_is_ones_who_says_so_alone) {
    make_users();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct af_ledger *alice = ledger_of(ALICE, 71, "a.ledger"), *mallory = ledger_of(MALLORY, 72, "m.ledger");
    const uint64_t alone = leave_one(peer.port), both = leave_one(peer.port), ended = leave_one(peer.port);
    ns_settle();
    passed(alice, alone);
    passed(alice, both);
    claim(alice, ended, now());
    passed(mallory, both);
    passed(mallory, ended);

    json_t *who = json_of("who", NULL);
    cr_expect_eq(total_of(who, 71), 2);
    cr_expect_eq(json_number(who, "unknown"), 1);
    json_t *report = json_of("report", NULL);
    cr_expect_eq(json_number(report, "totals.time_wait"), 2, "%s", json_dumps(report, 0));
}
