/* A connection that two relatives have, of whom one may not know of the other: he lets go of it and opens another one, the
 * other half-closes the first; and he is killed with his.
 *
 * joins WAY ADDRESS PORT    WAY: received, by each for himself from a stranger; forked, of which the parent, in a handler
 *                           of pthread_atfork, is not told yet; or ended: so, but the parent ends, and the next connection
 *                           is a sibling's
 * Prints the local port of the second connection, and the pid of who opened it. */
#include "message.h"

#include <pthread.h>
#include <sys/wait.h>

enum { SOCKET = 100 };

static void tell(int to) {
    MUST(write(to, "x", 1) == 1);
}
static void hear(int from) {
    MUST(read(from, &(char){ 0 }, 1) == 1);
}

static int pair[2];
static const char *address, *port;

static void relative(int fd) {
    tell(pair[1]);
    hear(pair[1]); /* the other has let go of it, and has another */
    MUST(shutdown(fd, SHUT_WR) == 0);
    tell(pair[1]);
    pause();
}

static void opens_another(void) {
    printf("%u %d\n", port_of(connected(address, port)), getpid());
    fflush(stdout);
    tell(pair[0]);
    hear(pair[0]);
    kill(0, SIGKILL);
}

static void gives_up(int first) {
    hear(pair[0]); /* the other has it */
    MUST(close(first) == 0);
}

static int both;
static bool ends;
static void in_parent(void) {
    gives_up(both);
    if (ends)
        exit(0);
    opens_another();
}

static void forked(void) {
    both = connected(address, port);
    MUST(pthread_atfork(NULL, in_parent, NULL) == 0);
    if (fork() == 0)
        relative(both);
}

static void ended(void) {
    pid_t children[2];
    MUST(close(socket(AF_INET, SOCK_STREAM, 0)) == 0); /* there is a ledger by now, that all share */
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        MUST(children[i] >= 0);
        ends = true;
        if (children[i] == 0)
            i == 0 ? forked() : opens_another();
        MUST(waitpid(children[i], NULL, 0) == children[i]);
    }
}

/* What is sent comes in turn: the first is the parent's. */
static void received(void) {
    MUST(close(socket(AF_INET, SOCK_STREAM, 0)) == 0); /* there is a ledger by now, that both share */
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        hear(pair[1]);
        relative(receive_descriptor(SOCKET, MSG_CMSG_CLOEXEC));
    }
    int fd = receive_descriptor(SOCKET, MSG_CMSG_CLOEXEC);
    tell(pair[0]);
    gives_up(fd);
    opens_another();
}

int main(int argc, char **argv) {
    int stranger[2];
    const bool sent = argc == 4 && strcmp(argv[1], "received") == 0;

    MUST(argc == 4 || argc == 5);
    address = argv[2], port = argv[3];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, stranger) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (argc == 5)
        received();
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        MUST(setpgid(0, 0) == 0); /* who is killed together */
        if (!strcmp(argv[1], "ended"))
            ended();
        if (!sent)
            forked();
        MUST(dup2(stranger[1], SOCKET) == SOCKET);
        execl("/proc/self/exe", "joins", argv[1], address, port, "relatives", NULL);
        return 9;
    }
    int fd = sent ? connected(address, port) : -1;
    if (sent) {
        send_descriptor(stranger[0], fd);
        send_descriptor(stranger[0], fd);
    }
    MUST(waitpid(child, NULL, 0) == child && (fd < 0 || close(fd) == 0));
    return 0;
}
