/* A handler that forks comes at every STRIDEth instruction of a close or of a fork, one of them each time.
 *
 *   close  its child comes back from the handler, and goes on with the close; then it opens one, and closes all
 *   fork   its child ends in the handler; the child of the fork opens one, and closes it
 *
 * stepped WAY ADDRESS PORT STRIDE
 * "steps COUNT", "opened COUNT" by the first process, "died COUNT" of its children. 77: not on this machine. */
#include "way.h"

#include <sys/wait.h>
#include <ucontext.h>

#ifdef __x86_64__
static volatile long step, at;
static volatile pid_t child_of_handler;
static volatile bool comes_back;
static bool is_child;

static void set_trap(bool on) {
    if (on)
        __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "cc", "memory");
    else
        __asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" ::: "cc", "memory");
}

static void forks(int number, siginfo_t *info, void *context) {
    int error = errno;

    (void)number, (void)info;
    if (!is_child && step++ == at) {
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0 && !comes_back)
            _exit(0);
        is_child = child == 0;
        child_of_handler = child;
        if (is_child)
            ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    }
    errno = error;
}

static bool died(pid_t child) {
    int status;

    while (waitpid(child, &status, 0) < 0)
        MUST(errno == EINTR);
    return status != 0;
}

static void one_more(const char *address, const char *port) {
    MUST(close(connected(address, port)) == 0);
}

int main(int argc, char **argv) {
    const struct sigaction action = { .sa_sigaction = forks, .sa_flags = SA_SIGINFO };
    long opened = 0, bad = 0;

    if (argc != 5)
        return 2;
    comes_back = strcmp(argv[1], "close") == 0;
    MUST(sigaction(SIGTRAP, &action, NULL) == 0);
    for (at = 0;; at += atoi(argv[4])) {
        int a = connected(argv[2], argv[3]), b = connected(argv[2], argv[3]), held = connected(argv[2], argv[3]);
        pid_t child = -1;
        opened += 3;
        MUST(close(a) == 0); /* so that records are free */
        child_of_handler = step = 0;
        set_trap(true);
        if (comes_back)
            close(b);
        else
            child = fork();
        set_trap(false);
        if (child == 0 || is_child) {
            one_more(argv[2], argv[3]);
            MUST(close(held) == 0);
            _exit(0);
        }
        opened += child > 0;
        bad += child > 0 && died(child);
        bad += child_of_handler && died(child_of_handler);
        MUST((comes_back || close(b) == 0) && close(held) == 0);
        if (step <= at)
            break;
    }
    say_number("steps", at);
    say_number("opened", opened);
    say_number("died", bad);
    return 0;
}
#else
int main(void) {
    return 77;
}
#endif
