/* See guard.h. */
#include "cli/compare/guard.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 2000, STEP_MS = 10 };

/* A process, or a group (negative). Gone when kill no longer finds it. */
static void end(pid_t whom) {
    if (kill(whom, SIGTERM) != 0)
        return;
    for (int ms = 0; ms < GRACE_MS; ms += STEP_MS) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (kill(whom, 0) != 0)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000 }, NULL);
    }
    kill(whom, SIGKILL);
}

void af_end_group(pid_t group) {
    if (group > 0)
        end(-group);
}

/* The run ends as if asked to by a signal, and takes its directory along; where it could not, whoever makes one there
 * removes what is left. */
static void clean_up(const struct af_guarded *guarded, const struct af_policy *const policy[2]) {
    if (guarded->run > 0)
        end(guarded->run);
    af_end_group(guarded->group);
    for (int s = 0; s < 2 && guarded->run > 0; s++) {
        struct af_run_dir dir;
        if (af_run_dir_make(&dir, "compare", policy[s]))
            af_run_dir_leave(&dir, &(struct af_collection){ 0 });
    }
}

static void guard(const struct af_guarded *guarded, const struct af_policy *const policy[2], int lifeline) {
    char byte;
    sigset_t all;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    prctl(PR_SET_NAME, "afterfin-guard");
    setsid();
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd); /* who reads what compare writes need not wait for us */
    while (read(lifeline, &byte, 1) < 0 && errno == EINTR)
        ;
    clean_up(guarded, policy);
    _exit(0);
}

bool af_guard_start(struct af_guard *g, const struct af_policy *a, const struct af_policy *b) {
    int ends[2];
    *g = (struct af_guard){ .lifeline = -1 };
    g->guarded = mmap(NULL, sizeof *g->guarded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (g->guarded != MAP_FAILED && pipe2(ends, O_CLOEXEC) == 0) {
        g->pid = fork();
        if (g->pid == 0) {
            close(ends[1]);
            guard(g->guarded, (const struct af_policy *[]){ a, b }, ends[0]);
        }
        close(ends[0]);
        g->lifeline = ends[1];
        if (g->pid > 0)
            return true;
    }
    af_tell("compare: %s", strerror(errno));
    return false;
}

void af_guard_end(struct af_guard *g) {
    close(g->lifeline);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    munmap(g->guarded, sizeof *g->guarded);
}
