/* A connection that two relatives receive from a stranger, each for itself. Who has it first lets go of it and opens another
 * one; the other one half-closes the first; and he is killed with his.
 *
 * joins ADDRESS PORT
 * Prints the local port of the second connection, and the pid of who opened it. */
#include "way.h"

#include <sys/wait.h>

enum { SOCKET = 100 };

union control {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr head;
};

static void send_fd(int to, int fd) {
    union control control = {
        .head = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS }
    };
    struct iovec one = { "x", 1 };
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    MUST(sendmsg(to, &message, 0) == 1);
}

static int receive_fd(void) {
    union control control;
    char byte;
    struct iovec one = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    int fd;
    MUST(recvmsg(SOCKET, &message, MSG_CMSG_CLOEXEC) == 1 && message.msg_controllen);
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

static void tell(int to) {
    MUST(write(to, "x", 1) == 1);
}
static void hear(int from) {
    MUST(read(from, &(char){ 0 }, 1) == 1);
}

static void relative(int with) {
    hear(with); /* the other has received it */
    int fd = receive_fd();
    tell(with);
    hear(with); /* has let go of it, and has another */
    MUST(shutdown(fd, SHUT_WR) == 0);
    tell(with);
    pause();
}

static void relatives(const char *address, const char *port) {
    int pair[2];
    MUST(close(socket(AF_INET, SOCK_STREAM, 0)) == 0); /* there is a ledger by now, that both share */
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        relative(pair[1]);
    int first = receive_fd();
    tell(pair[0]);
    hear(pair[0]);
    MUST(close(first) == 0);
    int second = connected(address, port);
    tell(pair[0]);
    hear(pair[0]);
    printf("%u %d\n", port_of(second), getpid());
    fflush(stdout);
    kill(child, SIGKILL);
    MUST(waitpid(child, NULL, 0) == child);
    kill(getpid(), SIGKILL);
}

int main(int argc, char **argv) {
    int pair[2];
    if (argc == 4)
        relatives(argv[1], argv[2]);
    MUST(argc == 3 && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        MUST(dup2(pair[1], SOCKET) == SOCKET);
        execl("/proc/self/exe", "joins", argv[1], argv[2], "relatives", NULL);
        return 9;
    }
    int fd = connected(argv[1], argv[2]);
    send_fd(pair[0], fd);
    send_fd(pair[0], fd);
    MUST(waitpid(child, NULL, 0) == child && close(fd) == 0);
    return 0;
}
