/* How much stack each call takes: on a painted one of a thread's own. Prints "NAME BYTES". The first TCP socket is the
 * program's first; stderr is written to, if the library has something to say.
 *
 * stack ADDRESS PORT [SET]      SET: `afterfin`, whose letters some calls find
 * stack ADDRESS PORT signal     all in a handler on an alternate stack of AT_MINSIGSTKSZ + 2 KiB, with nothing below; "NAME 0" */
#include "way.h"

#include <alloca.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { SIZE = 64 * 1024, PAINT = 0xa5, LEFT = 2048 };

static struct sockaddr_storage to, at;
static socklen_t to_len;
static int fd, copy, another, listener, pair[2];

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
static void opens_another(void) {
    another = socket(AF_INET, SOCK_STREAM, 0);
}
static void connects_another(void) {
    connect(another, (struct sockaddr *)&to, to_len);
}
static void closes_another(void) {
    close(another);
}
static void closes(void) {
    close(copy);
}
static int spare(void) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 50);
}
static void duplicates_onto(void) {
    dup2(fd, 60);
}
static void duplicates_onto_with_flags(void) {
    dup3(fd, 61, O_CLOEXEC);
}
static void duplicates_by_fcntl(void) {
    copy = spare();
}
static void closes_a_range(void) {
    close_range(50, 70, 0);
}
static void closes_all_from(void) {
    spare();
    closefrom(50);
}
static void gets_option(void) {
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &(int){ 0 }, &(socklen_t){ sizeof(int) });
}
/* Sent twice in one call, and received by one. */
static void sends_many(void) {
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { "x", 1 };
    struct mmsghdr many[2] = {
        { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control } }
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&many[0].msg_hdr);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    many[1] = many[0];
    sendmmsg(pair[0], many, 2, 0);
    for (int i = 0; i < 2; i++) {
        many[0].msg_hdr.msg_controllen = sizeof control;
        if (recvmmsg(pair[1], many, 1, MSG_DONTWAIT, NULL) == 1)
            close(*(int *)(void *)CMSG_DATA(c));
    }
}
static void opens_with_data(void) {
    int one = socket(AF_INET, SOCK_STREAM, 0);
    sendto(one, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
    close(one);
}
static void does_by_number(void) {
    int one = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    syscall(SYS_connect, one, &to, to_len);
    syscall(SYS_close, one);
}
static void vforks(void) {
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}
static void fails_to_exec(void) {
    char *argv[] = { "nothing", NULL };
    execv("/dev/null", argv);
}
/* A file that can be run, for all that a hook can see. */
static void fails_late_to_exec(void) {
    execv("/proc/self/exe", (char **)-1);
}
static void unshares(void) {
    unshare(0);
}
static void changes_root(void) {
    chroot("/nowhere");
}
static void closes_file(void) {
    FILE *file = fdopen(spare(), "r");
    fclose(file);
}
static void closes_no_socket(void) {
    close(dup(pair[0]));
}
static void fetches(void) {
#ifdef SYS_pidfd_getfd
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    close((int)syscall(SYS_pidfd_getfd, self, fd, 0));
    close(self);
#endif
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
    const char *letter; /* which it finds */
} calls[] = {
    { "first_socket", first_socket, NULL },
    { "bind", binds, NULL },
    { "getsockname", asks_name, NULL },
    { "connect", connects, NULL },
    { "setsockopt", sets_option, NULL },
    { "dup", duplicates, NULL },
    { "sendmsg", sends, NULL },
    { "listen", listens, NULL },
    { "accept", accepts, NULL },
    { "fork", forks, NULL },
    { "execvp", execs, NULL },
    { "shutdown", shuts_down, NULL },
    { "getsockopt", gets_option, NULL },
    { "dup2", duplicates_onto, NULL },
    { "dup3", duplicates_onto_with_flags, NULL },
    { "close_range", closes_a_range, NULL },
    { "closefrom", closes_all_from, NULL },
    { "fcntl", duplicates_by_fcntl, NULL },
    { "sendmmsg", sends_many, NULL },
    { "sendto", opens_with_data, NULL },
    { "syscall", does_by_number, NULL },
    { "vfork", vforks, NULL },
    { "execv", fails_to_exec, NULL },
    { "execv_late", fails_late_to_exec, NULL },
    { "unshare", unshares, NULL },
    { "chroot", changes_root, NULL },
    { "fclose", closes_file, NULL },
    { "close_no_socket", closes_no_socket, NULL },
    { "pidfd_getfd", fetches, NULL },
    { "close", closes, NULL },
    { "socket_mail", opens_another, "linger=ack" },
    { "connect_mail", connects_another,
      "rules=connect 10.0.0.0/8:5-6 linger=ack; listen 2001:db8::/32 keepalive=60:10:3" },
    { "accept_mail", accepts, "rules=connect 10.0.0.0/8 source=127.0.0.2-127.0.0.9+2001:db8::1-2001:db8::9" },
    { "close_mail", closes_another, "linger=rst" },
    { "close_last", closes_last, NULL },
    { "close_stderr", closes_stderr, NULL },
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

/* Nothing here looks for letters: that is left to the call. */
static void change_policy(const char *afterfin, const char *policy) {
    char pid[16];
    char *argv[] = { (char *)(uintptr_t)afterfin, "set", "--pid", pid, (char *)(uintptr_t)policy, NULL };
    char *environment[] = { "PATH=/usr/bin:/bin", NULL };
    posix_spawn_file_actions_t quietly;
    pid_t child;
    int status;

    snprintf(pid, sizeof pid, "%d", (int)getpid());
    posix_spawn_file_actions_init(&quietly);
    posix_spawn_file_actions_addopen(&quietly, 1, "/dev/null", O_WRONLY, 0);
    MUST(posix_spawn(&child, afterfin, &quietly, NULL, argv, environment) == 0);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    posix_spawn_file_actions_destroy(&quietly);
}

static size_t next;
static char *lowest;

/* The kernel needs less of it than it says where registers are not in use: what is left of that is taken. */
static void handle(int number) {
    (void)number;
    const size_t left = (size_t)((char *)__builtin_frame_address(0) - lowest);
    volatile char *taken = alloca(left - LEFT);
    *taken = 0;
    calls[next].call();
}

static void be_small(void) {
    const size_t size = getauxval(AT_MINSIGSTKSZ) + LEFT, room = (size + 4095) / 4096 * 4096;
    char *low = mmap(NULL, 4096 + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(low != MAP_FAILED && mprotect(low, 4096, PROT_NONE) == 0);
    lowest = low + 4096;
    MUST(sigaltstack(&(stack_t){ .ss_sp = lowest, .ss_size = size }, NULL) == 0);
    MUST(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = handle, .sa_flags = SA_ONSTACK }, NULL) == 0);
}

static void measure(void) {
    pthread_attr_t attributes;
    pthread_t thread;

    if (!stack)
        stack = aligned_alloc(4096, SIZE);
    MUST(stack && pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, SIZE) == 0);
    MUST(pthread_create(&thread, &attributes, measured, (void *)next) == 0 && pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

/* Somebody waits there. */
static void wait_to_be_accepted(void) {
    socklen_t size = sizeof at;
    int client = socket(AF_INET, SOCK_STREAM, 0);

    MUST(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    ((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(connect(client, (struct sockaddr *)&at, size) == 0);
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4)
        return 2;
    const bool signals = argc == 4 && strcmp(argv[3], "signal") == 0;
    to_len = address_of(argv[1], argv[2], &to);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (signals)
        be_small();
    for (; next < N; next++) {
        if (calls[next].letter && argc == 4 && !signals)
            change_policy(argv[3], calls[next].letter);
        if (calls[next].call == accepts)
            wait_to_be_accepted();
        if (signals)
            MUST(raise(SIGUSR1) == 0);
        else
            measure();
        say_number(calls[next].name, used[next]);
    }
    return 0;
}
