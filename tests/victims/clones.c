/* Children by clone(2) that have a connection of their own: N that run on our memory while we wait, then N that have
 * memory of their own and our descriptors.
 *
 * clones ADDRESS PORT N */
#include "way.h"

#include <sched.h>
#include <sys/wait.h>

static char stack[1 << 18] __attribute__((aligned(16)));

static int child(void *arguments) {
    char **argv = arguments;
    close(connected(argv[1], argv[2]));
    return 0;
}

static void start(char **argv, int flags) {
    int status = -1;
    pid_t pid = clone(child, stack + sizeof stack, flags | SIGCHLD, argv);
    MUST(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv) {
    MUST(argc == 4);
    for (int i = 0; i < atoi(argv[3]); i++)
        start(argv, CLONE_VM | CLONE_VFORK);
    for (int i = 0; i < atoi(argv[3]); i++)
        start(argv, CLONE_FILES);
    return 0;
}
