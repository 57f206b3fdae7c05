/* The default directory does not grow: whoever comes there takes away what is over. */
#include "ledger/layout.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

/* A ledger in it whose process ended so many seconds ago, and that nobody maps. */
static void leave_over(const char *directory, const char *name, long seconds) {
    char path[256];
    struct timespec now, times[2];
    struct af_ledger *ledger = make_ledger(directory, name);
    clock_gettime(CLOCK_REALTIME, &now);
    times[0] = times[1] = (struct timespec){ .tv_sec = now.tv_sec - seconds };
    struct af_process *process = af_ledger_process(made_map(ledger), make_process(ledger, INT32_MAX - 1));
    process->started = ledger->started = process->ended_at = (uint64_t)(now.tv_sec - seconds) * 1000000000u;
    ledger->pid = INT32_MAX - 1;
    munmap(ledger, ledger->size);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

Test(expire, every_command_that_opens_the_default_directory_takes_away_what_is_over) {
    static const char *const commands[][6] = {
        { "who" },
        { "top", "--once" },
        { "report" },
        { "report", "--prometheus=/dev/null" },
        { "report", "--json" },
        { "reap", "--pid", "1", "--dry-run" },
        { "run", "true" },
        { "compare", "-a", "linger=off", "-b", "linger=ack" },
    };
    ns_enter();
    const char *directory = own_default();
    for (size_t i = 0; i < ROWS(commands); i++) {
        const char *const *c = commands[i];
        leave_over(directory, "over.ledger", 301);
        leave_over(directory, "young.ledger", 250);
        struct ended e = i == ROWS(commands) - 1 ? command(NULL, c[0], c[1], c[2], c[3], c[4], "-r", "1", "true", NULL)
                                                 : command(NULL, c[0], c[1], c[2], c[3], NULL);
        cr_expect_eq(e.status, 0, "%s: %s", c[0], e.err);
        cr_expect_eq(entries(directory, "over"), 0, "%s %s", c[0], c[1] ? c[1] : "");
        cr_expect_eq(entries(directory, "young"), 1, "%s %s", c[0], c[1] ? c[1] : "");
        shell("rm -f %s/*", directory);
    }
    const char *named = new_directory();
    leave_over(named, "over.ledger", 301);
    command(NULL, "who", "-d", named, NULL);
    command(NULL, "report", "-d", named, NULL);
    cr_expect_eq(entries(named, "over"), 1, "elsewhere only report --clean does");
    command(NULL, "report", "-d", named, "--clean", NULL);
    cr_expect_eq(entries(named, "over"), 0);
}

static void age(const char *directory, const char *names) {
    cr_assert_eq(shell("cd %s && touch -d '-6 minutes' %s", directory, names).status, 0);
}

/* It has no time of the end, so the file has five minutes more from when somebody first found that it is over. */
Test(expire, a_library_that_makes_a_ledger_there_takes_away_a_few) {
    ns_enter();
    const char *directory = own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *const program[] = { victim_path("connect_close"), "127.0.0.1", number(peer.port), NULL };
    leave_over(directory, "over.ledger", 360);
    leave_over(directory, "young.ledger", 200);
    struct af_ledger *mapped = make_ledger(directory, "mapped.ledger");
    shell("cd %s && echo no > other.ledger && ln -s over.ledger link.ledger && mkdir run-1-2", directory);
    age(directory, "mapped.ledger other.ledger");
    leave("LEDGER=on", 0, program);
    cr_expect_eq(entries(directory, "over"), 1, "found");
    cr_expect_str_eq(shell("cd %s && stat -c %%a over.ledger young.ledger mapped.ledger", directory).out,
                     "400\n600\n600\n");
    leave("LEDGER=on", 0, program);
    cr_expect_eq(entries(directory, "over"), 1, "it has just been found");
    age(directory, "over.ledger mapped.ledger other.ledger");
    leave("LEDGER=on", 0, program);
    static const char *const stay[] = { "young", "mapped", "other", "link", "run-1-2" };
    cr_expect_eq(entries(directory, "over"), 0, "gone");
    for (size_t i = 0; i < ROWS(stay); i++)
        cr_expect_eq(entries(directory, stay[i]), 1, "%s", stay[i]);
    munmap(mapped, mapped->size);
    shell("chmod 400 %s/mapped.ledger; touch %s/metrics.json", directory, directory);
    age(directory, "mapped.ledger");
    leave("LEDGER=on", 0, program);
    cr_expect_eq(entries(directory, "mapped"), 1, "where metrics are kept, who removes a ledger counts it");
    shell("rm %s/metrics.json", directory);
    leave("LEDGER=on", 0, program);
    cr_expect_eq(entries(directory, "mapped"), 0);
    const char *named = new_directory();
    leave_over(named, "over.ledger", 360);
    shell("chmod 400 %s/over.ledger; touch -d '-6 minutes' %s/over.ledger", named, named);
    leave(ledger_in(named), 0, program);
    cr_expect_eq(entries(named, "over"), 1, "what the user has named is his to clean");
}

/* A start does not pay for thousands. */
Test(expire, a_full_directory_is_looked_at_in_part) {
    enum { MANY = 2000 };
    ns_enter();
    const char *directory = own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_over(directory, "0.ledger", 360);
    cr_assert_eq(shell("cd %s && chmod 400 0.ledger && head -c 1288 0.ledger > h && for i in $(seq %d); do "
                       "cp h $i.ledger; done && chmod 400 *.ledger && touch -d '-6 minutes' *.ledger",
                       directory, MANY)
                     .status,
                 0);
    unsigned before = entries(directory, "");
    leave("LEDGER=on", 0, (const char *[]){ victim_path("connect_close"), "127.0.0.1", number(peer.port), NULL });
    const unsigned removed = before + 1 - entries(directory, "");
    cr_expect(removed > 0 && removed <= 32, "%u", removed);
}
