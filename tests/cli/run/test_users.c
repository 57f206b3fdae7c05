/* Programs that root starts, and that have become another user before they open their first socket: most daemons. */
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { NOBODY = 65534 };

/* In a /run of its own, and where other users can come to build/. */
static void prepare(void) {
    ns_enter();
    own_default();
    build_for_all();
    char *built = strdup(library_path());
    const char *here = scratch_path();
    *strrchr(built, '/') = 0;
    cr_assert_eq(mkdir(here, 0755), 0);
    cr_assert(chdir(here) == 0 && symlink(built, "build") == 0);
    if (shell("setpriv --reuid %u --regid %u --clear-groups test -x build/afterfin", NOBODY, NOBODY).status != 0)
        cr_skip_test("another user cannot run our programs");
}

static const char *as_nobody(void) {
    return "setpriv --reuid 65534 --regid 65534 --clear-groups";
}

/* Each leaves three. */
static const struct {
    const char *name, *needs, *command;
} ways[] = {
    { "setuid", "/usr/bin/python3",
      "/usr/bin/python3 -S -c 'import os,socket\nos.setuid(65534)\n"
      "for i in range(3): c=socket.socket(); c.connect((\"127.0.0.1\",%u)); c.close()'" },
    { "a worker", "/usr/bin/python3",
      "/usr/bin/python3 -S -c 'import os,socket\nif os.fork(): os.wait(); os._exit(0)\nos.setgroups([]); os.setresgid(9,9,9)\n"
      "os.setresuid(65534,65534,65534)\n"
      "for i in range(3): c=socket.socket(); c.connect((\"127.0.0.1\",%u)); c.close()'" },
    { "seteuid", "/usr/bin/python3",
      "/usr/bin/python3 -S -c 'import os,socket\nos.seteuid(65534)\n"
      "for i in range(3): c=socket.socket(); c.connect((\"127.0.0.1\",%u)); c.close()'" },
    { "setpriv", "/usr/bin/setpriv",
      "setpriv --reuid 65534 --regid 65534 --clear-groups build/tests/victims/connect_close 127.0.0.1 %u -n 3" },
    { "su", "/usr/bin/su", "su -s /bin/sh nobody -c 'exec build/tests/victims/connect_close 127.0.0.1 %u -n 3'" },
    { "chroot --userspec", "/usr/sbin/chroot",
      "chroot --userspec=65534:65534 / $PWD/build/tests/victims/connect_close 127.0.0.1 %u -n 3" },
};

static const char *text_with(const char *format, unsigned n) {
    char *text;
    cr_assert_gt(asprintf(&text, format, n), 0);
    return text;
}

Test(run_users, counts_what_becomes_another_user_first) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS(ways); i++) {
        if (access(ways[i].needs, X_OK) != 0) {
            cr_log_info("no %s", ways[i].needs);
            continue;
        }
        json_t *json = run_json(NULL, 0, "sh", "-c", text_with(ways[i].command, peer.port), NULL);
        cr_expect_eq(json_number(json, "totals.time_wait"), 3, "%s: %s", ways[i].name, json_dumps(json, 0));
        cr_expect_eq(json_number(json, "kernel.attributed"), 3, "%s", ways[i].name);
        long uid = -1;
        for (size_t k = 0; k < json_array_size(json_object_get(json, "processes")); k++) {
            const json_t *one = json_array_get(json_object_get(json, "processes"), k);
            uid = json_number(one, "time_wait") == 3 ? json_number(one, "uid") : uid;
        }
        cr_expect_eq(uid, NOBODY, "%s", ways[i].name);
        cr_expect_eq(entries("/run/afterfin", "run-"), 0, "%s: nothing is left", ways[i].name);
        struct ended e = command(NULL, "run", "sh", "-c", text_with(ways[i].command, peer.port), NULL);
        cr_expect(strstr(e.err, "3 of them left by these processes") && strstr(e.err, "nobody"), "%s: %s", ways[i].name,
                  e.err);
    }
}

/* memcached and BIND are the text-book cases; whoever connects to them, who ends it is they. */
Test(run_users, counts_daemons_that_root_has_started) {
    static const struct {
        const char *program, *command;
    } daemons[] = {
        { "/usr/bin/memcached",
          "memcached -u nobody -l 127.0.0.1 -p 11999 -U 0 -c 1024 & d=$!; "
          "for i in $(seq 500); do printf 'quit\\r\\n' 2>/dev/null > /dev/tcp/127.0.0.1/11999 && break; sleep 0.02; done; "
          "for i in 1 2 3; do exec 5<>/dev/tcp/127.0.0.1/11999; printf 'quit\\r\\n' >&5; cat <&5; exec 5>&-; done; "
          "kill $d; wait $d; true" },
        { "/usr/sbin/named",
          "d=$(mktemp -d); chmod 755 $d; mkdir $d/w; chown bind $d/w; "
          "printf 'options { directory \"%s/w\"; pid-file none; listen-on port 11953 { 127.0.0.1; }; listen-on-v6 { none; }; "
          "recursion no; tcp-idle-timeout 1; session-keyfile none; };\\nzone \"a\" { type primary; file \"z\"; };\\n' $d > $d/c; "
          "printf '$TTL 1\\n@ SOA a. a. 1 1 1 1 1\\n@ NS a.\\n@ A 127.0.0.1\\n' > $d/w/z; "
          "named -f -u bind -c $d/c & d=$!; for i in 1 2 3; do for k in $(seq 500); do exec 5<>/dev/tcp/127.0.0.1/11953 && "
          "break; sleep 0.02; done 2>/dev/null; printf '\\0\\021\\0\\1\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1a\\0\\0\\1\\0' >&5; cat <&5 >/dev/null; exec 5>&-; done; "
          "kill $d; wait $d; true" },
    };
    size_t seen = 0;
    prepare();
    for (size_t i = 0; i < ROWS(daemons); i++) {
        if (access(daemons[i].program, X_OK) != 0)
            continue;
        seen++;
        json_t *json = run_json(NULL, 0, "bash", "-c", daemons[i].command, NULL);
        long accepts = 0;
        for (size_t k = 0; k < json_array_size(json_object_get(json, "processes")); k++) {
            const json_t *one = json_array_get(json_object_get(json, "processes"), k);
            if (strstr(daemons[i].program, json_string_value(json_object_get(one, "program"))))
                accepts += json_number(one, "accepts");
        }
        cr_expect_geq(accepts, 3, "%s: %s", daemons[i].program, json_dumps(json, 0));
    }
    if (!seen)
        cr_skip_test("neither memcached nor BIND is here");
}

/* ---- the box ---------------------------------------------------------------------------------------------------- */

Test(run_users, the_directory_of_roots_run_is_a_drop_box) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char command_line[1024];
    snprintf(command_line, sizeof command_line,
             "%s build/tests/victims/connect_close 127.0.0.1 %u -n 3 >/dev/null; "
             "%s sh -c 'cd \"$AFTERFIN_LEDGER\"; ls . && echo listed; ls /run/afterfin && echo listed; "
             "ln -s /etc/passwd x.ledger; ln -s / run-1-1; mkfifo y.ledger; mkdir z.ledger e; touch junk; "
             "rm -f *.ledger [0-9]*-*.ledger; mkdir full; touch full/x' 2>/dev/null; "
             "stat -c %%a $AFTERFIN_LEDGER; ls $AFTERFIN_LEDGER | grep -c '^[0-9].*ledger$'; "
             "build/afterfin who --json | grep -c '\"uid\": 65534'",
             as_nobody(), peer.port, as_nobody());
    struct ended e = command(NULL, "run", "sh", "-c", command_line, NULL);
    cr_expect_str_eq(e.out, "1733\n1\n4\n", "%s%s", e.out, e.err);
    cr_expect(strstr(e.err, "3 of them left by these processes"), "%s", e.err);
    cr_expect(strstr(e.err, "x.ledger: a symbolic link") && strstr(e.err, "y.ledger: not a regular file"), "%s", e.err);
    e = shell("ls -A /run/afterfin/run-*; stat -c %%a /run/afterfin; test -e /etc/passwd");
    cr_expect_str_eq(e.out, "full\n711\n", "all is emptied but what is not ours to empty: %s", e.out);
}

Test(run_users, names_are_not_to_be_guessed) {
    prepare();
    struct ended a = command(NULL, "run", "-q", "--json=/dev/null", "sh", "-c", "echo ${AFTERFIN_LEDGER##*-}", NULL);
    struct ended b = command(NULL, "run", "-q", "--json=/dev/null", "sh", "-c", "echo ${AFTERFIN_LEDGER##*-}", NULL);
    cr_expect(strlen(a.out) == 33 && strlen(b.out) == 33 && strcmp(a.out, b.out) != 0, "%s %s", a.out, b.out);
}

Test(run_users, keeps_each_ledger_as_its_owners) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command("AFTERFIN_LEDGER=on", "run", "sh", "-c", text_with(ways[3].command, peer.port), NULL);
    cr_expect(strstr(e.err, "3 of them left by these processes"), "%s", e.err);
    cr_expect_str_eq(shell("stat -c %%u-%%a /run/afterfin/*.ledger").out, "65534-600\n");
    e = command(NULL, "who", "--json", NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_expect_eq(json_number(json, "processes.0.uid"), NOBODY);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 3);
    e = command(NULL, "reap", "--pid", number((unsigned)json_number(json, "processes.0.pid")), NULL);
    cr_expect(strstr(e.out, "no TIME_WAIT socket matches"), "root acts on nobody else's word: %s", e.out);
    e = command(NULL, "report", "--clean", NULL);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(entries("/run/afterfin", ""), 0, "%s", shell("ls -A /run/afterfin").out);
}

/* What is kept goes to root's own directory, where nobody else may put anything. */
Test(run_users, keeps_nothing_else_that_was_put_into_the_box) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char command_line[1024];
    snprintf(command_line, sizeof command_line,
             "%s build/tests/victims/connect_close 127.0.0.1 %u -n 3 >/dev/null; "
             "%s sh -c 'cd \"$AFTERFIN_LEDGER\"; for i in 1 2 3; do echo forged >$i.ledger; done; "
             "truncate -s 1G hole.ledger'",
             as_nobody(), peer.port, as_nobody());
    struct ended e = command("AFTERFIN_LEDGER=on", "run", "sh", "-c", command_line, NULL);
    cr_expect(strstr(e.err, "3 of them left by these processes"), "%s", e.err);
    e = shell("stat -c %%u-%%a /run/afterfin/*");
    cr_expect_str_eq(e.out, "65534-600\n", "%s", shell("ls -Al /run/afterfin").out);
}

static const char *text_of_ledger(const char *directory) {
    char *setting;
    cr_assert_gt(asprintf(&setting, "AFTERFIN_LEDGER=%s", directory), 0);
    return setting;
}

Test(run_users, says_what_it_cannot_know) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *closed = new_directory(), *setting = text_of_ledger(closed);
    struct ended e = command(setting, "run", "sh", "-c", text_with(ways[3].command, peer.port), NULL);
    cr_expect(strstr(e.err, "no process reported a TCP socket"), "%s", e.err);
    cr_expect(strstr(e.err, "only root can reach"), "%s", e.err);
    cr_expect(strstr(e.err, "the kernel has 3 TIME_WAIT more than before"), "%s", e.err);
    cr_assert_eq(chmod(closed, 0755), 0);
    if (shell("setpriv --reuid %u --regid %u --clear-groups test -x %s", NOBODY, NOBODY, closed).status != 0)
        cr_skip_test("the scratch directory is private");
    e = command(setting, "run", "sh", "-c", text_with(ways[3].command, peer.port), NULL);
    cr_expect(strstr(e.err, "3 of them left by these processes"), "%s", e.err);
    cr_expect_str_eq(shell("stat -c %%u %s/*.ledger", closed).out, "65534\n");
}

/* ---- without run ------------------------------------------------------------------------------------------------ */

Test(run_users, without_run_it_has_a_place_of_its_own) {
    prepare();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    if (shell("mkdir -p /run/user && install -d -m 700 /run/user/0 && ! test -e /tmp/afterfin-%u", NOBODY).status != 0)
        cr_skip_test("/tmp/afterfin-%u is there", NOBODY);
    const pid_t pid = leave("LEDGER=on|$XDG_RUNTIME_DIR=/run/user/0", 0,
                            (const char *[]){ "sh", "-c", text_with(ways[3].command, peer.port), NULL });
    (void)pid;
    ns_settle();
    json_t *who = json_loads(command("XDG_RUNTIME_DIR=/run/user/0", "who", "--json", NULL).out, 0, NULL);
    json_t *top = json_loads(command("XDG_RUNTIME_DIR=/run/user/0", "top", "--once", "--json", NULL).out, 0, NULL);
    json_t *report = json_loads(command(NULL, "report", "--json", NULL).out, 0, NULL);
    struct ended own =
        shell("install -d -m 700 -o %u /run/user/%u; XDG_RUNTIME_DIR=/run/user/%u %s build/afterfin who --json", NOBODY,
              NOBODY, NOBODY, as_nobody());
    shell("rm -rf /tmp/afterfin-%u", NOBODY);
    cr_expect_eq(json_number(who, "processes.0.uid"), NOBODY);
    cr_expect_eq(json_number(who, "processes.0.time_wait"), 3);
    cr_expect_eq(json_number(top, "processes.0.time_wait"), 3);
    cr_expect_eq(json_number(report, "totals.time_wait"), 3);
    cr_expect_eq(json_number(json_loads(own.out, 0, NULL), "processes.0.time_wait"), 3, "to its user too: %s%s",
                 own.out, own.err);
}
