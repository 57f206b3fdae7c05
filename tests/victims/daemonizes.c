/* N connections, then daemon(NOCHDIR, NOCLOSE); once its parent has ended the daemon says what has become of it,
 * and closes them.
 *
 * daemonizes ADDRESS PORT N NOCHDIR NOCLOSE */
#include "show.h"

int main(int argc, char **argv) {
    int fds[64], n, out;
    char cwd[4096] = "", link[4096];

    if (argc != 6 || (n = atoi(argv[3])) > 64)
        return 2;
    close_range(3, ~0u, 0);
    out = dup(1);
    for (int i = 0; i < n; i++)
        fds[i] = connected(argv[1], argv[2]);
    pid_t before = getpid();
    int result = daemon(atoi(argv[4]), atoi(argv[5]));
    while (getppid() == before)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    bool leads = getsid(0) == getpid(), null = readlink("/proc/self/fd/0", link, sizeof link) == 9;
    MUST(getcwd(cwd, sizeof cwd));
    MUST(dup2(out, 1) == 1 && close(out) == 0);
    SHOW(result);
    SHOW(leads);
    SHOW(null && memcmp(link, "/dev/null", 9) == 0);
    SHOW(strcmp(cwd, "/") == 0);
    show_descriptors("of the daemon");
    for (int i = 0; i < n; i++)
        SHOW(close(fds[i]));
    return 0;
}
