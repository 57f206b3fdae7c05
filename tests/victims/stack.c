/* How much stack each call takes: on a painted one of a thread's own. Prints "NAME BYTES". The first TCP socket is the
 * program's first; stderr is written to, if the library has something to say.
 *
 * stack ADDRESS PORT */
#include "way.h"

#include <pthread.h>
#include <sys/wait.h>

enum { SIZE = 64 * 1024, PAINT = 0xa5 };

static struct sockaddr_storage to, at;
static socklen_t to_len;
static int fd, copy, listener, pair[2];

static void first_socket(void) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
}
static void binds(void) {
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bind(fd, (struct sockaddr *)&any, sizeof any);
}
static void connects(void) {
    connect(fd, (struct sockaddr *)&to, to_len);
}
static void asks_name(void) {
    getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof at });
}
static void sets_option(void) {
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
}
static void duplicates(void) {
    copy = dup(fd);
}
static void sends(void) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { "x", 1 };
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    sendmsg(pair[0], &message, 0);
    recvmsg(pair[1], &message, 0);
    close(*(int *)(void *)CMSG_DATA(c));
}
static void listens(void) {
    listen(listener = socket(AF_INET, SOCK_STREAM, 0), 5);
}
static void accepts(void) {
    accept(listener, NULL, NULL);
}
static void forks(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}
static void execs(void) {
    char *argv[] = { "nothing", NULL };
    execvp("/nowhere", argv);
}
static void shuts_down(void) {
    shutdown(fd, SHUT_WR);
}
static void closes(void) {
    close(copy);
}
static void closes_last(void) {
    close(fd);
}
static void closes_stderr(void) {
    close(2);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    { "first_socket", first_socket },
    { "bind", binds },
    { "getsockname", asks_name },
    { "connect", connects },
    { "setsockopt", sets_option },
    { "dup", duplicates },
    { "sendmsg", sends },
    { "listen", listens },
    { "accept", accepts },
    { "fork", forks },
    { "execvp", execs },
    { "shutdown", shuts_down },
    { "close", closes },
    { "close_last", closes_last },
    { "close_stderr", closes_stderr },
};
enum { N = sizeof calls / sizeof *calls };
static long used[N];
static unsigned char *stack;

/* Below here nothing but the call: what it has painted over is its own. */
static void *measured(void *number) {
    volatile unsigned char *low = stack + 4096, *high = (unsigned char *)__builtin_frame_address(0) - 128;
    const size_t i = (size_t)(uintptr_t)number;

    for (volatile unsigned char *p = low; p < high; p++)
        *p = PAINT;
    calls[i].call();
    while (low < high && *low == PAINT)
        low++;
    used[i] = high - low;
    return NULL;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;

    if (argc != 3)
        return 2;
    to_len = address_of(argv[1], argv[2], &to);
    stack = aligned_alloc(4096, SIZE);
    MUST(stack && pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, SIZE) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    for (size_t i = 0; i < N; i++) {
        pthread_t thread;
        if (calls[i].call == accepts) { /* somebody waits there */
            socklen_t size = sizeof at;
            int client = socket(AF_INET, SOCK_STREAM, 0);
            MUST(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
            ((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            MUST(connect(client, (struct sockaddr *)&at, size) == 0);
        }
        MUST(pthread_create(&thread, &attributes, measured, (void *)i) == 0 && pthread_join(thread, NULL) == 0);
        say_number(calls[i].name, used[i]);
    }
    return 0;
}
