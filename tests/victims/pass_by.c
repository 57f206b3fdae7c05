/* N connections that go to another process over a Unix socket, or are taken out of this one. Which of the two
 * lets go last is in the way's name. The other is a child born before the first socket, or with "_family" after
 * it, or with "_image" a child that execs itself.
 *
 * pass_by WAY ADDRESS PORT N */
#include "way.h"

#include <sys/prctl.h>
#include <sys/wait.h>

enum { SOCKET = 100 }; /* our end and the other's, each in its own process */

static int n;
static bool second; /* of two messages, the second carries it */
static const char *address, *port;

union control {
    char room[CMSG_SPACE(2 * sizeof(int))];
    struct cmsghdr align;
};

static void send_fds(const int *fds, int count, bool many) {
    union control control = { 0 };
    struct iovec data = { "x", 1 };
    struct mmsghdr message = { .msg_hdr = { .msg_iov = &data,
                                            .msg_iovlen = 1,
                                            .msg_control = &control,
                                            .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)) } };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message.msg_hdr);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    if (second)
        MUST(sendmmsg(SOCKET, (struct mmsghdr[]){ { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1 } }, message }, 2,
                      0) == 2);
    else if (many)
        MUST(sendmmsg(SOCKET, &message, 1, 0) == 1);
    else
        MUST(sendmsg(SOCKET, &message.msg_hdr, 0) == 1);
}

/* The first of the descriptors that came; all others are closed. */
static int receive_fd(bool many) {
    union control control = { 0 };
    char byte;
    struct iovec data = { &byte, 1 };
    struct mmsghdr message = {
        .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control }
    };
    int fds[2], result = many ? recvmmsg(SOCKET, &message, 1, 0, NULL) : (int)recvmsg(SOCKET, &message.msg_hdr, 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message.msg_hdr);

    MUST(result == 1 && c && c->cmsg_type == SCM_RIGHTS);
    memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (c->cmsg_len > CMSG_LEN(sizeof(int)))
        MUST(close(fds[1]) == 0);
    return fds[0];
}

static void tell(void) {
    MUST(write(SOCKET, "x", 1) == 1);
}
static void hear(void) {
    MUST(read(SOCKET, &(char){ 0 }, 1) == 1);
}
static void last(int fd) {
    MUST(send(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

/* ---- the other process -------------------------------------------------------------------------------------- */

static void takes_last(bool many) {
    for (int i = 0; i < n; i++) {
        if (second)
            hear();
        int fd = receive_fd(many);
        tell();
        hear();
        last(fd);
        tell();
    }
}
static void takes_first(bool many) {
    for (int i = 0; i < n; i++) {
        MUST(close(receive_fd(many)) == 0);
        tell();
    }
}
static void grabs_last(void) {
    int parent = pidfd_open(getppid(), 0);

    for (int i = 0; i < n; i++) {
        int theirs;
        MUST(read(SOCKET, &theirs, sizeof theirs) == sizeof theirs);
        int fd = pidfd_getfd(parent, theirs, 0);
        MUST(fd >= 0);
        tell();
        hear();
        last(fd);
        tell();
    }
}

/* ---- this one ---------------------------------------------------------------------------------------------- */

static void gives_first(bool many, int copies) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        send_fds((int[]){ fd, fd }, copies, many);
        hear();
        MUST(close(fd) == 0);
        tell();
        hear();
    }
}
static void gives_at_once(void) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        send_fds(&fd, 1, false);
        MUST(close(fd) == 0);
        hear();
        tell();
        hear();
    }
}
static void gives_last(bool many) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        send_fds(&fd, 1, many);
        hear();
        last(fd);
    }
}
static void is_grabbed_first(void) {
    for (int i = 0; i < n; i++) {
        int fd = connected(address, port);
        MUST(write(SOCKET, &fd, sizeof fd) == sizeof fd);
        hear();
        MUST(close(fd) == 0);
        tell();
        hear();
    }
}
/* Into a socket that is closed before anyone receives it. */
static void is_lost(void) {
    for (int i = 0; i < n; i++) {
        int pair[2], fd = connected(address, port);
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        MUST(dup2(pair[0], SOCKET) == SOCKET && close(pair[0]) == 0);
        send_fds(&fd, 1, false);
        MUST(close(pair[1]) == 0 && close(SOCKET) == 0);
        last(fd);
    }
}

/* In flight when its sender lets go of it: never received, or with a message that is read without looking for any. */
static void is_thrown_away(bool read_away) {
    for (int i = 0; i < n; i++) {
        int pair[2], fd = connected(address, port);
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && dup2(pair[0], SOCKET) == SOCKET && close(pair[0]) == 0);
        send_fds(&fd, 1, false);
        if (read_away)
            MUST(read(pair[1], &(char){ 0 }, 1) == 1);
        MUST(close(fd) == 0 && close(pair[1]) == 0);
    }
}

static void play(const char *way, bool other) {
    bool many = strstr(way, "many") != NULL, both = strstr(way, "twice") != NULL;

    second = strstr(way, "second") != NULL;
    if (strncmp(way, "lost", 4) == 0)
        other ? (void)0 : is_lost();
    else if (strncmp(way, "never", 5) == 0 || strncmp(way, "read_away", 9) == 0)
        other ? (void)0 : is_thrown_away(*way == 'r');
    else if (strncmp(way, "grabbed", 7) == 0)
        other ? grabs_last() : is_grabbed_first();
    else if (strncmp(way, "at_once", 7) == 0)
        other ? takes_last(false) : gives_at_once();
    else if (strncmp(way, "sender_first", 12) == 0)
        other ? takes_last(many) : gives_first(many, both ? 2 : 1);
    else
        other ? takes_first(many) : gives_last(many);
}

int main(int argc, char **argv) {
    int pair[2], status;

    if (argc != 5 && argc != 6)
        return 2;
    address = argv[2], port = argv[3], n = atoi(argv[4]);
    if (argc == 6) {
        play(argv[1], true);
        return 0;
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (strstr(argv[1], "_family"))
        MUST(close(socket(AF_INET, SOCK_STREAM, 0)) == 0);
    pid_t child = fork();
    MUST(dup2(pair[child == 0], SOCKET) == SOCKET && close(pair[0]) == 0 && close(pair[1]) == 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (strstr(argv[1], "_image"))
            execl("/proc/self/exe", "pass_by", argv[1], address, port, argv[4], "other", NULL);
        play(argv[1], true);
        _exit(0);
    }
    play(argv[1], false);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
