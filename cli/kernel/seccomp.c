/* See seccomp.h. A filter cannot be read without rights, but it can be asked. */
#include "cli/kernel/seccomp.h"
#include "cli/output/memory.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    long number;
} calls[] = {
#define CALL(name) \
    { #name, SYS_##name }
    CALL(prlimit64), /* first: it forbids the child's core dump */
    CALL(openat),     CALL(read),       CALL(write),          CALL(close),         CALL(newfstatat),
    CALL(lseek),      CALL(mmap),       CALL(munmap),         CALL(madvise),       CALL(fcntl),
    CALL(ppoll),      CALL(getsockopt), CALL(setsockopt),     CALL(getsockname),   CALL(getpeername),
    CALL(bind),       CALL(sendto),     CALL(ioctl),          CALL(getpid),        CALL(getppid),
    CALL(geteuid),    CALL(mkdirat),    CALL(ftruncate),      CALL(fallocate),     CALL(unlinkat),
    CALL(getdents64), CALL(fchmod),     CALL(rt_sigprocmask), CALL(rt_sigpending), CALL(rt_sigtimedwait),
    CALL(getrandom),  CALL(kcmp),       CALL(kill),           CALL(waitid),        CALL(faccessat),
    CALL(pwritev2),   CALL(chdir),      CALL(pread64),        CALL(utimensat),
#ifdef SYS_poll
    CALL(poll),
#endif
#undef CALL
};
enum { CALLS = sizeof calls / sizeof *calls };

static bool is_filtered(void) {
    char line[256];
    int mode = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && !mode && fgets(line, sizeof line, status))
        sscanf(line, "Seccomp: %d", &mode);
    if (status)
        fclose(status);
    return mode == 2; /* SECCOMP_MODE_FILTER */
}

/* With arguments that no call takes: addresses, descriptors, sizes and signals of -1. */
static void try_from(volatile int *at) {
    const struct rlimit none = { 0, 0 };
    for (; *at < CALLS; ++*at)
        if (calls[*at].number == SYS_prlimit64)
            syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL);
        else
            syscall(calls[*at].number, -1L, -1L, -1L, -1L, -1L, -1L);
    _exit(0);
}

/* The index of the next one at or after `from` that is killed for; CALLS: none. */
static int next_killed(volatile int *at, int from) {
    int status = 0;
    *at = from;
    pid_t child = fork();
    if (child == 0)
        try_from(at);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return CALLS;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? *at : CALLS;
}

char *af_seccomp_kills(void) {
    char *text = NULL;
    if (!is_filtered())
        return NULL;
    int *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    for (int i = 0; (i = next_killed(at, i)) < CALLS; i++) {
        char *longer = af_format("%s%s%s", text ? text : "", text ? ", " : "", calls[i].name);
        free(text);
        text = longer;
    }
    munmap(at, sizeof *at);
    return text;
}
