/* A tree of processes under run, that is read all along and killed in part. `make soak` gives the large dose:
 * SOAK_CONNECTIONS, SOAK_PROCESSES, SOAK_SEED. */
#include "tests/harness/command.h"
#include "tests/soak/soak.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 0) : otherwise;
}

static struct soak_book *make_book(const char *path, uint64_t connections, uint64_t nodes, bool forks) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct soak_book *book = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *book) == 0)
        book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (book == MAP_FAILED)
        give_up("%s: %s", path, strerror(errno));
    close(fd);
    book->connections = connections;
    book->nodes = (uint32_t)nodes;
    book->seed = setting("SOAK_SEED", 1);
    book->forks_in_threads = forks;
    cr_assert(book->nodes >= 1 && book->nodes <= SOAK_NODES, "SOAK_PROCESSES: 1 to %d", SOAK_NODES);
    return book;
}

/* Whoever is still at work when the descriptor is there is whom it refers to. */
static bool kill_node(struct soak_node *node) {
    int fd = node->working ? (int)syscall(SYS_pidfd_open, node->pid, 0) : -1;
    bool killed = fd >= 0 && node->working;

    if (killed) {
        node->killed = 1;
        killed = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    }
    if (fd >= 0)
        close(fd);
    return killed;
}

/* One process in five, one after the other, while the connections come and go. */
static void kill_some(struct soak_book *book, const struct victim *run) {
    const uint32_t wanted = book->nodes / 5;
    uint64_t random = book->seed;

    for (uint32_t n = 0; n < wanted && victim_runs(run);) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        if (book->tickets > book->connections * (n + 1) / (wanted + 2))
            n += kill_node(&book->node[soak_random(&random) % book->nodes]);
    }
}

static void wait_for(const struct victim *run) {
    while (victim_runs(run))
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

static void soak(uint64_t connections, uint64_t nodes, bool forks) {
    const char *directory = scratch_path(), *path = scratch_path(), *json = scratch_path();
    char ledger[256], option[256];
    struct soak_book *book = make_book(path, connections, nodes, forks);

    unsetenv("AFTERFIN_SOAK");
    ns_enter();
    ns_port_range(SOAK_RANGE, 65535);
    ns_sysctl("tcp_max_tw_buckets", "2000000");
    ns_sysctl("../core/somaxconn", "65535");
    ns_sysctl("tcp_max_syn_backlog", "65535");
    cr_assert(mkdir(directory, 0700) == 0);
    snprintf(ledger, sizeof ledger, "ledger=%s", directory);
    snprintf(option, sizeof option, "--json=%s", json);
    soak_peers_start(book, 2);
    const long made = ns_netstat("TW"), overflowed = ns_netstat("TCPTimeWaitOverflow");
    soak_watch_start(book, directory);
    struct victim v = command_start(NULL, "run", "-q", option, "-p", ledger, "--", victim_path("soak_tree"), path,
                                    NULL);
    kill_some(book, &v);
    wait_for(&v);
    struct ended e = victim_wait(&v);
    cr_assert(e.status == 0, "%d: %s%s", e.status, e.out, e.err);
    cr_expect(strcmp(e.err, "") == 0, "%s", e.err);
    soak_watch_end(book);
    ns_settle();
    soak_sum(book, json, (uint64_t)(ns_netstat("TW") - made),
             (uint64_t)(ns_netstat("TCPTimeWaitOverflow") - overflowed));
}

Test(soak, every_time_wait_has_an_owner_while_processes_come_and_go_and_are_killed) {
    soak(setting("SOAK_CONNECTIONS", 20000), setting("SOAK_PROCESSES", 20), false);
}

/* A child of a process with threads holds what they had open at its birth, and may be the last to do so: whose an
 * end is, only the sums can tell. */
Test(soak, every_time_wait_has_an_owner_where_threads_fork) {
    soak(20000, 20, true);
}
