/* The examples of --help, pasted into a shell as a newcomer would: on a terminal of 80 columns, with the command in
 * PATH, as root and as an ordinary user. */
#include "cli/commands.h"
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS = 80, GUARD_S = 120, USER = 65533 };

static const struct {
    const char *command, *line;
} examples[] = {
#define EXAMPLE(name, line, purpose) { #name, line },
#include "cli/examples.def"
#undef EXAMPLE
};

Test(examples_help, every_subcommand_shows_at_least_one) {
    for (size_t c = 0; c < af_n_commands; c++) {
        unsigned n = 0;
        struct ended help = command(NULL, af_commands[c].name, "--help", NULL);
        for (size_t i = 0; i < ROWS(examples); i++) {
            if (strcmp(examples[i].command, af_commands[c].name) != 0)
                continue;
            cr_expect(strstr(help.out, examples[i].line), "%s does not show: %s", af_commands[c].name,
                      examples[i].line);
            n++;
        }
        cr_expect_gt(n, 0, "%s has none", af_commands[c].name);
        const char *last = strstr(help.out, "\nFor example:\n");
        cr_expect(last && !strstr(last, "\n\n"), "%s: its help does not end with an example", af_commands[c].name);
        cr_expect_leq(widest(help.out), COLUMNS, "%s: %zu", af_commands[c].name, widest(help.out));
    }
    for (size_t i = 0; i < ROWS(examples); i++)
        cr_expect(strstr(command(NULL, examples[i].command, "--help", NULL).out, "usage: afterfin"), "no subcommand %s",
                  examples[i].command);
}

/* In the line of usage, or, of reap's filters, in the sentence below it. */
Test(examples_help, every_option_is_in_the_usage) {
    for (size_t c = 0; c < af_n_commands; c++) {
        struct ended help = command(NULL, af_commands[c].name, "--help", NULL);
        char *options = strstr(help.out, "\n\n"), *rest = NULL;
        options = options ? strstr(options + 2, "\n\n") : NULL;
        cr_assert_not_null(options, "%s", help.out);
        *options = 0;
        for (char *line = strtok_r(options + 2, "\n", &rest); line && !strstr(line, "-h, --help");
             line = strtok_r(NULL, "\n", &rest)) {
            char *name = line + strspn(line, " ");
            name[strcspn(name, " [,")] = 0;
            cr_expect(*name != '-' || strstr(help.out, name), "%s: %s is not in: %s", af_commands[c].name, name,
                      help.out);
        }
    }
}

/* ---- a place to paste them in ------------------------------------------------------------------------------------ */

/* http://127.0.0.1/, for an example that asks for it: an answer, then it waits for the client to close. */
static void serve_web(void) {
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1024) == 0);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
            char chunk[4096];
            if (recv(fd, chunk, sizeof chunk, 0) > 0 && send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0)
                while (recv(fd, chunk, sizeof chunk, 0) > 0)
                    ;
        }
        _exit(0);
    }
    close(listener);
}

/* The command where anybody may read it, and room for what examples write: DIRECTORY/bin, DIRECTORY/home. */
static const char *install(bool for_user) {
    const char *directory = new_directory();
    cr_assert_eq(shell("cd %s && mkdir bin && mkdir -m 700 home && cp %s %s bin && chmod 755 . bin", directory,
                       command_path(), library_path())
                     .status,
                 0);
    if (for_user)
        cr_assert_eq(shell("chown %d %s/home", USER, directory).status, 0);
    return directory;
}

/* Reads to the end; whoever is shown something that goes on leaves it with `q`. */
static char *look(int terminal, pid_t pid, int *status) {
    const time_t deadline = time(NULL) + GUARD_S;
    char *seen = calloc(1, 1 << 20);
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && used + 1 < 1 << 20 && time(NULL) < deadline) {
        struct pollfd one = { .fd = terminal, .events = POLLIN };
        if (poll(&one, 1, 500) == 0 && write(terminal, "q", 1) == 1)
            continue;
        got = read(terminal, seen + used, (1 << 20) - used - 1);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got > 0)
        kill(pid, SIGKILL);
    waitpid(pid, status, 0);
    close(terminal);
    return seen;
}

static char *paste(const char *directory, bool as_user, const char *line, int *status) {
    char path[4096], home[512], runtime[512], number[16];
    struct termios mode;
    int terminal;
    snprintf(path, sizeof path, "PATH=%s/bin:/usr/local/bin:/usr/bin:/bin", directory);
    snprintf(home, sizeof home, "HOME=%s/home", directory);
    snprintf(runtime, sizeof runtime, as_user ? "XDG_RUNTIME_DIR=%s/home" : "XDG=%s", directory);
    snprintf(number, sizeof number, "%d", USER);
    const char *const argv[] = { "setpriv",
                                 "--reuid",
                                 number,
                                 "--regid",
                                 number,
                                 "--clear-groups",
                                 "env",
                                 "-u",
                                 "LD_PRELOAD",
                                 path,
                                 home,
                                 runtime,
                                 "LC_ALL=C.UTF-8",
                                 "sh",
                                 "-c",
                                 "cd && exec sh -c \"$0\"",
                                 line,
                                 NULL };
    pid_t pid = argv_on_terminal(&terminal, COLUMNS, argv + (as_user ? 0 : 6));
    if (tcgetattr(terminal, &mode) == 0) {
        mode.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(terminal, TCSANOW, &mode);
    }
    return look(terminal, pid, status);
}

/* Lines for machines, and screens that are drawn, are as wide as they are. */
static bool has_columns(size_t i, const char *seen) {
    const char *line = examples[i].line;
    return !strstr(line, "--json") && !strstr(line, "--prometheus") && strcmp(examples[i].command, "env") != 0 &&
           !strstr(seen, "\033[?1049h");
}

/* An ordinary user may not do everything, and is told so. */
static bool may_not(const char *seen) {
    static const char *const words[] = { "ermitted", "ermission", "CAP_", "root" };
    bool says = false;
    for (size_t i = 0; i < ROWS(words); i++)
        says |= strstr(seen, words[i]) != NULL;
    return says && strncmp(seen, "afterfin: ", 10) == 0;
}

static void paste_all(bool as_user) {
    own_default();
    const char *directory = install(as_user);
    for (size_t i = 0; i < ROWS(examples); i++) {
        int status = -1;
        ns_enter();
        serve_web();
        char *seen = paste(directory, as_user, examples[i].line, &status);
        cr_expect(status == 0 || (as_user && may_not(seen)), "%s\nstatus %d\n%s", examples[i].line, status, seen);
        cr_expect(seen[strspn(seen, " \r\n")], "%s\nsays nothing", examples[i].line);
        if (status == 0 && has_columns(i, seen))
            cr_expect_leq(widest(seen), COLUMNS, "%s\n%zu columns\n%s", examples[i].line, widest(seen), seen);
        free(seen);
    }
}

Test(examples_help, each_works_when_pasted) {
    paste_all(false);
}

Test(examples_help, each_works_for_an_ordinary_user_or_says_what_he_may_not) {
    if (geteuid() != 0 || shell("setpriv --reuid %d --regid %d --clear-groups true", USER, USER).status != 0)
        cr_skip_test("no second user here");
    paste_all(true);
}
