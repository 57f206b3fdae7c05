/* CMD as a child: what cannot be shown from the command line alone. */
#include "cli/launch/child.h"
#include "cli/output/memory.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

static void ask_for_too_much(void *unused) {
    (void)unused;
    af_array(NULL, SIZE_MAX / 2, 1);
}

/* A signal that comes then is forwarded as ever. */
Test(child, is_seen_to_its_end_where_memory_is_short_while_it_runs) {
    const char *file = scratch_path();
    char line[256];
    int status;
    snprintf(line, sizeof line, "trap 'echo termed >%s; exit 5' TERM; echo begun >%s; while :; do sleep 0.05; done",
             file, file);
    const pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, line, NULL };
        struct af_child child;
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
        af_memory_exits(125);
        af_child_run("run", argv, environ, NULL, &(struct af_periodic){ .interval_s = 1, .call = ask_for_too_much },
                     &child);
        _exit(99);
    }
    sleep(2); /* memory has been short by then, or is soon: either way it is forwarded, and the status is CMD's */
    cr_assert_eq(waitpid(pid, &status, WNOHANG), 0, "it has ended");
    kill(pid, SIGTERM);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 5, "%x", status);
    cr_expect_str_eq(file_text(file), "termed\n");
}
