/* Rules from a file: read once, at start, whatever stands there; what it is not, one line says. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *written(const char *path, const char *rules, size_t size) {
    FILE *file = fopen(path, "we");
    cr_assert(file && fwrite(rules, 1, size, file) == size && fclose(file) == 0, "%s", path);
    return path;
}

/* 1,000 of them, and the last one decides. */
static const char *thousand(const char *separator) {
    static char rules[64 << 10];
    size_t n = 0;
    for (int i = 0; i < 999; i++)
        n += (size_t)sprintf(rules + n, "connect 10.%d.%d.0/24:%d linger=rst%s", i / 256, i % 256, 5000 + i, separator);
    strcpy(rules + n, "connect 127.0.0.0/8 linger=ack-always");
    return rules;
}

Test(rules_file, its_rules_are_those_of_the_variable) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *rules = text("# clients\n\n%s # the last\n", thousand("\n"));
    const char *path = written(scratch_path(), rules, strlen(rules)), *log = scratch_path();
    struct ended e = run(text("RULES=%s|LOG=%s|STRICT=on", path, log), "connect_close 127.0.0.1 %u -n 20", peer.port);
    cr_expect(e.status == 0 && !*e.err, "%s%s", e.out, e.err);
    cr_expect_eq(ns_tw(), 0);
    cr_expect_str_eq(log_text(log_line(file_text(log), 0), "policy"), text("linger=off,rules=%s", path));
    cr_expect_eq(log_number(log_line(file_text(log), 0), "avoided"), 20);
    /* Read once: what is there later is for those who start then. */
    struct victim v = victim_start(text("RULES=%s", path), "connect_many 127.0.0.1 %u 20 -w", peer.port);
    victim_wait_out(&v, "ready");
    written(path, "nonsense", 8);
    kill(v.pid, SIGUSR1);
    victim_wait_out(&v, "ready now\nready now\n");
    kill(v.pid, SIGUSR1);
    e = victim_wait(&v);
    cr_expect(e.status == 0 && !*e.err, "%s%s", e.out, e.err);
    cr_expect_eq(ns_tw(), 0);
    unlink(log);
    unlink(path);
}

static void expect_refused(const char *path, const char *why) {
    const char *line = text("AFTERFIN_RULES=\"%s\"%s\n", path, why);
    struct ended e = run(text("RULES=%s|STRICT=on", path), "cycles connect 1 127.0.0.1 9");
    cr_expect(e.status == 78, "%s: %d %s%s", path, e.status, e.out, e.err);
    cr_expect_str_eq(e.err, text("afterfin: %s", line), "%s", e.err);
    e = run(text("RULES=%s", path), "open_by refused 127.0.0.1 9 3"); /* as if not preloaded */
    cr_expect(e.status == 0, "%s: %d %s", path, e.status, e.err);
    cr_expect_str_eq(e.err, text("afterfin: %.*s; nothing is applied\n", (int)strlen(line) - 1, line), "%s", e.err);
    e = run(NULL, "%s run -p rules=%s -- true", command_path(), path);
    cr_expect(e.status == 125, "%s: %d %s", path, e.status, e.err);
    cr_expect(strstr(e.err, text("-p rules=\"%s\"%s\n", path, why)), "%s", e.err);
}

Test(rules_file, what_is_wrong_with_it_is_one_line) {
    const char *path = scratch_path();
    char *large = calloc(1, (1 << 20) + 1);

    ns_enter();
    expect_refused(path, ": there is no such file");
    expect_refused("/", ": not a regular file");
    expect_refused("/dev/null", ": not a regular file");
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused(path, ": not a regular file"); /* and nobody waits for a writer */
    unlink(path);
    memset(large, '\n', (1 << 20) + 1);
    written(path, large, (1 << 20) + 1);
    expect_refused(path, ": larger than 1 MB");
    written(path, large, 1 << 20);
    struct ended e = run(text("RULES=%s|STRICT=on|LINGER=ack", path), "open_by refused 127.0.0.1 9 1");
    cr_expect(e.status == 0 && !*e.err, "1 MB: %s", e.err);
    written(path, "\nbind * linger=ack\n", 19);
    expect_refused(path, " line 2, at \"linger=ack\": this key does not belong to this role; expected reuseaddr, "
                         "bind_no_port");
    unlink(path);
    free(large);
}

Test(rules_file, none_of_its_descriptors_stays) {
    ns_enter();
    const char *path = written(scratch_path(), "connect * linger=ack\n", 21);
    struct ended bare = run(NULL, "ls /proc/self/fd");
    bare.out = strdup(bare.out);
    struct ended e = run(text("RULES=%s", path), "ls /proc/self/fd");
    cr_expect_str_eq(e.out, bare.out);
    unlink(path);
}

/* In instructions: all of a program's start, and a connection. */
static long instructions(const char *settings, int cycles, uint16_t port) {
    long collected = -1;
    struct ended e = run_argv(settings,
                              (const char *[]){ "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                                victim_path("cycles"), "connect", text("%d", cycles), "127.0.0.1",
                                                text("%u", port), NULL });
    const char *at = strstr(e.err, "Collected : ");
    cr_assert(e.status == 0 && at && sscanf(at, "Collected : %ld", &collected) == 1, "%s%s", e.out, e.err);
    return collected;
}

/* 5 us are some 20,000 instructions of such a loop on any machine of the last ten years, 5 ms a thousand times that. */
Test(rules_file, a_thousand_rules_are_parsed_and_looked_up_fast) {
    enum { N = 20, A_CONNECT = 9000, A_START = 8000000 };
    if (access("/usr/bin/valgrind", X_OK) != 0)
        cr_skip_test("valgrind is not there");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true, .holds = true });
    const char *rules = thousand("\n"), *path = written(scratch_path(), rules, strlen(rules));
    const char *settings[] = { "RULES=connect 127.0.0.0/8 linger=ack-always", text("RULES=%s", path),
                               text("RULES=%s", thousand(";")) };
    long start[3], each[3];
    for (int i = 0; i < 3; i++) {
        const long once = instructions(settings[i], N, peer.port);
        each[i] = (instructions(settings[i], 2 * N, peer.port) - once) / N;
        start[i] = once - N * each[i];
    }
    cr_expect_lt(each[1] - each[0], A_CONNECT, "a connect: %ld, with one rule %ld", each[1], each[0]);
    cr_expect_leq(labs(each[1] - each[2]), each[2] / 50, "a connect: %ld, from the variable %ld", each[1], each[2]);
    cr_expect_lt(start[1] - start[0], A_START, "start: %ld, with one rule %ld", start[1], start[0]);
    unlink(path);
}

/* Twice as long a list costs twice as much. */
Test(rules_file, a_long_list_of_addresses_is_read_once) {
    enum { LIST = 9000, A_START = 60000000 };
    static char rules[160 << 10];
    if (access("/usr/bin/valgrind", X_OK) != 0)
        cr_skip_test("valgrind is not there");
    ns_enter();
    size_t n = (size_t)sprintf(rules, "connect * source=10.0.0.1");
    for (int i = 1; i < LIST; i++)
        n += (size_t)sprintf(rules + n, "+10.0.%d.%d", i / 256, i % 256);
    const char *path = written(scratch_path(), rules, n);
    cr_expect_lt(instructions(text("RULES=%s", path), 0, 9), A_START);
    unlink(path);
}
