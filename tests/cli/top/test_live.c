/* top, live, on a terminal of the test's own. */
#include "tests/cli/top/screen.h"
#include "tests/cli/who/who.h"
#include "tests/harness/fabricate.h"

#include <netinet/tcp.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ASCII, on a terminal that has no sequences but the old ones. */
#define PLAIN "TERM=vt100|LC_ALL=C|NO_COLOR=1"

static const char *terminal_settings(int terminal) {
    struct termios t;
    char *text;
    cr_assert_eq(tcgetattr(terminal, &t), 0);
    cr_assert_gt(asprintf(&text, "%x %x %x %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag), 0);
    return text;
}

/* What every new terminal has: that of a program may have been changed by it already. */
static const char *new_settings(void) {
    int terminal, other;
    cr_assert_eq(openpty(&terminal, &other, NULL, NULL, NULL), 0);
    const char *text = terminal_settings(terminal);
    close(terminal);
    close(other);
    return text;
}

static int end_of(pid_t pid) {
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Three programs' TIME_WAITs, and nobody's. */
static const char *left_behind(struct peer *peer) {
    const char *directory = new_directory(), *settings = ledger_in(directory);
    *peer = peer_start(&(struct peer_options){ 0 });
    const char *port = number(peer->port);
    leave(settings, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "9", NULL });
    leave(settings, 0, (const char *[]){ "half_close", "127.0.0.1", port, "10", "0", NULL });
    leave(settings, 128 + SIGKILL, (const char *[]){ "exit_open", "sigkill", "127.0.0.1", port, "4", "10", NULL });
    leave(NULL, 0, (const char *[]){ "connect_close", "127.0.0.1", port, "-n", "2", NULL });
    ns_settle();
    return directory;
}

static pid_t start(struct screen *s, const char *directory) {
    int terminal;
    pid_t pid = command_on_terminal(&terminal, 80, PLAIN, "top", "-d", directory, "--delay", "0.2", NULL);
    screen_start(s, terminal, 24, 80);
    return pid;
}

/* A shell instead, with the command as $0 and a directory as $1. */
static pid_t start_shell(struct screen *s, const char *option, const char *script) {
    int terminal;
    pid_t pid = argv_on_terminal(&terminal, 80,
                                 (const char *[]){ "/usr/bin/env", "TERM=vt100", "LC_ALL=C", "sh", option, script,
                                                   command_path(), new_directory(), NULL });
    screen_start(s, terminal, 24, 80);
    return pid;
}

static void quit(struct screen *s, pid_t pid) {
    screen_type(s, "q");
    cr_expect_eq(end_of(pid), 0);
    close(s->terminal);
}

Test(top_live, shows_its_rows_at_any_size_and_leaves_the_terminal_as_it_was) {
    static const unsigned sizes[][2] = { { 24, 80 }, { 10, 40 }, { 50, 132 }, { 4, 30 }, { 2, 20 }, { 24, 60 } };
    struct screen s;
    struct peer peer;
    ns_enter();
    const char *directory = left_behind(&peer);
    int terminal;
    const char *before = new_settings();
    /* It draws only when it is told to: nothing for the old size is on its way when the new one comes. */
    pid_t pid = command_on_terminal(&terminal, 80, PLAIN, "top", "-d", directory, "--delay", "3600", NULL);
    screen_start(&s, terminal, 24, 80);
    screen_wait(&s, "q quit");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const unsigned rows = sizes[i][0], columns = sizes[i][1];
        if (i) /* the same size again is no news to it */
            screen_resize(&s, rows, columns);
        screen_wait(&s, "16 TIME_WAIT");
        screen_wait(&s, "q quit");
        if (rows > 4) {
            screen_wait_row(&s, "PROGRAM", "TIME_WAIT");
            screen_wait_row(&s, "connect_close", " 9 ");
            screen_wait_row(&s, "unknown", " 2 ");
        }
        cr_expect_eq(s.outside, 0, "%ux%u:\n%s", columns, rows, screen_text(&s));
        cr_expect(strstr(s.cells[rows - 1], "q quit"), "the last line has the keys:\n%s", screen_text(&s));
    }
    screen_type(&s, "q");
    cr_expect_eq(end_of(pid), 0);
    cr_expect_str_eq(terminal_settings(terminal), before);
}

Test(top_live, does_what_its_keys_say) {
    struct screen s;
    struct peer peer;
    char endpoint[64];
    ns_enter();
    pid_t pid = start(&s, left_behind(&peer));
    snprintf(endpoint, sizeof endpoint, "  127.0.0.1:%u ", peer.port);
    screen_wait(&s, "by time_wait");
    screen_type(&s, "\r");
    screen_wait_row(&s, endpoint, " 9 ");
    screen_type(&s, " ");
    screen_wait_gone(&s, endpoint);
    screen_type(&s, "jj ");
    screen_wait_row(&s, endpoint, " 2 "); /* nobody's */
    screen_type(&s, " s");
    screen_wait(&s, "by avoided");
    screen_type(&s, "<<");
    screen_wait(&s, "by new");
    screen_type(&s, "r");
    screen_wait(&s, "by new reversed");
    screen_type(&s, "p");
    screen_wait_gone(&s, "ENDED"); /* which processes have, and programs not */
    screen_type(&s, "h");
    screen_wait(&s, "this list");
    screen_resize(&s, 8, 40);
    screen_wait(&s, "and more: afterfin(1)");
    screen_resize(&s, 24, 80);
    screen_type(&s, "x");
    screen_wait_gone(&s, "this list");
    screen_type(&s, "/half");
    screen_wait(&s, "filter: half_");
    screen_wait(&s, "1 of 4 rows");
    screen_type(&s, "\177\177\177\177connectx\b\r");
    screen_wait(&s, "with 'connect'");
    screen_wait_gone(&s, "half_close");
    screen_type(&s, "\033");
    screen_wait(&s, "half_close");
    screen_type(&s, "+");
    screen_wait(&s, "every 0.5s");
    screen_type(&s, "----");
    screen_wait(&s, "every 0.1s");
    screen_wait(&s, "0.0 new/s");
    screen_type(&s, "?\033?q"); /* q quits from the list too */
    cr_expect_eq(end_of(pid), 0);
    close(s.terminal);
}

/* Of 17 keys 8 or so have room; the line that says so stands alone. */
Test(top_live, lists_its_keys_as_far_as_there_is_room) {
    struct screen s;
    ns_enter();
    pid_t pid = start(&s, new_directory());
    screen_wait(&s, "q quit");
    screen_type(&s, "h");
    screen_wait(&s, "the last row");
    for (unsigned rows = 6; rows <= 14; rows += 2) {
        screen_resize(&s, rows, 80);
        screen_wait(&s, "and more: afterfin(1)");
        for (unsigned row = 0; row < rows; row++) {
            const char *more = strstr(s.cells[row], "  and more: afterfin(1)");
            cr_expect(!more || (more == s.cells[row] && strspn(more + strlen("  and more: afterfin(1)"), " ") ==
                                                            strlen(more + strlen("  and more: afterfin(1)"))),
                      "%u rows: '%s'", rows, s.cells[row]);
        }
    }
    screen_type(&s, "x");
    quit(&s, pid);
}

Test(top_live, leaves_what_is_typed_behind_q_to_the_shell) {
    struct screen s;
    ns_enter();
    pid_t pid = start_shell(&s, "-c", "\"$0\" top -d \"$1\"; read line; echo \"the shell read $line\"; read line");
    screen_wait(&s, "q quit");
    screen_type(&s, "qTERM\n");
    screen_wait(&s, "the shell read TERM");
    screen_type(&s, "\n");
    cr_expect_eq(end_of(pid), 0);
    close(s.terminal);
}

Test(top_live, sees_what_comes_and_what_goes) {
    struct screen s;
    ns_enter();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    pid_t pid = start(&s, directory);
    screen_wait(&s, "no process with a TCP socket is recorded here");
    struct victim holds = victim_start(ledger_in(directory), "connect_hold 127.0.0.1 %u", peer.port);
    screen_wait_row(&s, "connect_hold", number((unsigned)holds.pid));
    screen_wait(&s, "1 open");
    victim_kill(&holds, SIGKILL);
    screen_wait(&s, "signal");
    screen_wait(&s, "1 TIME_WAIT (0 unknown), 0 open");

    /* The directory goes, with all it has; then there is another. */
    char command_line[512];
    snprintf(command_line, sizeof command_line, "rm -r %s", directory);
    cr_assert_eq(system(command_line), 0);
    screen_wait(&s, "No such file or directory");
    screen_wait(&s, "1 TIME_WAIT (1 unknown)");
    cr_assert_eq(mkdir(directory, 0700), 0);
    screen_wait_gone(&s, "No such file");
    leave(ledger_in(directory), 0,
          (const char *[]){ "connect_close", "127.0.0.1", number(peer.port), "-n", "3", NULL });
    screen_wait(&s, "connect_close");
    screen_wait(&s, "4 TIME_WAIT (1 unknown)");
    cr_expect_eq(s.outside, 0);
    quit(&s, pid);
}

/* What the leader of a session writes last may be lost with its terminal: so a shell is that, and says when top has
 * ended. */
static pid_t start_below_shell(int *terminal, pid_t *top) {
    const char *below = "echo \"top is $$.\"; exec \"$0\" top -d \"$1\"";
    const char *script = "sh -c \"$2\" \"$0\" \"$1\"; echo \"it said $?.\"; read line";
    pid_t pid = argv_on_terminal(terminal, 80,
                                 (const char *[]){ "/usr/bin/env", "TERM=xterm", "LC_ALL=C", "sh", "-c", script,
                                                   command_path(), new_directory(), below, NULL });
    const char *seen = terminal_read(*terminal, "q quit"), *said = strstr(seen, "top is ");
    cr_assert(said && strstr(said, "\033[?1049h"), "%s", seen);
    *top = atoi(said + strlen("top is "));
    return pid;
}

/* The other screen is left before anything else is written, and the settings are what they were. */
Test(top_live, restores_the_terminal_however_it_ends) {
    static const struct {
        int signal; /* 0: the key */
        const char *said;
    } rows[] = { { SIGTERM, "it said 143." },
                 { SIGINT, "it said 130." },
                 { SIGHUP, "it said 129." },
                 { SIGQUIT, "it said 131." },
                 { 0, "it said 0." } };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int terminal;
        pid_t top, pid = start_below_shell(&terminal, &top);
        const char *before = new_settings();
        cr_expect_str_neq(terminal_settings(terminal), before, "%s: the test itself", rows[i].said);
        cr_assert(rows[i].signal ? kill(top, rows[i].signal) == 0 : write(terminal, "q", 1) == 1);
        const char *rest = terminal_read(terminal, rows[i].said), *left = strstr(rest, "\033[?1049l");
        cr_expect(left && strstr(left, rows[i].said), "%s: %s", rows[i].said, rest);
        cr_expect_str_eq(terminal_settings(terminal), before, "%s", rows[i].said);
        cr_assert_eq(write(terminal, "\n", 1), 1);
        cr_expect_eq(end_of(pid), 0, "%s", rows[i].said);
        close(terminal);
    }
}

/* A shell with job control stops it, uses the terminal, and brings it back. */
Test(top_live, gives_the_terminal_back_while_it_is_stopped) {
    struct screen s;
    ns_enter();
    pid_t pid = start_shell(&s, "-mc", "\"$0\" top -d \"$1\"; echo it was stopped; read line; fg");
    const char *before = new_settings();
    screen_wait(&s, "q quit");
    screen_type(&s, "\032");
    screen_wait(&s, "it was stopped");
    cr_expect_str_eq(terminal_settings(s.terminal), before);
    screen_resize(&s, 12, 60);
    screen_type(&s, "\n");
    screen_wait(&s, "r reverse");
    screen_wait_gone(&s, "/ filter"); /* for which there is no room any more */
    screen_type(&s, "q");
    cr_expect_eq(end_of(pid), 0);
    cr_expect_str_eq(terminal_settings(s.terminal), before);
}

Test(top_live, says_why_it_cannot_be_shown) {
    static const struct {
        const char *environment, *says;
    } rows[] = {
        { "TERM=no-such-terminal", "terminals of type 'no-such-terminal' (TERM) are not known here; --once" },
        { "TERM=dumb", "a terminal of type 'dumb' (TERM) cannot place its cursor; --once" },
        { "TERM=", "TERM is not set; --once" },
    };
    ns_enter();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int terminal;
        pid_t pid = command_on_terminal(&terminal, 200, rows[i].environment, "top", "-d", new_directory(), NULL);
        const char *said = terminal_read(terminal, NULL);
        cr_expect(strstr(said, rows[i].says), "%s: %s", rows[i].environment, said);
        cr_expect_not(strchr(said, '\033'), "%s: %s", rows[i].environment, said);
        cr_expect_eq(end_of(pid), 1, "%s", rows[i].environment);
        close(terminal);
    }
}

Test(top_live, ends_when_its_terminal_is_gone) {
    struct screen s;
    ns_enter();
    pid_t pid = start(&s, new_directory());
    screen_wait(&s, "q quit");
    close(s.terminal);
    cr_expect_eq(end_of(pid), 128 + SIGHUP);
}

Test(top_live, says_why_a_row_is_no_process_to_set) {
    struct screen s;
    struct peer peer;
    ns_enter();
    pid_t pid = start(&s, left_behind(&peer));
    screen_wait(&s, "by time_wait");
    screen_type(&s, "ga");
    screen_wait(&s, "connect_close has ended: no process to set");
    screen_type(&s, "jja");
    screen_wait(&s, "nobody knows whose these are: no process to set");
    screen_type(&s, "/nosuch\ra");
    screen_wait(&s, "no row, no process to set");
    screen_type(&s, "\033pa");
    screen_wait(&s, "a program is no process to set; p shows processes");
    screen_type(&s, "p");
    screen_wait(&s, "q quit");
    quit(&s, pid);
}

Test(top_live, sets_a_process_by_a_key_and_asks_before) {
    struct screen s;
    int terminal;
    ns_enter();
    own_default();
    const char *directory = new_directory();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    struct victim v = victim_start(ledger_in(directory), "connect_hold 127.0.0.1 %u", peer.port);
    peer_wait_accepted(&peer, 1);
    victim_wait_out(&v, "open");
    pid_t pid = command_on_terminal(&terminal, 80, PLAIN, "top", "-d", directory, "--delay", "3600", NULL);
    screen_start(&s, terminal, 24, 80);
    screen_wait(&s, "q quit");
    screen_wait_row(&s, "connect_hold", " 1 ");
    const int fd = victim_socket(v.pid, 0);
    screen_type(&s, "a");
    screen_wait(&s, "y linger=ack-always");
    screen_type(&s, "n");
    screen_wait(&s, "q quit");
    cr_expect_geq(socket_option(fd, IPPROTO_TCP, TCP_LINGER2), 0, "nothing was asked for");
    screen_type(&s, "a");
    screen_wait(&s, "y linger=ack-always");
    screen_type(&s, "y");
    screen_wait(&s, "has linger=ack-always");
    cr_expect_eq(socket_option(fd, IPPROTO_TCP, TCP_LINGER2), -1);
    screen_type(&s, "a");
    screen_wait(&s, "y linger=ack-always");
    screen_type(&s, "o");
    screen_wait(&s, "has linger=off");
    cr_expect_geq(socket_option(fd, IPPROTO_TCP, TCP_LINGER2), 0);
    quit(&s, pid);
    victim_kill(&v, SIGKILL);
}
