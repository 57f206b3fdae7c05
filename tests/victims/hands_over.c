/* Connects, exchanges a byte, and hands the connection to another image, which sets an option and closes it.
 *
 * hands_over WAY OPTION ADDRESS PORT    WAY: exec, or message (SCM_RIGHTS; the sender lets go before it is received);
 *                                       or it keeps it, and closes it last: message_kept, a child's (fork_kept), an
 *                                       image's that was started by vfork (vfork_kept)
 *                                       OPTION: linger (SO_LINGER {1, 60}), linger2 (TCP_LINGER2 = 7), none
 * Prints what the kernel has of both afterwards. */
#include "message.h"

#include <sys/wait.h>

static void end(int fd, const char *option) {
    struct linger linger = { 1, 60 };
    socklen_t size = sizeof linger;
    int seconds = 7;

    if (!strcmp(option, "linger"))
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    if (!strcmp(option, "linger2"))
        MUST(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof seconds) == 0);
    MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
    size = sizeof seconds;
    MUST(getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, &size) == 0);
    printf("{%d,%d} %d\n", linger.l_onoff, linger.l_onoff ? linger.l_linger : 0, seconds);
    close(fd);
}

/* In the other image: the connection is 3, or comes by a message to 3. */
static void other(const char *way, const char *option) {
    char byte;
    int fd = 3;

    if (!strncmp(way, "message", 7)) {
        MUST(read(4, &byte, 1) == 1); /* the sender has let go, or has it still */
        fd = receive_descriptor(3, 0);
    }
    end(fd, option);
}

static int keep(int fd, char **argv) {
    const bool forks = !strcmp(argv[1], "fork_kept");
    int status;

    if (fd != 3)
        MUST(dup2(fd, 3) == 3 && close(fd) == 0);
    pid_t child = forks ? fork() : vfork();
    if (child == 0) {
        if (!forks)
            execl("/proc/self/exe", argv[0], argv[1], argv[2], NULL);
        end(3, argv[2]);
        exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && close(3) == 0);
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    const char *way = argc > 2 ? argv[1] : "";
    char byte = 0;
    int pair[2], ready[2], go[2], status = 0;

    if (argc == 3) {
        other(way, argv[2]);
        return 0;
    }
    MUST(argc == 5);
    int fd = connected(argv[3], argv[4]);
    MUST(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1);
    if (!strcmp(way, "exec")) {
        if (fd != 3)
            MUST(dup2(fd, 3) == 3 && close(fd) == 0);
        execl("/proc/self/exe", argv[0], way, argv[2], NULL);
        return 9;
    }
    if (!strcmp(way, "fork_kept") || !strcmp(way, "vfork_kept"))
        return keep(fd, argv);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0 && pipe2(ready, O_CLOEXEC) == 0 &&
         pipe2(go, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        int in = fcntl(pair[1], F_DUPFD, 10), from = fcntl(go[0], F_DUPFD, 10);
        MUST(close(fd) == 0 && dup2(in, 3) == 3 && dup2(from, 4) == 4);
        execl("/proc/self/exe", argv[0], way, argv[2], NULL);
        _exit(9);
    }
    MUST(close(ready[1]) == 0 && read(ready[0], &byte, 1) == 0); /* the other image runs */
    send_descriptor(pair[0], fd);
    const bool kept = !strcmp(way, "message_kept");
    MUST((kept || close(fd) == 0) && write(go[1], &byte, 1) == 1);
    MUST(waitpid(child, &status, 0) == child && (!kept || close(fd) == 0));
    return WEXITSTATUS(status);
}
