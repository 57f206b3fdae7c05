/* Prints what calls say of pointers that lead nowhere, or run out in the middle.
 *
 * show_faults PORT    somebody listens at PORT */
#include "show.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/un.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

static struct sockaddr_in at;
static char *edge; /* the first byte that cannot be read; there are two pages before it, and none behind */
static struct iovec one = { "x", 1 };

static int tcp(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static void addresses(void *bad, const char *name) {
    static const socklen_t lens[] = { 0, 1, 2, 16, 28, 128, 129, (socklen_t)-1 };

    printf("%s\n", name);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        socklen_t len = lens[i], back = 16;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        SHOW(connect(fd, bad, len));
        SHOW(connect(fd, bad, len));
        SHOW(bind(fd, bad, len));
        SHOW(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, bad, len));
        SHOW(syscall(SYS_connect, fd, bad, len));
        SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, bad, len));
        SHOW(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, bad, len));
        SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, bad, &back));
        SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &back, bad));
        SHOW(getsockname(fd, bad, &back));
        SHOW(getsockname(fd, (void *)&at, bad));
        SHOW(listen(fd, 1));
        SHOW(accept4(fd, bad, &back, SOCK_NONBLOCK));
        close(fd);
    }
}

static void of_connection(void *bad) {
    int fd = tcp();

    SHOW(connect(fd, (void *)&at, sizeof at));
    SHOW(connect(fd, bad, sizeof at));
    SHOW(connect(fd, (void *)&(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof at));
    SHOW(connect(fd, (void *)&at, sizeof at));
    close(fd);
}

/* The connection is there, and goes, for want of a place to say whose it is. */
static void accepted(void *bad) {
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof here;
    int listener = tcp(), fd = tcp();

    bind(listener, (void *)&here, sizeof here);
    listen(listener, 1);
    getsockname(listener, (void *)&here, &len);
    SHOW(connect(fd, (void *)&here, sizeof here));
    SHOW(accept(listener, bad, &len));
    memset(edge - 4096, 0, 4096); /* half an address, with a port that nobody knows */
    SHOW(connect(tcp(), (void *)&here, sizeof here));
    SHOW(accept(listener, (void *)&here, bad));
    close(listener);
    close(fd);
}

#ifdef __GLIBC__
#define MESSAGE(call) SHOW(call)
#else /* musl copies a message before the call, and it is there that it faults */
#define MESSAGE(call) (void)0
#endif

static void messages(void *bad) {
    struct msghdr good = { .msg_iov = &one, .msg_iovlen = 1 };
    struct msghdr control = good, name = good, odd = good, wide = good;
    struct mmsghdr many[3] = { { .msg_hdr = good }, { .msg_hdr = good }, { .msg_hdr = good } };
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } rights = { .head = { .cmsg_len = 1 << 20, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    int pair[2], fd = tcp();

    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    control.msg_control = bad, control.msg_controllen = CMSG_SPACE(sizeof(int));
    odd.msg_control = &rights, odd.msg_controllen = sizeof rights;
    wide.msg_control = bad, wide.msg_controllen = (__typeof__(wide.msg_controllen))-1;
    name.msg_name = bad, name.msg_namelen = sizeof at;
    for (int i = 0; i < 2; i++) {
        int to = i ? fd : pair[0];
        MESSAGE(sendmsg(to, bad, MSG_NOSIGNAL));
        MESSAGE(sendmsg(to, bad, MSG_FASTOPEN | MSG_NOSIGNAL));
        MESSAGE(sendmsg(to, &control, MSG_NOSIGNAL));
        SHOW(sendmsg(to, &odd, MSG_NOSIGNAL));
        SHOW(sendmsg(to, &wide, MSG_NOSIGNAL));
        SHOW(sendmsg(to, &name, MSG_FASTOPEN | MSG_NOSIGNAL));
        SHOW(syscall(SYS_sendmsg, to, bad, MSG_NOSIGNAL));
        MESSAGE(sendmmsg(to, bad, 2, MSG_NOSIGNAL));
        MESSAGE(sendmmsg(to, bad, 2, MSG_FASTOPEN | MSG_NOSIGNAL));
    }
    many[1].msg_hdr = control;
    MESSAGE(sendmmsg(pair[0], many, 3, 0));
    memcpy(edge - sizeof *many, many, sizeof *many); /* the second is not there */
    MESSAGE(sendmmsg(pair[0], (void *)(edge - sizeof *many), 3, 0));
    MESSAGE(recvmsg(pair[1], bad, MSG_DONTWAIT));
    MESSAGE(recvmmsg(pair[1], bad, 2, MSG_DONTWAIT, NULL));
    control.msg_flags = 0;
    SHOW(recvmsg(pair[1], &control, MSG_DONTWAIT));
    close(pair[0]);
    close(pair[1]);
    close(fd);
}

static void processes(void *bad) {
    SHOW(syscall(SYS_clone3, bad, sizeof(struct clone_args)));
    SHOW(syscall(SYS_clone3, edge - 4, sizeof(struct clone_args)));
    SHOW(execve(bad, (char *[]){ "x", NULL }, NULL));
    SHOW(execve("/bin/true", bad, NULL));
    SHOW(execv("/bin/true", bad));
    SHOW(syscall(SYS_execve, bad, NULL, NULL));
    SHOW(syscall(SYS_execveat, AT_FDCWD, bad, NULL, NULL, 0));
}

static void *all(void *nothing) {
    const struct {
        void *bad;
        const char *name;
    } rows[] = { { (void *)8, "first page" }, { (void *)-64, "last page" }, { (void *)-1, "last byte" },
                 { edge, "PROT_NONE" },       { edge - 1, "one byte" },     { edge - 4, "family and port" } };

    memset(edge - 4096, 0, 4096);
    memcpy(edge - 4, &at, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        addresses(rows[i].bad, rows[i].name);
        of_connection(rows[i].bad);
        accepted(rows[i].bad);
        messages(rows[i].bad);
        processes(rows[i].bad);
        memset(edge - 4096, 0, 4096);
        memcpy(edge - 4, &at, 4);
    }
    return nothing;
}

int main(int argc, char **argv) {
    pthread_t thread;

    at = (struct sockaddr_in){ .sin_family = AF_INET,
                               .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0")),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    edge = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge += 2 * 4096;
    mprotect(edge, 4096, PROT_NONE);
    all(NULL);
    pthread_create(&thread, NULL, all, NULL);
    pthread_join(thread, NULL);
    return 0;
}
