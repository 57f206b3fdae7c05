/* set, from outside: what a bare program's sockets do from then on, in the kernel's own books, and that nothing else of it
 * changes. */
#include "tests/cli/set/set.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- TIME_WAIT ------------------------------------------------------------------------------------------------ */

static void serve_some(uint16_t port, unsigned n) {
    struct client_result r = client_run(&(struct client_options){ .port = port, .n = n, .send = 1 });
    cr_assert_eq(r.clean, n, "%u clean of %u", r.clean, n);
}

/* A program as the linker leaves it when it takes nothing along. */
static const char *static_server(void) {
    const char *path = scratch_path();
    struct ended e = shell("gcc -static -O1 -D_GNU_SOURCE -I. -o %s tests/victims/server_close.c", path);
    cr_assert_eq(e.status, 0, "%s", e.err);
    return path;
}

Test(set, a_server_that_runs_leaves_no_time_wait_from_then_on_and_some_again_after_off) {
    ns_enter();
    own_default();
    const char *programs[] = { "server_close", static_server() };
    for (size_t i = 0; i < ROWS(programs); i++) {
        const unsigned port = 10000 + (unsigned)i;
        struct victim v = victim_start(NULL, "%s 127.0.0.1 %u -n 1000 -q 1 -b 1000", programs[i], port);
        ns_wait_listen(port);
        serve_some((uint16_t)port, 50);
        const long bare = ns_tw();
        cr_expect_gt(bare, 45, "%s: the test itself: %ld", programs[i], bare);
        set_json(0, v.pid, "linger=ack", NULL);
        serve_some((uint16_t)port, 50);
        cr_expect_eq(ns_tw(), bare, "%s: %ld more", programs[i], ns_tw() - bare);
        set_json(0, v.pid, "linger=off", NULL);
        serve_some((uint16_t)port, 50);
        cr_expect_gt(ns_tw(), bare + 45, "%s: %ld more", programs[i], ns_tw() - bare);
        victim_kill(&v, SIGKILL);
    }
}

/* ---- which options -------------------------------------------------------------------------------------------- */

/* What the kernel has on a socket, in one line. */
static const char *options_of(pid_t pid, unsigned nth) {
    static char text[2][128];
    static unsigned turn;
    char *out = text[turn++ % 2];
    struct linger linger = { 0 };
    socklen_t size = sizeof linger;
    const int fd = victim_socket(pid, nth);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size);
    snprintf(out, sizeof text[0], "linger %d:%d linger2 %d keepalive %d:%d:%d:%d user_timeout %d", linger.l_onoff,
             linger.l_onoff ? linger.l_linger : 0, socket_option(fd, IPPROTO_TCP, TCP_LINGER2),
             socket_option(fd, SOL_SOCKET, SO_KEEPALIVE), socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
             socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT),
             socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    close(fd);
    return out;
}

/* What nobody has accepted yet has no inode. */
static void wait_accepted(unsigned port) {
    for (bool accepted = false; !accepted; usleep(1000)) {
        struct ns_socket *rows;
        const size_t n = ns_sockets(&rows);
        for (size_t i = 0; i < n; i++)
            accepted |= rows[i].state == ST_ESTABLISHED && rows[i].local_port == port && rows[i].inode;
        free(rows);
    }
}

#define BARE_LINGER "linger 0:0 linger2 60 "
#define BARE_REST "keepalive 0:7200:75:9 user_timeout 0"

Test(set, sets_what_was_asked_for_and_off_gives_back_what_was_there) {
    static const struct {
        const char *own, *policy[3], *off[3];
        const char *then, *after; /* NULL: as at first */
    } rows[] = {
        { "", { "linger=ack" }, { "linger=off" }, "linger 0:0 linger2 -1 " BARE_REST, NULL },
        { "", { "linger=7" }, { "linger=off" }, "linger 1:7 linger2 60 " BARE_REST, NULL },
        { "", { "keepalive=60:10:6" }, { "keepalive=off" }, BARE_LINGER "keepalive 1:60:10:6 user_timeout 0", NULL },
        { "", { "keepalive=60" }, { "keepalive=off" }, BARE_LINGER "keepalive 1:60:75:9 user_timeout 0", NULL },
        { "",
          { "user_timeout=30s" },
          { "user_timeout=off" },
          BARE_LINGER "keepalive 0:7200:75:9 user_timeout 30000",
          NULL },
        { "",
          { "linger=ack", "user_timeout=5ms" },
          { "linger=off" },
          "linger 0:0 linger2 -1 keepalive 0:7200:75:9 user_timeout 5",
          BARE_LINGER "keepalive 0:7200:75:9 user_timeout 5" },
        { "",
          { "rules=connect * linger=ack,keepalive=9" },
          { "rules=" },
          "linger 0:0 linger2 -1 keepalive 1:9:75:9 user_timeout 0",
          NULL },
        { "",
          { "rules=connect * linger=ack; connect * keepalive=9" },
          { "rules=connect * keepalive=off" },
          "linger 0:0 linger2 -1 keepalive 1:9:75:9 user_timeout 0",
          "linger 0:0 linger2 -1 " BARE_REST },
        /* the program's own choice */
        { "-O linger:1:60", { "linger=ack" }, { "linger=off" }, "linger 1:60 linger2 60 " BARE_REST, NULL },
        { "-O keepalive:1 -O keepidle:99",
          { "keepalive=60", "linger=ack" },
          { "keepalive=off", "linger=off" },
          "linger 0:0 linger2 -1 keepalive 1:99:75:9 user_timeout 0",
          NULL },
        { "-O linger:1:60",
          { "linger=ack", "override=on" },
          { "linger=off" },
          "linger 0:0 linger2 -1 " BARE_REST,
          NULL },
        { "-O user_timeout:77",
          { "user_timeout=5s", "override=on" },
          { "user_timeout=off" },
          BARE_LINGER "keepalive 0:7200:75:9 user_timeout 5000",
          NULL },
        { "-O linger2:5", { "linger=ack" }, { "linger=off" }, "linger 0:0 linger2 -1 " BARE_REST, NULL },
    };
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u %s", peer.port, rows[i].own);
        peer_wait_accepted(&peer, i + 1);
        victim_wait_out(&v, "open");
        const char *before = strdup(options_of(v.pid, 0));
        const bool kept = strstr(rows[i].own, "linger:") && !rows[i].policy[1];
        for (int again = 0; again < 2; again++) { /* what is ours is not taken for the program's */
            set_json(kept, v.pid, rows[i].policy[0], rows[i].policy[1], NULL);
            cr_expect_str_eq(options_of(v.pid, 0), rows[i].then, "row %u: %s", i, options_of(v.pid, 0));
        }
        set_json(0, v.pid, rows[i].off[0], rows[i].off[1], NULL);
        const char *after = rows[i].after ? rows[i].after : before;
        cr_expect_str_eq(options_of(v.pid, 0), after, "row %u: %s", i, options_of(v.pid, 0));
        victim_kill(&v, SIGKILL);
    }
}

/* Of what a listening socket handed on nobody has made a note. */
Test(set, off_gives_back_what_was_inherited_too) {
    ns_enter();
    own_default();
    struct victim v = victim_start(NULL, "server_close 127.0.0.1 10000 -n 9 -q 9 -o reuseaddr:1");
    ns_wait_listen(10000);
    set_json(0, v.pid, "keepalive=60:10:6", "linger=ack", NULL);
    struct victim c = victim_start(NULL, "connect_hold 127.0.0.1 10000");
    wait_accepted(10000);
    cr_expect_str_eq(options_of(v.pid, 1), "linger 0:0 linger2 -1 keepalive 1:60:10:6 user_timeout 0", "%s",
                     options_of(v.pid, 1));
    set_json(0, v.pid, "keepalive=off", "linger=off", NULL);
    for (unsigned nth = 0; nth < 2; nth++)
        cr_expect_str_eq(options_of(v.pid, nth), BARE_LINGER BARE_REST, "%u: %s", nth, options_of(v.pid, nth));
    victim_kill(&c, SIGKILL);
}

/* ---- which sockets -------------------------------------------------------------------------------------------- */

static int linger2(pid_t pid, unsigned nth) {
    const int fd = victim_socket(pid, nth), value = socket_option(fd, IPPROTO_TCP, TCP_LINGER2);
    close(fd);
    return value;
}

Test(set, a_rule_is_matched_on_what_the_kernel_tells_of_each_socket) {
    static const struct {
        const char *rule;
        bool server, accepted, client;
    } rows[] = {
        { "connect 127.0.0.1:10000 linger=ack", false, false, true },
        { "connect 127.0.0.2 linger=ack", false, false, false },
        { "listen :10000 linger=ack", true, true, false },
        { "listen :10001 linger=ack", false, false, false },
        { "listen 127.0.0.0/8 linger=ack; connect :10001 linger=off", true, true, false },
        { "bind * reuseaddr=on; connect * linger=ack", false, false, true },
    };
    ns_enter();
    own_default();
    for (size_t i = 0; i < ROWS(rows); i++) {
        char rule[256];
        snprintf(rule, sizeof rule, "rules=%s", rows[i].rule);
        struct victim v = victim_start(NULL, "server_close 127.0.0.1 10000 -n 9 -q 9 -o reuseaddr:1");
        ns_wait_listen(10000);
        struct victim c = victim_start(NULL, "connect_hold 127.0.0.1 10000");
        wait_accepted(10000);
        victim_wait_out(&c, "open");
        set_json(!(rows[i].server || rows[i].accepted), v.pid, rule, NULL);
        set_json(!rows[i].client, c.pid, rule, NULL);
        cr_expect_eq(linger2(v.pid, 0) < 0, rows[i].server, "%s", rows[i].rule);
        cr_expect_eq(linger2(v.pid, 1) < 0, rows[i].accepted, "%s", rows[i].rule);
        cr_expect_eq(linger2(c.pid, 0) < 0, rows[i].client, "%s", rows[i].rule);
        victim_kill(&v, SIGKILL);
        victim_kill(&c, SIGKILL);
        ns_settle();
    }
}

Test(set, a_tree_is_reached_from_its_root_and_in_another_network_namespace) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    const char *path = victim_path("connect_hold");
    char line[512];
    snprintf(line, sizeof line, "%s 127.0.0.1 %u & (%s 127.0.0.1 %u & wait) & wait", path, peer.port, path, peer.port);
    struct victim v = victim_start_argv(NULL, (const char *const[]){ "sh", "-c", line, NULL });
    peer_wait_accepted(&peer, 2);
    json_t *json = set_json(1, v.pid, "linger=ack", NULL);
    cr_expect_eq(json_array_size(json_find(json, "processes")), 1);
    cr_expect_eq(json_number(json, "processes.0.connections"), 0);
    struct ended e = shell("unshare -n %s set --pid %d --tree --json linger=ack", command_path(), (int)v.pid);
    cr_assert_eq(e.status, 0, "%s", e.err);
    json = json_loads(e.out, 0, NULL);
    long connections = 0, set = 0;
    for (size_t i = 0; i < json_array_size(json_find(json, "processes")); i++) {
        const json_t *one = json_array_get(json_find(json, "processes"), i);
        connections += json_number(one, "connections");
        set += json_number(one, "set");
        if (json_number(one, "connections") == 1)
            cr_expect_eq(linger2((pid_t)json_number(one, "pid"), 0), -1);
    }
    cr_expect_eq(connections, 2, "%s", e.out);
    cr_expect_eq(set, 2, "%s", e.out);
    victim_kill(&v, SIGTERM);
}

/* ---- what is said --------------------------------------------------------------------------------------------- */

Test(set, says_what_is_out_of_reach_and_fails_where_nothing_was_reached) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    struct victim own = victim_start(NULL, "connect_hold 127.0.0.1 %u -O linger:1:5", peer.port);
    struct victim none = victim_start(NULL, "sleep 1000");
    struct victim stopped = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    struct victim zombie = victim_start(NULL, "true");
    siginfo_t ended;
    cr_assert_eq(waitid(P_PID, (id_t)zombie.pid, &ended, WEXITED | WNOWAIT), 0);
    peer_wait_accepted(&peer, 3);
    victim_wait_out(&own, "open");
    kill(stopped.pid, SIGSTOP);
    const struct {
        pid_t pid;
        const char *policy;
        int status;
        const char *says;
    } rows[] = {
        { v.pid, "linger=ack", 0, "from outside: outgoing connections that it opens later\n" },
        { v.pid, "linger=ack", 0, "linger=ack is linger=ack-always there" },
        { v.pid, "linger=ack-always", 0, "from outside: outgoing connections" },
        { v.pid, "linger=rst", 1, "from outside: linger=rst" },
        { v.pid, "bind_no_port=on", 1, "from outside: bind_no_port" },
        { v.pid, "rules=connect * port_range=1-2,keepalive=5", 0, "from outside: port_range, outgoing connections" },
        { v.pid, "linger=off", 0, "" },
        { own.pid, "linger=ack", 1, "what the program itself has set stays so on 1 of the sockets; override=on" },
        { none.pid, "linger=ack", 1, "no TCP socket is there" },
        { stopped.pid, "linger=ack", 0, "" },
        { zombie.pid, "linger=ack", 1, "it has ended" },
        { 2147483647, "linger=ack", 1, "there is no process 2147483647" },
        { v.pid, "linger=maybe", 2, "set: linger=\"maybe\": expected" },
        { v.pid, "linger=", 2, "off gives the option back" },
        { v.pid, "lingre=ack", 2, "set: lingre=ack: no policy key has this name, did you mean linger?" },
        { v.pid, "foo=1", 2, "set: foo=1: no policy key has this name; try" },
        { v.pid, "log=stderr", 2, "at its start only" },
        { v.pid, "LOG=stderr", 2, "a program reads log at its start only" },
        { v.pid, "set=off", 2, "a program reads set at its start only" },
        { v.pid, "override=on", 1, "set: override=on changes no option by itself" },
        { v.pid, "AFTERFIN_ONLY=x", 2, "a program reads only at its start only" },
        { v.pid, "LINGER=ack-always", 0, "from outside: outgoing connections" },
        { v.pid, "AFTERFIN_LINGER=maybe", 2, "set: linger=\"maybe\": expected" },
        { v.pid, "LINGER=", 2, "off gives the option back" },
        { v.pid, "RULES=connect * keepalive=5", 0, "" },
        { v.pid, "AFTERFIN_RULES=", 0, "" },
        { v.pid, "--tree", 2, "options come before" },
        { 0, "linger=ack", 2, "--pid needs a number" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)rows[i].pid);
        struct ended e = command("AFTERFIN_LINGER=nonsense", "set", "--pid", pid, "--", rows[i].policy, NULL);
        cr_expect_eq(e.status, rows[i].status, "row %zu: %d", i, e.status);
        cr_expect(strstr(e.err, rows[i].says), "row %zu: %s", i, e.err);
    }
    victim_kill(&stopped, SIGKILL);
    victim_kill(&none, SIGKILL);
}

Test(set, says_nothing_of_what_a_server_opens_that_opens_nothing) {
    ns_enter();
    own_default();
    struct victim v = victim_start(NULL, "server_close 127.0.0.1 10000 -n 9 -q 9 -o reuseaddr:1");
    ns_wait_listen(10000);
    struct victim c = victim_start(NULL, "connect_hold 127.0.0.1 10000");
    wait_accepted(10000);
    const struct {
        pid_t pid;
        const char *policy, *out_of_reach;
    } rows[] = {
        { v.pid, "linger=ack", NULL },
        { v.pid, "linger=off", NULL },
        { v.pid, "rules=listen * linger=ack; bind * reuseaddr=on", "reuseaddr" },
        { c.pid, "linger=ack", "outgoing connections that it opens later" },
        { c.pid, "linger=off", NULL },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        const char *says = json_string_value(json_find(set_json(0, rows[i].pid, rows[i].policy, NULL), "out_of_reach"));
        cr_expect(rows[i].out_of_reach ? says && strcmp(says, rows[i].out_of_reach) == 0 : !says, "row %zu: %s", i,
                  says);
    }
    victim_kill(&c, SIGKILL);
    victim_kill(&v, SIGKILL);
}

Test(set, nothing_is_changed_where_what_came_of_it_cannot_be_written) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    struct ended e = shell("%s set --json=/nonexistent/x --pid %d linger=ack", command_path(), (int)v.pid);
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "cannot write JSON to /nonexistent/x"), "%s", e.err);
    cr_expect_neq(linger2(v.pid, 0), -1);
    static const char *const full[] = { "", "--json" };
    for (size_t i = 0; i < ROWS(full); i++) {
        e = shell("%s set %s --pid %d linger=ack >/dev/full", command_path(), full[i], (int)v.pid);
        cr_expect_eq(e.status, 1);
        cr_expect(strstr(e.err, "set: it has been set all the same"), "%s", e.err);
        cr_expect_eq(linger2(v.pid, 0), -1);
    }
    victim_kill(&v, SIGKILL);
}

Test(set, what_is_given_twice_is_refused) {
    static const char *const rows[][2] = {
        { "--pid 1 --pid 2 linger=ack", "--pid is given twice" },
        { "--pid 1 linger=ack LINGER=off", "LINGER=off: linger is given twice" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = shell("%s set %s", command_path(), rows[i][0]);
        cr_expect_eq(e.status, 2, "%s: %d", rows[i][0], e.status);
        cr_expect(strstr(e.err, rows[i][1]), "%s: %s", rows[i][0], e.err);
    }
}

Test(set, off_is_what_mptcp_has) {
    ns_enter();
    own_default();
    struct victim v = victim_start_argv(NULL, (const char *const[]){
                                                  "python3", "-c",
                                                  "import socket, time\n"
                                                  "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n"
                                                  "s.bind(('127.0.0.1', 10000)); s.listen(); time.sleep(1000)",
                                                  NULL });
    ns_wait_listen(10000);
    json_t *json = set_json(0, v.pid, "linger=off", NULL);
    cr_expect_eq(json_number(json, "processes.0.refused"), 0);
    cr_expect_eq(json_number(json, "processes.0.set"), 1);
    set_json(1, v.pid, "linger=ack", NULL);
    victim_kill(&v, SIGKILL);
}

/* Connections that it keeps; all are there. */
static struct victim opens_many(unsigned port, int n) {
    char open[256];
    snprintf(open, sizeof open,
             "import socket, time\n"
             "a = [socket.create_connection(('127.0.0.1', %u)) for i in range(%d)]\n"
             "print('open', flush=True); time.sleep(1000)",
             port, n);
    struct victim v = victim_start_argv(NULL, (const char *const[]){ "python3", "-c", open, NULL });
    victim_wait_out(&v, "open");
    return v;
}

/* Killed in the middle, when its first socket has what it puts: that is noted before. A set that was done before it could be
 * killed, or has not begun, says nothing: then another is. */
Test(set, off_gives_back_what_a_set_that_was_killed_has_put) {
    enum { N = 300, TRIES = 50 };
    long left = 0;
    bool killed = false;
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = opens_many(peer.port, N);
    const int first = victim_socket(v.pid, 0);
    for (unsigned i = 0; i < TRIES && !killed; i++) {
        char pid[16];
        set_json(0, v.pid, "keepalive=off", NULL);
        snprintf(pid, sizeof pid, "%d", (int)v.pid);
        struct victim set = victim_start_argv(NULL, (const char *const[]){ command_path(), "set", "--pid", pid,
                                                                           "keepalive=60", NULL });
        while (!socket_option(first, SOL_SOCKET, SO_KEEPALIVE) && victim_runs(&set))
            ;
        killed = victim_kill(&set, SIGKILL).status == 128 + SIGKILL;
    }
    cr_assert(killed && socket_option(first, SOL_SOCKET, SO_KEEPALIVE), "no set was killed in the middle");
    close(first);
    set_json(0, v.pid, "keepalive=off", NULL);
    for (unsigned nth = 0; nth < N; nth++) {
        const int fd = victim_socket(v.pid, nth);
        left += socket_option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0;
        close(fd);
    }
    cr_expect_eq(left, 0, "%ld", left);
    victim_kill(&v, SIGKILL);
}

/* Ten thousand are done with in under a tenth of a second: no more calls a socket than these, and none is looked up again
 * where nothing has been opened since. */
Test(set, takes_a_few_calls_a_socket) {
    enum { N = 300 };
    static const struct {
        const char *call;
        long most;
    } rows[] = { { "readlinkat", N + 40 },
                 { "pidfd_getfd", N + 10 },
                 { "getsockopt", 5 * N + 40 },
                 { "setsockopt", N + 10 },
                 { "getsockname", N + 10 } };
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (size_t i = 0; i < ROWS(rows); i++) {
        long calls = 0;
        struct victim v = opens_many(peer.port, N);
        struct ended e = run_counted(NULL, rows[i].call, &calls, "../../afterfin set --pid %d linger=ack", (int)v.pid);
        cr_expect_eq(e.status, 0, "%s", e.err);
        cr_expect(calls >= N && calls <= rows[i].most, "%s: %ld", rows[i].call, calls);
        cr_expect_eq(linger2(v.pid, N - 1), -1);
        victim_kill(&v, SIGKILL);
    }
}

Test(set, says_who_refused) {
    ns_enter();
    if (geteuid() != 0 || shell("setpriv --reuid 65533 --regid 65533 --clear-groups true").status != 0)
        cr_skip("no other user to be had");
    build_for_all();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    struct ended e = shell("setpriv --reuid 65533 --regid 65533 --clear-groups env -u XDG_RUNTIME_DIR %s set --pid %d "
                           "linger=ack",
                           command_path(), (int)v.pid);
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "it runs as user 0, group 0: as that user or as root (sudo)"), "%s", e.err);
    e = shell("setpriv --reuid 65533 --regid 65533 --clear-groups env -u XDG_RUNTIME_DIR %s doctor --pid %d",
              command_path(), (int)v.pid);
    cr_expect(e.status == 1 && strstr(e.err, "not ours to look into: it runs as user 0"), "%d, %s", e.status, e.err);
    e = shell("unshare -Ur true && unshare -Ur %s set --pid %d linger=ack", command_path(), (int)v.pid);
    cr_expect(strstr(e.err, "it is in another user namespace, in which we lack CAP_SYS_PTRACE"), "%s", e.err);
    cr_expect_neq(linger2(v.pid, 0), -1);
    victim_kill(&v, SIGKILL);
}

/* Its descriptors may be listed, and not read. */
Test(set, says_who_refused_where_only_capabilities_are_missing) {
    ns_enter();
    if (geteuid() != 0 || shell("setpriv --bounding-set -all --inh-caps -all true").status != 0)
        cr_skip("no capabilities to be dropped");
    build_for_all();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(NULL, "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    struct ended e = shell("setpriv --bounding-set -all --inh-caps -all %s set --json --pid %d linger=ack",
                           command_path(), (int)v.pid);
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "it has capabilities that we lack: as root (sudo)"), "%s", e.err);
    cr_expect_null(strstr(e.err, "no TCP socket"), "%s", e.err);
    cr_expect(strstr(e.out, "\"error\": \"it has capabilities that we lack"), "%s", e.out);
    victim_kill(&v, SIGKILL);
}

/* ---- what must not happen --------------------------------------------------------------------------------------- */

/* Numbers are closed and taken again, threads and children come and go, while policies change. */
Test(set, a_program_in_full_flight_notices_nothing) {
    ns_enter();
    own_default();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    struct victim v = victim_start(NULL, "storm 127.0.0.1 %u 2000", peer.port);
    unsigned changes = 0;
    for (; victim_runs(&v); changes++) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)v.pid);
        command(NULL, "set", "--pid", pid, "--tree", changes % 2 ? "linger=off" : "linger=ack", "keepalive=60", NULL);
    }
    struct ended e = victim_wait(&v);
    cr_expect_eq(e.status, 0, "%d: %s %s", e.status, e.out, e.err);
    cr_expect_gt(changes, 0);
}
