/* top --once: what one may ask, who may ask it, and what it says when it cannot answer. */
#include "cli/top/view.h"
#include "tests/cli/top/top.h"
#include "tests/harness/fabricate.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

Test(top_asked, prints_one_frame_as_text_sorted_and_filtered) {
    ns_enter();
    const char *directory = new_directory(), *settings = ledger_in(directory);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *port = number(peer.port);
    const pid_t many = leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "9", NULL });
    const pid_t few = leave(settings, 0, (const char *[]){ "half_close", "127.0.0.1", port, "10", "0", NULL });
    ns_settle();
    const char *first = number((unsigned)many), *second = number((unsigned)few);
    const struct {
        const char *option, *value, *first, *second;
    } rows[] = {
        { NULL, NULL, first, second },
        { "--sort", "time_wait", first, second },
        { "--sort", "-time_wait", second, first },
        { "--sort", "program", first, second },
        { "--sort", "-program", second, first },
        { "--filter", "HALF", second, NULL },
        { "--filter", first, first, NULL },
        { "--filter", address("127.0.0.1", peer.port), first, second },
        { "--by", "program", "connect_close", "half_close" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, "top", "-d", directory, "--once", "--delay", "0.1", rows[i].option,
                                 rows[i].value, NULL);
        const char *table = strstr(e.out, "\n\n");
        cr_assert(e.status == 0 && table, "row %zu: %s%s", i, e.out, e.err);
        const char *one = strstr(table, rows[i].first);
        const char *other = rows[i].second ? strstr(table, rows[i].second) : NULL;
        cr_expect(one && (!rows[i].second || (other && one < other)), "row %zu:\n%s", i, e.out);
        cr_expect(rows[i].second || !strstr(table, rows[i].first == first ? second : first), "row %zu:\n%s", i, e.out);
        cr_expect_not(strchr(e.out, '\033'), "row %zu", i);
        cr_expect_str_empty(e.err);
    }
    struct ended e = command(NULL, "top", "-d", directory, "--once", "--delay", ".1", "--filter", "nobody", NULL);
    cr_expect(e.status == 0 && strstr(e.out, "no row has 'nobody' in it"), "%s", e.out);
}

Test(top_asked, says_what_is_wrong_with_the_question) {
    static const struct {
        const char *option, *value;
        int status;
        const char *says;
    } rows[] = {
        { "--delay", "", 2, "--delay needs seconds" },
        { "--delay", "0", 2, "--delay needs seconds" },
        { "--delay", "0.01", 2, "--delay needs seconds" },
        { "--delay", "-1", 2, "--delay needs seconds" },
        { "--delay", "1e9", 2, "--delay needs seconds" },
        { "--delay", "99999999999999999999", 2, "--delay needs seconds" },
        { "--delay", "1.2.3", 2, "--delay needs seconds" },
        { "--delay", "nan", 2, "--delay needs seconds" },
        { "--sort", "pids", 2, "--sort needs one of pid, running, program" },
        { "--sort", "", 2, "--sort needs one of" },
        { "--sort", "-", 2, "--sort needs one of" },
        { "--by", "user", 2, "--by needs process or program, not 'user'" },
        { "--json", NULL, 2, "--json needs --once" },
        { "--", "operand", 2, "takes no operand" },
        { "-d", "/nonexistent", 2, "stdout is not a terminal; --once prints one frame" },
    };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(NULL, "top", rows[i].option, rows[i].value, NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "one line: %s", e.err);
        cr_expect_str_empty(e.out);
    }
    struct ended e = command(NULL, "top", "--once", "-d", "/nonexistent", NULL);
    cr_expect(e.status == 1 && strstr(e.err, "top: /nonexistent: No such file or directory"), "%s", e.err);
}

Test(top_asked, explains_every_column_that_it_sorts_by) {
    struct ended e = command(NULL, "top", "--help", NULL);
    char *names = strdup(af_top_column_names()), *rest = NULL;
    for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        cr_expect(strstr(e.out, name), "%s: %s", name, e.out);
}

Test(top_asked, leaves_out_a_ledger_that_cannot_be_read_and_says_so) {
    char path[256];
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t pid = leave(ledger_in(directory), 0,
                      (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    snprintf(path, sizeof path, "%s/broken.ledger", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(write(fd, "nothing", 7) == 7 && close(fd) == 0);
    ns_settle();
    struct ended e = command(NULL, "top", "--once", "--json", "--delay", "0.1", "-d", directory, NULL);
    cr_expect(strstr(e.err, "top: left out: broken.ledger: too short"), "%s", e.err);
    cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "once: %s", e.err);
    cr_expect_eq(json_number(process_of(parsed(&e), pid), "time_wait"), 3);
}

Test(top_asked, tells_pids_of_other_pid_namespaces_apart) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_as_pid_1(directory, peer.port);
    json_t *json = top_json(directory, NULL, NULL);
    struct stat own;
    char shown[64];
    cr_assert_eq(stat("/proc/self/ns/pid", &own), 0);
    long pid_ns = json_number(json, "processes.0.pid_ns");
    cr_expect(pid_ns > 0 && pid_ns != (long)own.st_ino, "%ld", pid_ns);
    snprintf(shown, sizeof shown, "1@%ld", pid_ns);
    struct ended e = command(NULL, "top", "-d", directory, "--once", "--delay", "0.1", "--filter", shown, NULL);
    cr_expect(strstr(strstr(e.out, "\n\n"), shown), "%s: %s", shown, e.out);
}

/* Reading the kernel's table needs no right at all; ledgers are private. */
Test(top_asked, works_as_an_ordinary_user) {
    static const char *const user[] = { "setpriv", "--reuid=65533", "--regid=65533", "--clear-groups" };
    ns_enter();
    build_for_all();
    const char *own = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    if (geteuid() != 0 || chown(own, 65533, 65533) != 0 || access("/usr/bin/setpriv", X_OK) != 0)
        cr_skip_test("no second user here");
    struct ended e = run_argv(ledger_in(own),
                              (const char *[]){ user[0], user[1], user[2], user[3], victim_path("connect_close"),
                                                "127.0.0.1", number(peer.port), "-n", "2", NULL });
    if (e.status != 0)
        cr_skip_test("the second user cannot run our programs: %s", e.err);
    ns_settle();
    e = run_argv(NULL, (const char *[]){ user[0], user[1], user[2], user[3], command_path(), "top", "-d", own, "--once",
                                         "--json", "--delay", "0.1", NULL });
    json_t *json = parsed(&e);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 2, "%s", e.out);
    cr_expect_eq(json_number(json, "unknown"), 3);
    cr_expect_eq(json_number(json, "processes.0.busiest.used"), 5);
}

Test(top_asked, says_that_it_cannot_write) {
    const char *script = "exec \"$0\" top --once --delay 0.1 -d $1 >/dev/full";
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", script, command_path(), new_directory(), NULL });
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "cannot write to stdout"), "%s", e.err);
}
