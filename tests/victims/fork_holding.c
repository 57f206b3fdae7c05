/* Opens N sockets, says what a fork will copy, and forks TIMES times, without huge pages where that is asked for. The child is
 * killed, or ends by _exit.
 *
 * fork_holding N TIMES [small | exit]
 * "mappings COUNT anonymous KIB huge KIB large MAPPINGS_THAT_ARE_TO_BE_HUGE", and at last "faults COUNT" of the parent and
 * "children COUNT". */
#include "victim.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void say_memory(void) {
    FILE *smaps = fopen("/proc/self/smaps", "r");
    unsigned mappings = 0, large = 0;
    unsigned long kib, anonymous = 0, huge = 0;

    for (char line[512], mode[8]; smaps && fgets(line, sizeof line, smaps);) {
        mappings += sscanf(line, "%*x-%*x %7s", mode) == 1;
        if (sscanf(line, "Anonymous: %lu", &kib) == 1)
            anonymous += kib;
        if (sscanf(line, "AnonHugePages: %lu", &kib) == 1)
            huge += kib;
        large += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg");
    }
    printf("mappings %u anonymous %lu huge %lu large %u\n", mappings, anonymous, huge, large);
    fflush(stdout);
}

static long faults(int whose) {
    struct rusage usage;

    getrusage(whose, &usage);
    return usage.ru_minflt;
}

int main(int argc, char **argv) {
    const int n = argc >= 3 ? atoi(argv[1]) : 0;
    const rlim_t wanted = (rlim_t)n + 64;
    struct rlimit files;

    if (!n || getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 2;
    const bool exits = argc > 3 && strcmp(argv[3], "exit") == 0;
    if (argc > 3 && !exits && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        return 2;
    if (files.rlim_cur < wanted && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ wanted, wanted }) != 0)
        return 77;
    for (int i = 0; i < n; i++)
        if (socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
            return 1;
    say_memory();
    const long before = faults(RUSAGE_SELF);
    for (int i = 0; i < atoi(argv[2]); i++) {
        pid_t child = fork();
        if (child == 0 && exits)
            _exit(0);
        if (child == 0)
            raise(SIGKILL); /* it looks at nothing */
        if (child < 0 || waitpid(child, NULL, 0) != child)
            return 1;
    }
    printf("faults %ld children %ld\n", faults(RUSAGE_SELF) - before, faults(RUSAGE_CHILDREN));
    fflush(stdout);
    _exit(0);
}
