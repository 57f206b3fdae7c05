/* who: ledgers of other namespaces, other boots, runs that go on, other users; and many sockets. */
#include "ledger/layout.h"
#include "tests/cli/top/top.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *text_of(const char *format, unsigned n) {
    char *text;
    cr_assert_gt(asprintf(&text, format, n), 0);
    return text;
}

/* The only entry of a directory whose name ends in .ledger. */
static const char *ledger_file(const char *directory) {
    DIR *list = opendir(directory);
    char *path = NULL;
    for (struct dirent *e; (e = readdir(list));)
        if (strstr(e->d_name, ".ledger"))
            cr_assert_gt(asprintf(&path, "%s/%s", directory, e->d_name), 0);
    closedir(list);
    cr_assert(path, "a ledger in %s", directory);
    return path;
}

/* A process in a network namespace of its own below ours: it leaves n TIME_WAITs there, tells its victim's pid
 * and stays. */
static pid_t leave_elsewhere(const char *directory, unsigned n, pid_t *holder, uint64_t *net_ns) {
    int told[2];
    struct {
        pid_t pid;
        uint64_t net_ns;
    } message;
    cr_assert_eq(pipe(told), 0);
    *holder = fork();
    if (*holder == 0) {
        struct stat st;
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        message.pid = leave(ledger_in(directory), 0,
                            (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", number(n), NULL });
        leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), NULL }); /* nobody's */
        ns_settle();
        message.net_ns = stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
        _exit(write(told[1], &message, sizeof message) != sizeof message || pause());
    }
    close(told[1]);
    cr_assert_eq(read(told[0], &message, sizeof message), (ssize_t)sizeof message);
    *net_ns = message.net_ns;
    return message.pid;
}

Test(who_where, enters_other_namespaces_and_marks_what_it_finds_there) {
    ns_enter();
    const char *directory = new_directory();
    pid_t holder;
    uint64_t net_ns;
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t there = leave_elsewhere(directory, 5, &holder, &net_ns);
    pid_t here = leave(ledger_in(directory), 0,
                       (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "2", NULL });
    ns_settle();
    json_t *json = who_json(directory, NULL, NULL);
    cr_expect_eq(total_of(json, there), 5);
    cr_expect_eq(total_of(json, here), 3);
    cr_expect_eq(json_number(json, "unknown"), 2, "of our namespace only");
    const json_t *sockets = json_object_get(json, "sockets");
    cr_expect_eq(json_array_size(sockets), 10);
    for (size_t i = 0; i < json_array_size(sockets); i++) {
        const json_t *s = json_array_get(sockets, i);
        long mark = json_number(s, "net_ns"), wanted = json_number(s, "pid") == there ? (long)net_ns : -1;
        cr_expect_eq(mark, wanted, "socket %zu: %ld", i, mark);
    }
    struct ended e = command(NULL, "who", "-d", directory, NULL);
    cr_expect(strstr(e.out, "NET_NS") && strstr(e.out, number((unsigned)net_ns)), "%s", e.out);
    e = command(NULL, "who", "-d", directory, "--limit", "0", NULL);
    cr_expect(strstr(e.out, "\n5 of them are in other network namespaces"), "%s", e.out);
    e = command(NULL, "top", "-d", directory, "--once", NULL);
    cr_expect(strstr(e.out, "10 TIME_WAIT (2 unknown, 5 in other network namespaces)"), "%s", e.out);

    json = top_json(directory, NULL, NULL);
    cr_expect_eq(json_number(process_of(json, there), "time_wait"), 5);
    cr_expect_eq(json_number(process_of(json, there), "busiest.used"), 6, "with the one that is nobody's there");
    cr_expect_eq(json_number(process_of(json, there), "busiest.net_ns"), (long)net_ns);
    cr_expect_eq(json_number(process_of(json, here), "busiest.used"), 5);
    cr_expect_eq(json_number(json, "unknown"), 2);

    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    peer_stop(&peer);
}

/* The other namespace cannot be entered any more: its ledger must not claim sockets of ours. */
Test(who_where, leaves_sockets_of_ours_to_whom_they_belong) {
    ns_enter();
    const char *directory = new_directory();
    pid_t holder;
    uint64_t net_ns;
    pid_t there = leave_elsewhere(directory, 5, &holder, &net_ns);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "4", NULL });
    ns_settle();
    json_t *json = who_json(directory, NULL, NULL);
    cr_expect_eq(json_number(json, "unknown"), 4);
    cr_expect_eq(total_of(json, there), 0);
    cr_expect_eq(json_array_size(json_object_get(json, "sockets")), 4);
}

Test(who_where, tells_pids_of_other_pid_namespaces_apart) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave_as_pid_1(directory, peer.port);
    json_t *json = who_json(directory, NULL, NULL);
    struct stat own;
    cr_assert_eq(stat("/proc/self/ns/pid", &own), 0);
    cr_expect_eq(total_of(json, 1), 3, "as it saw itself");
    long pid_ns = json_number(json, "processes.0.pid_ns");
    cr_expect(pid_ns > 0 && pid_ns != (long)own.st_ino, "%ld", pid_ns);
    cr_expect_eq(json_number(json, "sockets.0.pid_ns"), pid_ns);
    char shown[64], other[64];
    snprintf(shown, sizeof shown, "1@%ld", pid_ns);
    snprintf(other, sizeof other, "1@%ld", pid_ns + 1);
    struct ended e = command(NULL, "who", "-d", directory, NULL);
    cr_expect(strstr(e.out, shown), "%s: %s", shown, e.out);
    cr_expect_eq(total_of(who_json(directory, "--pid", shown), 1), 3);
    cr_expect_eq(total_of(who_json(directory, "--pid", other), 1), 0);
}

Test(who_where, reads_the_ledgers_of_a_run_that_goes_on) {
    char base[128];
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    snprintf(base, sizeof base, "AFTERFIN_LEDGER=%s", directory);
    struct victim v = command_start(base, "run", "sh", "-c",
                                    "trap 'exit 5' USR1; \"$0\" 127.0.0.1 $1 -n 6; echo left; "
                                    "while :; do sleep 0.02; done",
                                    victim_path("connect_close"), number(peer.port), NULL);
    victim_wait_out(&v, "left");
    ns_settle();
    json_t *json = who_json(directory, NULL, NULL);
    cr_expect_eq(entries(directory, "run-"), 1);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 6);
    cr_expect_eq(json_number(json, "unknown"), 0);
    cr_expect_eq(victim_kill(&v, SIGUSR1).status, 5);
}

Test(who_where, believes_no_ledger_of_another_boot) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t pid = leave(ledger_in(directory), 0,
                      (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    ns_settle();
    cr_assert_eq(total_of(who_json(directory, NULL, NULL), pid), 3, "the test itself");
    int fd = open(ledger_file(directory), O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "01234567", 8, offsetof(struct af_ledger, boot_id)), 8);
    close(fd);
    struct ended e = command(NULL, "who", "-d", directory, "--json", NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_expect_eq(e.status, 0);
    cr_expect(strstr(e.err, "from another boot of this machine"), "%s", e.err);
    cr_expect_eq(json_number(json, "unknown"), 3);
}

/* Reading TIME_WAIT needs no right at all; ledgers are private. */
Test(who_where, shows_an_ordinary_user_all_sockets_and_his_own_processes) {
    ns_enter();
    build_for_all();
    const char *directory = new_directory(), *own = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    leave(ledger_in(directory), 0,
          (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    if (geteuid() != 0 || chown(own, 65533, 65533) != 0 || access("/usr/bin/setpriv", X_OK) != 0)
        cr_skip_test("no second user here");
    static const char *const user[] = { "setpriv", "--reuid=65533", "--regid=65533", "--clear-groups" };
    struct ended e = run_argv(ledger_in(own),
                              (const char *[]){ user[0], user[1], user[2], user[3], victim_path("connect_close"),
                                                "127.0.0.1", number(peer.port), "-n", "2", NULL });
    if (e.status != 0)
        cr_skip_test("the second user cannot run our programs: %s", e.err);
    ns_settle();
    e = run_argv(NULL, (const char *[]){ user[0], user[1], user[2], user[3], command_path(), "who", "-d", own, "--json",
                                         NULL });
    json_t *json = json_loads(e.out, 0, NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 2, "%s", e.out);
    cr_expect_eq(json_number(json, "unknown"), 3);
    e = run_argv(NULL,
                 (const char *[]){ user[0], user[1], user[2], user[3], command_path(), "who", "-d", directory, NULL });
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "Permission denied"), "%s", e.err);
}

/* As this user, under the library, with a ledger in his default directory: its pid, or 0. */
static pid_t leave_as(unsigned uid, const char *setting, uint16_t port, unsigned n) {
    char reuid[32], regid[32];
    snprintf(reuid, sizeof reuid, "--reuid=%u", uid);
    snprintf(regid, sizeof regid, "--regid=%u", uid);
    struct victim v = victim_start_argv(setting, (const char *[]){ "setpriv", reuid, regid, "--clear-groups",
                                                                   victim_path("connect_close"), "127.0.0.1",
                                                                   number(port), "-n", number(n), NULL });
    const pid_t pid = v.pid;
    return victim_wait(&v).status == 0 ? pid : 0;
}

/* His own default directory is in /run/user; another's, who has no such, in /tmp, where anybody may put things. */
Test(who_where, shows_root_the_processes_of_all_users) {
    ns_enter();
    const char *own = own_default();
    build_for_all();
    const unsigned uid = 65533, other = 3000000000u + (unsigned)getpid();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    if (shell("install -d -m 755 /run/user && install -d -m 700 -o %u /run/user/%u", uid, uid).status != 0)
        cr_skip_test("only the machine's root can give other users a directory");
    cr_assert_eq(shell("ln -s /tmp/afterfin-%u /tmp/afterfin-%u && mkdir -m 700 /tmp/afterfin-%u && "
                       "mkfifo /tmp/afterfin-%u",
                       other, other + 1, other + 2, other + 3)
                     .status,
                 0);
    make_process(make_ledger(text_of("/tmp/afterfin-%u", other + 2), "planted.ledger"), 1);
    const pid_t pids[] = { leave_as(0, "LEDGER=on", peer.port, 4),
                           leave_as(uid, "LEDGER=on|$XDG_RUNTIME_DIR=/run/user/65533", peer.port, 2),
                           leave_as(other, "LEDGER=on|$XDG_RUNTIME_DIR=", peer.port, 3) };
    ns_settle();
    struct ended e = command("XDG_RUNTIME_DIR=", "who", "--json", NULL);
    struct ended table = command("XDG_RUNTIME_DIR=", "who", NULL);
    struct ended named = command("XDG_RUNTIME_DIR=", "who", "-d", own, "--json", NULL);
    struct ended clean = command("XDG_RUNTIME_DIR=", "report", "--clean", "--json", NULL);
    struct ended after = command("XDG_RUNTIME_DIR=", "report", "--json", NULL);
    shell("rm -rf /tmp/afterfin-%u /tmp/afterfin-%u /tmp/afterfin-%u /tmp/afterfin-%u", other, other + 1, other + 2,
          other + 3);
    if (!pids[1] || !pids[2])
        cr_skip_test("another user cannot run our programs");
    json_t *json = json_loads(e.out, 0, NULL);
    const long left[] = { 4, 2, 3 };
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(total_of(json, pids[i]), left[i], "%zu: %s", i, e.out);
    cr_expect_eq(json_number(json, "unknown"), 0);
    cr_expect_eq(json_number(json, "processes.0.uid"), -1, "our own");
    cr_expect_eq(json_number(json, "processes.1.uid"), other);
    cr_expect_eq(json_number(json, "processes.2.uid"), uid);
    cr_expect(strstr(table.out, "USER") && strstr(table.out, number(other)), "%s", table.out);
    const struct {
        unsigned uid;
        const char *why;
    } planted[] = { { other + 1, "not a directory" },
                    { other + 2, "not that user's" },
                    { other + 3, "not a directory" } };
    for (size_t i = 0; i < 3; i++)
        cr_expect(strstr(e.err, text_of("who: left out: /tmp/afterfin-%u: ", planted[i].uid)) &&
                      strstr(e.err, planted[i].why),
                  "%zu: %s", i, e.err);
    cr_expect_eq(json_number(json_loads(named.out, 0, NULL), "unknown"), 5, "-d is that directory and no other");
    cr_expect_eq(json_number(json_loads(clean.out, 0, NULL), "ledgers"), 3);
    cr_expect(strstr(clean.err, "removed 1 ledger\n"), "%s", clean.err);
    cr_expect_eq(json_number(json_loads(after.out, 0, NULL), "ledgers"), 2, "those of others are theirs to clean");
}

Test(who_where, lists_each_of_many_once) {
    enum { PROCESSES = 4, EACH = 5000 };
    ns_enter();
    ns_port_range(1024, 65535);
    ns_sysctl("tcp_max_tw_buckets", "262144");
    const char *directory = new_directory();
    struct victim v[PROCESSES];
    struct peer peer[PROCESSES];
    pid_t pid[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        peer[i] = peer_start(&(struct peer_options){ 0 });
        v[i] = victim_start(ledger_in(directory), "connect_close 127.0.0.1 %u -n %d", peer[i].port, EACH);
        pid[i] = v[i].pid;
    }
    for (int i = 0; i < PROCESSES; i++)
        cr_assert_eq(victim_wait(&v[i]).status, 0);
    ns_settle();
    json_t *json = who_json(directory, NULL, NULL);
    const json_t *sockets = json_object_get(json, "sockets");
    cr_expect_eq((long)json_array_size(sockets), ns_tw(), "%zu of %ld", json_array_size(sockets), ns_tw());
    json_t *seen = json_object();
    for (size_t i = 0; i < json_array_size(sockets); i++) {
        char key[128];
        const json_t *s = json_array_get(sockets, i);
        snprintf(key, sizeof key, "%s %s", json_string_value(json_object_get(s, "local")),
                 json_string_value(json_object_get(s, "peer")));
        cr_assert_not(json_object_get(seen, key), "twice: %s", key);
        json_object_set_new(seen, key, json_true());
    }
    for (int i = 0; i < PROCESSES; i++)
        cr_expect_eq(total_of(json, pid[i]), EACH, "process %d: %ld", i, total_of(json, pid[i]));
    cr_expect_eq(json_number(json, "unknown"), 0);
}
