/* Hooks: connections that open with their first data (MSG_FASTOPEN), and descriptors in messages. */
#include "shim/shim.h"

#include <sys/un.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum { MOST_MESSAGES = 1024 }; /* UIO_MAXIOV: the kernel looks at no more of sendmmsg's */

static long run_sendto(const struct af_attempt *a) {
    return af_real.sendto(a->fd, a->data, a->size, a->flags, a->addr, a->len);
}

ssize_t af_on_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *addr, socklen_t len) {
    struct af_connection *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    if (!conn)
        return af_real.sendto(fd, data, size, flags, addr, len);
    struct af_attempt attempt = { run_sendto, fd, flags, addr, data, size, len };
    return af_open(conn, &attempt, false);
}

static long run_sendmsg(const struct af_attempt *a) {
    return af_real.sendmsg(a->fd, a->data, a->flags);
}

/* Calls visit for each descriptor that a message carries. */
static void each_descriptor(const struct msghdr *message, void (*visit)(int fd)) {
    if (!af_is_readable(message->msg_control) || message->msg_controllen < sizeof(struct cmsghdr))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR((struct msghdr *)message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            __builtin_memcpy(&fd, (char *)c + at, sizeof fd);
            visit(fd);
        }
    }
}

/* It now has a holder whom we may never see. A port promised by bind_no_port is made real for him. The cookie
 * lets a relative who receives it know the connection again. */
static void note_sent(int fd) {
    struct af_connection *conn = af_lookup(fd);
    if (!conn)
        return;
    af_bind_now(fd, conn);
    af_cookie(fd, conn);
    atomic_fetch_add(&conn->sent, 1);
    af_set(conn, AF_FLAG_SENT);
}

static void note_unsent(int fd) {
    struct af_connection *conn = af_lookup(fd);
    if (conn)
        atomic_fetch_sub(&conn->sent, 1);
}

/* Only once a TCP socket is known is a message looked into; its pointers are the program's to vouch for. */
static bool carries(const struct msghdr *message) {
    return af.ledger && af_is_readable(message) && message->msg_controllen && !af_in_vfork_child();
}

ssize_t af_on_sendmsg(int fd, const struct msghdr *message, int flags) {
    struct af_connection *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    if (conn && af_is_readable(message) && message->msg_name) {
        struct af_attempt attempt = { run_sendmsg, fd, flags, message->msg_name, message, 0, message->msg_namelen };
        return af_open(conn, &attempt, false);
    }
    bool looked = carries(message);
    if (looked)
        each_descriptor(message, note_sent);
    ssize_t result = af_real.sendmsg(fd, message, flags);
    if (looked && result < 0)
        each_descriptor(message, note_unsent);
    return result;
}

static long run_sendmmsg(const struct af_attempt *a) {
    return af_real.sendmmsg(a->fd, (struct mmsghdr *)(uintptr_t)a->data, (unsigned)a->size, a->flags);
}

int af_on_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
    struct af_connection *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    if (conn && n && af_is_readable(messages) && messages->msg_hdr.msg_name) {
        const struct msghdr *first = &messages->msg_hdr;
        struct af_attempt attempt = { run_sendmmsg, fd, flags, first->msg_name, messages, n, first->msg_namelen };
        return (int)af_open(conn, &attempt, false);
    }
    if (n > MOST_MESSAGES)
        n = MOST_MESSAGES;
    unsigned looked = n && carries(&messages->msg_hdr) ? n : 0;
    for (unsigned i = 0; i < looked; i++)
        each_descriptor(&messages[i].msg_hdr, note_sent);
    int sent = af_real.sendmmsg(fd, messages, n, flags);
    for (unsigned i = sent < 0 ? 0 : (unsigned)sent; i < looked; i++)
        each_descriptor(&messages[i].msg_hdr, note_unsent);
    return sent;
}

ssize_t af_on_recvmsg(int fd, struct msghdr *message, int flags) {
    ssize_t result = af_real.recvmsg(fd, message, flags);
    if (result >= 0 && message->msg_controllen && !af_in_vfork_child()) {
        int error = errno;
        each_descriptor(message, af_adopt_descriptor);
        errno = error;
    }
    return result;
}

int af_on_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout) {
    int got = af_real.recvmmsg(fd, messages, n, flags, timeout);
    for (int i = 0; i < got; i++)
        if (messages[i].msg_hdr.msg_controllen && !af_in_vfork_child())
            each_descriptor(&messages[i].msg_hdr, af_adopt_descriptor);
    return got;
}
