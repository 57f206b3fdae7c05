/* afterfin run as a wrapper: CMD must not be able to tell. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *script(const char *text, mode_t mode) {
    const char *path = scratch_path();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    fchmod(fd, mode);
    close(fd);
    return path;
}

/* env(1) is the measure: it wraps a command too, and DESIGN names it. */
Test(run, ends_with_the_status_that_env_would_end_with) {
    const char *rows[][4] = {
        { "true" },
        { "false" },
        { "sh", "-c", "exit 3" },
        { "sh", "-c", "exit 126" },
        { "/nonexistent" },
        { "no-such-program-anywhere" },
        { "/etc/passwd" },
        { "/" },
        { script("#!/nonexistent\n", 0700) },
        { script("#!/bin/sh\nexit 7\n", 0700) },
        { script("exit 8\n", 0700) },
        { script("#!/bin/sh\nexit 7\n", 0600) },
        { "sh", "-c", "kill -TERM $$" },
        { "sh", "-c", "kill -KILL $$" },
        { "sh", "-c", "kill -SEGV $$; sleep 9" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char **r = rows[i];
        struct ended bare = run_argv(NULL, (const char *[]){ "/usr/bin/env", r[0], r[1], r[2], NULL });
        struct ended ours = command(NULL, "run", r[0], r[1], r[2], NULL);
        cr_expect_eq(ours.status, bare.status, "%s %s: %d, bare %d", r[0], r[2] ? r[2] : "", ours.status, bare.status);
        cr_expect_str_eq(ours.out, bare.out);
    }
}

Test(run, understands_a_policy_by_each_of_its_names) {
    static const char *const rows[] = { "linger=ack", "LINGER=ack", "AFTERFIN_LINGER=ack" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(command(NULL, "run", "-q", "-p", rows[i], "printenv", "AFTERFIN_LINGER", NULL).out, "ack\n",
                         "%s", rows[i]);
}

/* One document, whatever CMD says; and no more descriptors for CMD than bare. */
Test(run, has_stdout_to_itself_where_its_JSON_goes_there) {
    static const char say[] = "echo out; echo err >&2; ls /proc/self/fd | wc -l";
    struct ended e = command(NULL, "run", "-q", "--json", "sh", "-c", say, NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    cr_assert(json, "%s", e.out);
    cr_expect_eq(json_number(json, "exit_status"), 0);
    const char *words = e.err;
    char option[128], wanted[128];
    snprintf(option, sizeof option, "--json=%s", scratch_path());
    e = command(NULL, "run", "-q", option, "sh", "-c", say, NULL);
    cr_expect_str_eq(e.err, "err\n");
    cr_expect(strncmp(e.out, "out\n", 4) == 0, "%s", e.out);
    snprintf(wanted, sizeof wanted, "out\nerr\n%s", e.out + 4);
    cr_expect_str_eq(words, wanted);
}

/* Whoever reads what CMD writes, or writes what it reads, sees it close its end though it runs on; bare it is so. */
Test(run, keeps_no_end_of_the_pipes_that_are_CMDs) {
    static const struct {
        const char *options;
        bool out; /* stdout, too */
    } rows[] = { { "-q", true }, { "", true }, { "-q --json", false } };
    for (size_t i = 0; i < ROWS(rows); i++) {
        int in[2], out[2], go[2];
        char line[256], byte;
        cr_assert(pipe(in) == 0 && pipe(out) == 0 && pipe(go) == 0);
        snprintf(line, sizeof line, "exec %s run %s sh -c 'exec </dev/null >/dev/null; read x <&3' 2>/dev/null",
                 command_path(), rows[i].options);
        const pid_t pid = fork();
        if (pid == 0) {
            dup2(in[0], 0);
            dup2(out[1], 1);
            const int ends[] = { in[0], in[1], out[0], out[1], go[1] };
            for (size_t end = 0; end < ROWS(ends); end++)
                close(ends[end]);
            dup2(go[0], 3); /* dash reads one digit */
            execl("/bin/sh", "sh", "-c", line, NULL);
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        struct pollfd ends[] = { { .fd = in[1], .events = 0 }, { .fd = out[0], .events = POLLIN } };
        for (unsigned end = 0; end < (rows[i].out ? 2u : 1u); end++)
            cr_assert_eq(poll(&ends[end], 1, 60000), 1, "%s: %s is still held", rows[i].options,
                         end ? "stdout" : "stdin");
        if (rows[i].out)
            cr_expect_eq(read(out[0], &byte, 1), 0, "%s: nothing is written to stdout", rows[i].options);
        cr_expect_eq(waitpid(pid, NULL, WNOHANG), 0, "%s: it runs on", rows[i].options);
        close(go[0]);
        close(go[1]);
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
        close(in[1]);
        close(out[0]);
    }
}

Test(run, ends_with_125_and_one_line_where_it_fails_itself) {
    static const struct {
        const char *environment, *arguments[3], *says;
    } rows[] = {
        { NULL, { NULL }, "which CMD?" },
        { NULL, { "-p", "linger=foo", "true" }, "afterfin: -p linger=\"foo\": expected" },
        { NULL, { "-pLINGER=foo", "true" }, "afterfin: -p linger=\"foo\": expected" },
        { NULL, { "-plinger=ack,bind_no_port=on", "true" }, "each policy has a -p of its own" },
        { "AFTERFIN_KEEPALIVE=x", { "-p", "linger=ack", "true" }, "afterfin: AFTERFIN_KEEPALIVE=\"x\": expected" },
        { NULL, { "linger=ack", "--", "true" }, "'linger=ack' is a policy and no CMD: -p linger=ack;" },
        { NULL, { "AFTERFIN_LINGER=ack", "true" }, "is a policy and no CMD" },
        { NULL, { "-p", "lingr=ack", "true" }, "did you mean linger?" },
        { NULL, { "-p", "linger", "true" }, "expected KEY=VALUE" },
        { NULL, { "-p" }, "needs KEY=VALUE" },
        { "AFTERFIN_LINGER=foo", { "true" }, "AFTERFIN_LINGER" },
        { "AFTERFIN_LINGR=ack", { "true" }, "AFTERFIN_LINGR" },
        { NULL, { "--jsn", "true" }, "did you mean --json?" },
        { NULL, { "-x", "true" }, "unknown option -x" },
        { NULL, { "--exec=1", "true" }, "takes no value" },
        { NULL, { "--json=", "true" }, "needs FILE" },
        { NULL, { "--json", "--exec", "true" }, "exclude each other" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *a = rows[i].arguments;
        struct ended e = command(rows[i].environment, "run", a[0], a[1], a[2], NULL);
        cr_expect_eq(e.status, 125, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
        cr_expect_eq(strchr(e.err, '\n') - e.err + 1, (ptrdiff_t)strlen(e.err), "row %zu: one line: %s", i, e.err);
        cr_expect_str_empty(e.out);
    }
}

Test(run, lets_p_beat_the_environment_and_a_later_p_an_earlier_one) {
    static const struct {
        const char *environment, *p1, *p2, *wanted;
    } rows[] = {
        { "AFTERFIN_LINGER=rst", "linger=ack", "keepalive=5", "ack" },
        { "AFTERFIN_LINGER=rst", "linger=ack", "linger=3", "3" },
        { "AFTERFIN_LINGER=rst", "keepalive=5", "keepalive=6", "rst" },
        { "AFTERFIN_LINGER=wrong", "linger=ack", "keepalive=6", "ack" },
        { "AFTERFIN_LINGER=rst", "linger=", "keepalive=6", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ended e = command(rows[i].environment, "run", "-q", "-p", rows[i].p1, "-p", rows[i].p2, "printenv",
                                 "AFTERFIN_LINGER", NULL);
        cr_expect_eq(e.status, 0, "row %zu: %s", i, e.err);
        cr_expect_eq(strncmp(e.out, rows[i].wanted, strlen(rows[i].wanted)), 0, "row %zu: %s", i, e.out);
        cr_expect_eq(strlen(e.out), strlen(rows[i].wanted) + 1, "row %zu: %s", i, e.out);
    }
}

Test(run, leaves_what_follows_the_first_operand_to_CMD) {
    static const char *const rows[][6] = {
        { "echo", "-p", "--json", "-x", "--", "--exec" },
        { "--", "echo", "-p", "--json", "-x", "--" },
        { "-q", "echo", "--exec", "-V", "-h" },
    };
    static const char *const wanted[] = { "-p --json -x -- --exec\n", "-p --json -x --\n", "--exec -V -h\n" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *r = rows[i];
        struct ended e = command(NULL, "run", r[0], r[1], r[2], r[3], r[4], r[5], NULL);
        cr_expect_eq(e.status, 0, "row %zu: %s", i, e.err);
        cr_expect_str_eq(e.out, wanted[i]);
    }
}

/* What CMD may see of its process: descriptors, signal mask and dispositions. `env` sets odd ones first. */
Test(run, gives_CMD_the_descriptors_and_signals_that_it_was_started_with) {
    static const char *const look = "ls -l /proc/self/fd | sed 's/.*[0-9] \\([0-9]*\\) ->.*/\\1/' | sort -n;"
                                    "grep -E '^Sig(Blk|Ign)' /proc/self/status; test -e /proc/self/fd/0; echo $?";
    static const char *const before[] = {
        "exec \"$@\"",
        "exec env --ignore-signal=HUP,CHLD,PIPE --block-signal=USR1,TERM \"$@\"",
        "exec \"$@\" <&-",
        "exec \"$@\" 5</dev/null",
    };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *bare[] = { "sh", "-c", before[i], "sh", "sh", "-c", look, NULL };
        const char *ours[] = { "sh", "-c", before[i], "sh", command_path(), "run", "sh", "-c", look, NULL };
        struct ended b = run_argv(NULL, bare), o = run_argv(NULL, ours);
        cr_expect_eq(o.status, b.status, "row %zu", i);
        cr_expect_str_eq(o.out, b.out, "row %zu: %s\nbare: %s", i, o.out, b.out);
    }
}

/* No shell between: it would set SIGCHLD right. */
Test(run, gives_CMD_the_dispositions_that_it_was_started_with) {
    static const char *const argv[] = {
        "env", "--ignore-signal=HUP,CHLD,PIPE,INT", "grep", "^SigIgn", "/proc/self/status", NULL
    };
    struct ended bare = run_argv(NULL, argv);
    struct ended ours = run_argv(NULL, (const char *[]){ argv[0], argv[1], command_path(), "run", argv[2], argv[3],
                                                         argv[4], NULL });
    cr_assert_eq(bare.status, 0);
    cr_assert_str_eq(ours.out, bare.out);
}

Test(run, knows_CMDs_status_even_where_children_are_ignored) {
    struct ended e = run_argv(NULL, (const char *[]){ "env", "--ignore-signal=CHLD", command_path(), "run", "sh", "-c",
                                                      "exit 5", NULL });
    cr_assert_eq(e.status, 5);
}

Test(run, keeps_the_preloads_that_are_there_behind_its_own) {
    struct ended e = command("LD_PRELOAD=libm.so.6:libdl.so.2", "run", "-q", "printenv", "LD_PRELOAD", NULL);
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s:libm.so.6:libdl.so.2\n", preload_path());
    cr_assert_str_eq(e.out, wanted);
    e = command(NULL, "run", "-q", command_path(), "run", "-q", "printenv", "LD_PRELOAD", NULL);
    snprintf(wanted, sizeof wanted, "%s\n", preload_path());
    cr_assert_str_eq(e.out, wanted, "a run in a run: %s", e.out);
}

Test(run, with_exec_becomes_CMD) {
    const char *script_text = "echo $$; exec \"$0\" run -p linger=ack --exec sh -c "
                              "'echo $$; echo $AFTERFIN_LINGER $AFTERFIN_LEDGER; echo $LD_PRELOAD; exit 6'";
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", script_text, command_path(), NULL });
    char library[512];
    int first = 0, second = -1;
    cr_assert_eq(e.status, 6);
    cr_assert_eq(sscanf(e.out, "%d\n%d\nack\n%511s", &first, &second, library), 3, "%s", e.out);
    cr_assert_eq(first, second, "%s", e.out);
    cr_assert_str_eq(library, preload_path());
    cr_assert_str_empty(e.err, "no table");
    cr_assert_eq(command(NULL, "run", "--exec", "/nonexistent", NULL).status, 127);
    for (int exec = 0; exec < 2; exec++) {
        struct ended empty = command(NULL, "run", exec ? "--exec" : "-q", "--", "", NULL);
        cr_expect_eq(empty.status, 127);
        cr_expect(strstr(empty.err, "CMD is an empty word"), "%s", empty.err);
    }
    cr_assert_eq(command(NULL, "run", "--exec", "/etc/passwd", NULL).status, 126);
}

Test(run, says_where_it_looked_for_the_library_and_where_it_cannot_be_preloaded_from) {
    const char *directory = scratch_path();
    char path[512];
    struct ended e = run_argv(
        NULL, (const char *[]){
                  "sh", "-c",
                  "mkdir -p \"$1/bin\" \"$1/lib\" \"$1/a b\" && cp \"$2\" \"$1/bin/\" && cp \"$2\" \"$3\" \"$1/a b/\"",
                  "sh", directory, command_path(), library_path(), NULL });
    cr_assert_eq(e.status, 0, "%s", e.err);
    snprintf(path, sizeof path, "%s/bin/afterfin", directory);
    e = run_argv(NULL, (const char *[]){ path, "run", "echo", "started", NULL });
    if (access("/usr/local/lib/libafterfin.so", F_OK) != 0) {
        cr_expect_eq(e.status, 125, "%s", e.out);
        cr_expect(strstr(e.err, "cannot find libafterfin.so"), "%s", e.err);
        cr_expect_str_empty(e.out);
    }
    snprintf(path, sizeof path, "%s/a b/afterfin", directory);
    e = run_argv(NULL, (const char *[]){ path, "run", "echo", "started", NULL });
    cr_expect_eq(e.status, 125);
    cr_expect(strstr(e.err, "cannot be preloaded"), "%s", e.err);
    /* bin/ and lib/ side by side, as installed. */
    e = run_argv(NULL, (const char *[]){ "sh", "-c", "cp \"$1\" \"$2/lib/\" && exec \"$2/bin/afterfin\" env", "sh",
                                         library_path(), directory, NULL });
    snprintf(path, sizeof path, "LD_PRELOAD=%s/lib/libafterfin.so\n", directory);
    cr_expect_str_eq(e.out, path);
}

/* Looked for in a mount namespace of its own, where nobody else puts anything. */
Test(run, leaves_no_directory_where_it_has_no_descriptors) {
    static const char script[] =
        "mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /run || exit 77; "
        "for n in 3 4 5 6 7 8 9 10 12; do (ulimit -n $n; exec \"$@\") >/dev/null 2>&1; done; "
        "find /tmp /dev/shm /run -name 'run-*' -o -name 'afterfin-*'";
    if (geteuid() != 0)
        cr_skip_test("needs root, for a /tmp of its own");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = run_argv(NULL, (const char *[]){ "unshare", "-m", "sh", "-c", script, "sh", command_path(), "run",
                                                      victim_path("connect_close"), "127.0.0.1", text("%u", peer.port),
                                                      NULL });
    if (e.status == 77)
        cr_skip_test("cannot mount: %s", e.err);
    cr_expect_str_empty(e.out, "%s", e.out);
}

/* What was not seen is put down to resets only where the kernel has sent any. */
Test(run, blames_no_reset_where_there_was_none) {
    if (geteuid() != 0)
        cr_skip_test("needs root, to end a TIME_WAIT");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e =
        command(NULL, "run", "sh", "-c",
                "\"$0\" 127.0.0.1 $1 -n 3; while grep -q ' 0[45] ' /proc/net/tcp; do :; done; \"$2\" reap --all",
                victim_path("connect_close"), text("%u", peer.port), command_path(), NULL);
    char *flat = strdup(e.err);
    for (char *c = flat; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    cr_expect(strstr(flat, "3 counted in TIME_WAIT but not seen in the kernel's table: both sides closed at once"),
              "%s", e.err);
}

/* Both sides' closing has not done it, and the kernel has counted what has. */
Test(run, says_that_connects_took_the_ports_over) {
    ns_enter();
    if (shell("echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse").status != 0)
        cr_skip_test("tcp_tw_reuse cannot be set here");
    ns_port_range(20000, 20004);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct ended e = command(NULL, "run", "sh", "-c",
                             "\"$0\" 127.0.0.1 $1 -n 5; until \"$0\" 127.0.0.1 $1 -n 5; do sleep 0.1; done",
                             victim_path("connect_close"), text("%u", peer.port), NULL);
    char *flat = strdup(e.err);
    for (char *c = flat; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    cr_expect(strstr(flat, text("not seen in the kernel's table: connects took over the ports of %ld "
                                "(net.ipv4.tcp_tw_reuse), by the kernel's count",
                                ns_netstat("TWRecycled"))),
              "%s", e.err);
    cr_expect_geq(ns_netstat("TWRecycled"), 5);
}

/* The likeliest is in the note, each that is known in the manual. A peer that resets what was closed is the commonest. */
Test(run, names_what_keeps_a_prediction_from_coming_true) {
    static const char *const causes[] = {
        "60 s",        "tcp_tw_reuse", "afterfin reap",  "the peer resets",
        "still sends", "TCP_REPAIR",   "max_tw_buckets", "another network namespace"
    };
    ns_enter();
    struct peer peer = script_start("er", 0);
    /* The peer's resets have come, too, before the run is at its end: nothing in FIN_WAIT1 or FIN_WAIT2. */
    struct ended e = command("COLUMNS=200", "run", "sh", "-c",
                             "\"$0\" 127.0.0.1 $1 -n 3; while grep -q ' 0[45] ' /proc/net/tcp; do :; done",
                             victim_path("connect_close"), text("%u", peer.port), NULL);
    char *flat = strdup(e.err);
    for (char *c = flat; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    cr_expect(strstr(flat, "3 counted in TIME_WAIT but not seen in the kernel's table: the peer resets what is closed"),
              "%s", e.err);
    cr_expect(strstr(flat, "afterfin(5) has every cause"), "%s", e.err);
    const char *manual = file_text("man/afterfin.5.in");
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        cr_expect(strstr(manual, causes[i]), "%s", causes[i]);
}

/* Of the calls that the library adds a filter may refuse each, and says so by killing. */
Test(run, says_that_a_filter_kills_for_calls_of_the_library) {
    static const struct {
        const char *name;
        long number;
    } calls[] = { { "kcmp", SYS_kcmp }, { "geteuid", SYS_geteuid }, { "getsockname", SYS_getsockname } };
    ns_enter();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const char *said = text("kills for %s, which the library calls", calls[i].name);
        for (int kill = 0; kill < 2; kill++) {
            struct ended e = run_argv(NULL, (const char *[]){ victim_path("filter_exec"), text("%ld", calls[i].number),
                                                              kill ? "kill" : "errno", command_path(), "run", "-q",
                                                              "/bin/true", NULL });
            if (e.status == 3)
                cr_skip_test("no seccomp filter may be installed here");
            cr_expect_eq(strstr(e.err, said) != NULL, kill, "%s: %d: %s", calls[i].name, kill, e.err);
        }
    }
    cr_expect_not(strstr(command(NULL, "run", "-q", "/bin/true", NULL).err, "seccomp"));
}

/* As under inetd: the program speaks a protocol there, and whatever else run has to say stays unsaid. */
Test(run, says_nothing_into_a_connection_that_is_CMDs_stderr) {
    static const struct {
        const char *options;
        int status;
    } rows[] = {
        { "run -p linger=ack", 0 }, /* a table */
        { "run -p linger=ack --json=/dev/null", 0 },
        { "run --exec -p linger=ack", 0 },
        { "run -s -p linger=ack", 0 }, /* a supervisor */
        { "run -s --exec -p linger=ack", 0 },
        { "run -p linger=nonsense", 125 },
        { "run -p nonsense=1", 125 },
        { "run -p linger=ack /nowhere/at/all", 127 },
        { "run --nonsense", 125 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ns_enter();
        struct peer connection = peer_start(&(struct peer_options){ .raw = true });
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        const struct ended e = run(NULL, "into tcp:%u %s %s %s stack 127.0.0.1 %u 2", connection.port, command_path(),
                                   rows[i].options, victim_path("connect_from"), peer.port);
        cr_expect_eq(e.status, rows[i].status, "%s: %d", rows[i].options, e.status);
        peer_wait_ended(&connection, 1);
        cr_expect_eq(connection.book->conn[0].bytes, 0, "%s: %lu bytes of ours in the program's protocol",
                     rows[i].options, (unsigned long)connection.book->conn[0].bytes);
        peer_stop(&connection);
        peer_stop(&peer);
    }
}
