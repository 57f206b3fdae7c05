/* No victim outlives its test, and nothing of it stays in /tmp, however the test ends. */
#include "tests/harness/harness.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { GUARD_S = 30 };

/* In a runner of its own, started below: leaves an orphan and a file, and ends as it is told. */
Test(harness, inner) {
    const char *told = getenv("HARNESS_INNER"), *how = getenv("HARNESS_HOW");
    if (!told || !how)
        cr_skip_test("run by victims_and_files_end_with_their_test");
    const char *path = scratch_path();
    struct ended e = run(NULL, "install -m 600 /dev/null %s", path);
    cr_assert_eq(e.status, 0, "%s", e.err);
    e = run_argv(NULL, (const char *[]){ "sh", "-c", "setsid sleep 1000 & echo $!", NULL });
    FILE *to = fopen(told, "we");
    cr_assert(to);
    fprintf(to, "%d %s\n", atoi(e.out), path);
    fclose(to);
    if (strcmp(how, "killed") == 0)
        raise(SIGKILL);
    cr_assert_str_eq(how, "passes");
}

/* And not a zombie: init may take its time. */
static bool is_alive(pid_t pid) {
    char path[64], program[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return readlink(path, program, sizeof program) >= 0;
}

Test(harness, victims_and_files_end_with_their_test) {
    static const char *const rows[] = { "passes", "fails", "killed" };
    char runner[4096];
    const ssize_t len = readlink("/proc/self/exe", runner, sizeof runner - 1);
    cr_assert_gt(len, 0);
    runner[len] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *told = scratch_path();
        char inner[512], how[64], path[512];
        int pid;
        snprintf(inner, sizeof inner, "HARNESS_INNER=%s", told);
        snprintf(how, sizeof how, "HARNESS_HOW=%s", rows[i]);
        /* What Criterion tells its workers by the environment would make it one. */
        struct ended e = run_argv(NULL, (const char *[]){ "env", "-i", "PATH=/usr/bin:/bin", inner, how, runner,
                                                          "--filter", "harness/inner", NULL });
        const char *text = file_text(told);
        cr_assert(text && sscanf(text, "%d %511s", &pid, path) == 2, "%s: %s%s", rows[i], e.out, e.err);
        const time_t deadline = time(NULL) + GUARD_S;
        while ((is_alive(pid) || access(path, F_OK) == 0) && time(NULL) < deadline)
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
        cr_expect_not(is_alive(pid), "%s: its orphan lives", rows[i]);
        cr_expect(access(path, F_OK) != 0, "%s: there is %s", rows[i], path);
        cr_expect_eq(e.status, strcmp(rows[i], "passes") != 0, "%s: %d", rows[i], e.status);
    }
}
