/* doctor --pid N: what is in a process is what the test has started it with. */
#include "tests/cli/doctor/doctor.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <signal.h>
#include <unistd.h>

static json_t *look(int status, pid_t pid) {
    return doctor_json(status, "--pid", number((unsigned)pid));
}

/* Lines as they are before they are wrapped. */
static const char *flat(const char *wrapped) {
    char *text = strdup(wrapped), *to = text;
    for (const char *c = wrapped; *c; c++)
        if (*c != '\n' && (*c != ' ' || to == text || to[-1] != ' '))
            *to++ = *c;
        else if (*c == '\n' && to > text && to[-1] != ' ')
            *to++ = ' ';
    *to = 0;
    return text;
}

static bool has_setting(const json_t *json, const char *setting) {
    const json_t *settings = json_find(json, "process.settings");
    for (size_t i = 0; i < json_array_size(settings); i++)
        if (strcmp(json_string_value(json_array_get(settings, i)), setting) == 0)
            return true;
    return false;
}

Test(doctor_process, finds_the_library_its_settings_and_its_ledger) {
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    char settings[512], *variable;
    snprintf(settings, sizeof settings, "LINGER=ack|KEEPALIVE=60|LEDGER=%s", directory);
    cr_assert_gt(asprintf(&variable, "AFTERFIN_LEDGER=%s", directory), 0);
    struct victim v = victim_start(settings, "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    json_t *json = look(0, v.pid);
    cr_expect(json_is_true(json_find(json, "process.inside")));
    cr_expect_str_eq(json_text(json, "process.library"), library_path());
    cr_expect_str_eq(json_text(json, "process.program"), "connect_hold");
    cr_expect(has_setting(json, "AFTERFIN_LINGER=ack") && has_setting(json, "AFTERFIN_KEEPALIVE=60") &&
              has_setting(json, variable));
    cr_expect_eq(json_array_size(json_find(json, "process.settings")), 3);
    cr_expect(strncmp(json_text(json, "process.ledger"), directory, strlen(directory)) == 0, "%s",
              json_text(json, "process.ledger"));
    cr_expect(strstr(json_text(json, "process.policy"), "linger=ack"), "%s", json_text(json, "process.policy"));
    cr_expect(json_is_null(json_find(json, "process.net_ns")) && json_is_null(json_find(json, "process.why")));
    cr_expect_eq(json_number(json, "process.seccomp"), 0);
    cr_expect_eq(json_number(json, "process.pid"), v.pid);
    struct ended e = command(NULL, "doctor", "--pid", number((unsigned)v.pid), NULL);
    cr_expect(e.status == 0 && strstr(e.out, "the library is in there\n") && strstr(e.out, "linger=ack"), "%s", e.out);
    cr_expect(strstr(flat(e.out), "its 0 listening sockets and 1 connection What to change"), "%s", e.out);
    victim_kill(&v, SIGKILL);
    cr_expect(strstr(command(NULL, "doctor", "--pid", number((unsigned)v.pid), NULL).err, "there is no process"));
}

Test(doctor_process, counts_no_sockets_where_there_are_none) {
    const pid_t pid = fork();
    if (pid == 0) {
        execlp("sleep", "sleep", "60", NULL);
        _exit(1);
    }
    struct ended e = command(NULL, "doctor", "--pid", number((unsigned)pid), NULL);
    kill(pid, SIGKILL);
    cr_expect(strstr(flat(e.out), "would reach its sockets from outside, and it has none;"), "%s%s", e.out, e.err);
}

Test(doctor_process, says_why_the_library_is_not_at_work) {
    static const struct {
        const char *name, *settings;
        int status;
        const char *why;
    } rows[] = {
        { "bare", NULL, 1, "was started without LD_PRELOAD" },
        { "a bad value", "LINGER=never", 1, "because of a bad setting: AFTERFIN_LINGER=\"never\"" },
        { "an unknown variable", "LINGRE=ack", 1, "because of a bad setting: AFTERFIN_LINGRE" },
        { "skip", "LINGER=ack|SKIP=connect_hold", 1, "leaves connect_hold alone" },
        { "only", "LINGER=ack|ONLY=curl", 1, "leaves connect_hold alone" },
        { "only itself", "LINGER=ack|ONLY=connect_hold", 0, NULL },
        { "nothing set", "", 0, NULL },
        { "no such library", "$LD_PRELOAD=/nonexistent/libafterfin.so", 1, "which is not there for it" },
        { "another library", "$LD_PRELOAD=/nonexistent/libother.so", 1, "was started without LD_PRELOAD" },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct victim v = victim_start(rows[i].settings, "connect_hold 127.0.0.1 %u", peer.port);
        peer_wait_accepted(&peer, (unsigned)i + 1);
        json_t *json = look(rows[i].status, v.pid);
        cr_expect_eq(json_is_true(json_find(json, "process.inside")), rows[i].status == 0, "%s", rows[i].name);
        cr_expect(rows[i].why ? strstr(json_text(json, "process.why"), rows[i].why) != NULL
                              : json_is_null(json_find(json, "process.why")),
                  "%s: %s", rows[i].name, json_text(json, "process.why"));
        victim_kill(&v, SIGKILL);
    }
}

static const char *static_program(void) {
    const char *path = scratch_path();
    struct ended e = shell("echo '#include <unistd.h>\nint main(void) { return pause(); }' | gcc -static -xc -o %s -",
                           path);
    if (e.status != 0)
        cr_skip_test("cannot link a static program: %s", e.err);
    return path;
}

Test(doctor_process, believes_the_library_where_the_environment_is_overwritten) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start("LINGER=off|KEEPALIVE=60", "connect_hold -E 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    json_t *json = look(0, v.pid);
    cr_expect(has_setting(json, "AFTERFIN_KEEPALIVE=60"), "as it was started");
    cr_expect_eq(json_array_size(json_find(json, "process.settings")), 2);
    const char *pid = number((unsigned)v.pid);
    cr_assert_eq(command(NULL, "set", "--pid", pid, "linger=ack", NULL).status, 0);
    victim_kill(&v, SIGKILL);
    v = victim_start("SET=on", "connect_hold -t -E 127.0.0.1 %u", peer.port); /* its next call reads the mail */
    peer_wait_accepted(&peer, 2);
    pid = number((unsigned)v.pid);
    cr_assert_eq(command(NULL, "set", "--pid", pid, "linger=ack", NULL).status, 0);
    struct ended e = { .status = -1 };
    for (int i = 0; i < 100 && !(e.out && strstr(e.out, "in force since")); i++)
        e = command(NULL, "doctor", "--pid", pid, NULL);
    cr_expect(strstr(e.out, ": linger=ack"), "%s", e.out);
    cr_expect(!strstr(e.out, "does nothing") && strstr(e.out, "it has overwritten"), "%s", e.out);
    victim_kill(&v, SIGKILL);
}

Test(doctor_process, knows_a_program_that_nothing_can_be_preloaded_into) {
    const char *argv[] = { static_program(), NULL };
    struct victim v = victim_start_argv("LINGER=ack", argv);
    while (!strstr(shell("readlink /proc/%d/exe", (int)v.pid).out, argv[0])) /* until it is exec'd */
        usleep(1000);
    json_t *json = look(1, v.pid);
    cr_expect(strstr(json_text(json, "process.why"), "is statically linked"), "%s", json_text(json, "process.why"));
    cr_expect(has_setting(json, "AFTERFIN_LINGER=ack"), "which is of no use to it");
    victim_kill(&v, SIGKILL);
}

Test(doctor_process, sees_what_has_changed_since_the_start) {
    ns_enter();
    const char *copy = scratch_path();
    char preload[512];
    cr_assert_eq(shell("mkdir %s && cp %s %s/", copy, library_path(), copy).status, 0);
    snprintf(preload, sizeof preload, "LINGER=ack|$LD_PRELOAD=%s/libafterfin.so", copy);
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(preload, "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    cr_expect(json_is_false(json_find(look(0, v.pid), "process.deleted")));
    cr_assert_eq(shell("rm %s/libafterfin.so", copy).status, 0);
    json_t *json = look(0, v.pid);
    cr_expect(json_is_true(json_find(json, "process.deleted")));
    cr_expect(strncmp(json_text(json, "process.library"), copy, strlen(copy)) == 0 &&
                  !strstr(json_text(json, "process.library"), "deleted"),
              "%s", json_text(json, "process.library"));
    ns_enter(); /* the victim stays behind */
    json = look(0, v.pid);
    const char *inode = shell("stat -Lc %%i /proc/%d/ns/net", (int)v.pid).out;
    cr_expect_eq(json_number(json, "process.net_ns"), atol(inode), "%ld, %s", json_number(json, "process.net_ns"),
                 inode);
    cr_expect(strstr(command(NULL, "doctor", "--pid", number((unsigned)v.pid), NULL).out, "nsenter -t"));
    victim_kill(&v, SIGKILL);
}

Test(doctor_process, looks_into_no_process_of_another_user) {
    if (geteuid() != 0)
        cr_skip_test("needs root, to be another user than the process's");
    struct ended e = shell("setpriv --reuid=65534 --regid=65534 --clear-groups build/afterfin doctor --pid %d",
                           (int)getpid());
    if (e.status == 127)
        cr_skip_test("no setpriv");
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "is not ours to look into: it runs as user 0, group 0: as that user or as root"), "%s",
              e.err);
    cr_expect_str_empty(e.out);
}

Test(doctor_process, tells_of_a_seccomp_filter_and_no_new_privs) {
    ns_enter();
    struct victim v = victim_start_argv("LINGER=ack",
                                        (const char *[]){ "setpriv", "--no-new-privs", "sleep", "100", NULL });
    /* It has become sleep, whose libraries are in, once that sleeps. */
    while (!strstr(shell("grep -h -e ^Name -e ^State /proc/%d/status", (int)v.pid).out, "sleep\nState:\tS") &&
           victim_runs(&v))
        usleep(1000);
    if (!victim_runs(&v))
        cr_skip_test("no setpriv");
    json_t *json = look(0, v.pid);
    cr_expect_eq(json_number(json, "process.no_new_privs"), 1);
    cr_expect_eq(json_number(json, "process.seccomp"), 0);
    victim_kill(&v, SIGKILL);
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    v = victim_start("LINGER=ack", "sealed exec %s 127.0.0.1 %u", victim_path("connect_hold"), peer.port);
    peer_wait_accepted(&peer, 1);
    cr_expect_eq(json_number(look(0, v.pid), "process.seccomp"), 2);
    struct ended e = command(NULL, "doctor", "--pid", number((unsigned)v.pid), NULL);
    cr_expect(strstr(e.out, "inherited it is no hindrance"), "%s", e.out);
    victim_kill(&v, SIGKILL);
}

Test(doctor_process, says_by_which_way_set_would_reach_it) {
    static const struct {
        const char *settings, *way, *says;
        int status;
    } rows[] = {
        { NULL, "outside", " outside: ", 1 },
        { "", "outside", " outside: ", 0 },
        { "LOG=/dev/null", "library", " library: ", 0 },
        { "LOG=/dev/null|SET=off", "no", "AFTERFIN_SET=off in", 0 },
    };
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct victim v = victim_start(rows[i].settings, "connect_hold 127.0.0.1 %u", peer.port);
        peer_wait_accepted(&peer, i + 1);
        json_t *json = look(rows[i].status, v.pid);
        cr_expect_str_eq(json_text(json, "process.set"), rows[i].way, "row %u", i);
        cr_expect_eq(json_number(json, "process.connections"), 1, "row %u", i);
        struct ended e = command(NULL, "doctor", "--pid", number((unsigned)v.pid), NULL);
        cr_expect(strstr(e.out, rows[i].says), "row %u: %s", i, e.out);
        victim_kill(&v, SIGKILL);
    }
}
