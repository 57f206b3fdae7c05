/* What a key of the live view sets: by `afterfin set`, a process of its own, whose last words are shown. */
#include "cli/top/live.h"
#include "cli/output/say.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each line of it is said again. */
static void repeat(int from) {
    static const char ours[] = "afterfin: ";
    FILE *file = fdopen(from, "r");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        const bool begins = strncmp(line, ours, sizeof ours - 1) == 0;
        af_tell("%s", begins ? line + sizeof ours - 1 : line);
    }
    if (file)
        fclose(file);
    else
        close(from);
}

void af_top_set(int pid, const char *policy) {
    char number[16];
    const char *argv[] = { "afterfin", "set", "--pid", number, "--", policy, NULL };
    posix_spawn_file_actions_t actions;
    int ends[2], status = 0;
    pid_t child;
    snprintf(number, sizeof number, "%d", pid);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    const int error = posix_spawn(&child, "/proc/self/exe", &actions, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    repeat(ends[0]);
    if (error)
        af_tell("set: %s", strerror(error));
    else if (waitpid(child, &status, 0) == child && status == 0)
        af_tell("set: process %d has %s", pid, policy);
}
