/* How far a command is that takes long: on a terminal, and gone at its end. */
#include "tests/harness/command.h"
#include "tests/harness/shell.h"

#include <sys/wait.h>
#include <unistd.h>

/* Lines that come before two seconds are over, and 4,000 after. */
static const char slow_log[] =
    "l='afterfin version=1 event=exit time=2026-11-23T12:00:00.123Z pid=1 ppid=1 program=p elapsed_s=1.234 sockets=3 binds=0 "
    "bind_errors=0 connects=3 connect_errors=0 accepts=0 established=3 time_wait=3 avoided=0 passive=0 aborted=0 passed=0 "
    "open=0 errors= time_wait_to= policy=\"linger=off\"'; "
    "{ echo \"$l\"; sleep 2.5; yes \"$l\" | head -4000; } | \"$0\" report - $1";

Test(output_busy, is_told_on_a_terminal_and_gone_at_the_end) {
    int terminal, status;
    pid_t pid = argv_on_terminal(&terminal, 80, (const char *[]){ "sh", "-c", slow_log, command_path(), NULL });
    const char *text = terminal_read(terminal, NULL);
    waitpid(pid, &status, 0);
    close(terminal);
    const char *line = strstr(text, "\r\033[Kreport: "), *after = line ? strstr(line, " lines\r\033[K") : NULL;
    cr_expect(line && after && strstr(after, "PROGRAM"), "%s", text);
    cr_expect_eq(status, 0);
}

Test(output_busy, says_nothing_where_stderr_is_no_terminal) {
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c", slow_log, command_path(), NULL });
    cr_expect_str_empty(e.err);
    cr_expect_null(strstr(e.out, "lines"), "%s", e.out);
}
