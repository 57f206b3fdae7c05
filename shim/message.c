/* Hooks: connections that open with their first data (MSG_FASTOPEN), and descriptors in messages. */
#include "shim/shim.h"

#include <sys/un.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum {
    MOST_MESSAGES = 1024,  /* UIO_MAXIOV: the kernel looks at no more of sendmmsg's */
    MOST_CONTROL = 1 << 17 /* net.core.optmem_max: more is ENOBUFS */
};

static long run_sendto(const struct af_attempt *a) {
    return AF_NEXT(a->raw, sendto, a->fd, a->data, a->size, a->flags, a->addr, a->len);
}

ssize_t af_on_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *addr, socklen_t len,
                     bool raw) {
    struct af_socket *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    if (!conn)
        return AF_NEXT(raw, sendto, fd, data, size, flags, addr, len);
    struct af_attempt attempt = { run_sendto, fd, flags, addr, data, size, len, raw };
    return af_open(conn, &attempt, false);
}

static long run_sendmsg(const struct af_attempt *a) {
    return AF_NEXT(a->raw, sendmsg, a->fd, a->data, a->flags);
}

/* Calls visit for each descriptor that a message carries, in memory that can be read. It ends where the kernel would say
 * EINVAL. */
static void each_descriptor(const struct msghdr *message, void (*visit)(int fd)) {
    const char *at = message->msg_control;
    for (size_t left = message->msg_controllen; left >= sizeof(struct cmsghdr);) {
        struct cmsghdr part;
        __builtin_memcpy(&part, at, sizeof part);
        if (part.cmsg_len < sizeof part || part.cmsg_len > left)
            return;
        const bool rights = part.cmsg_level == SOL_SOCKET && part.cmsg_type == SCM_RIGHTS;
        for (size_t i = CMSG_LEN(0); rights && i + sizeof(int) <= part.cmsg_len; i += sizeof(int)) {
            int fd;
            __builtin_memcpy(&fd, at + i, sizeof fd);
            visit(fd);
        }
        const size_t step = CMSG_ALIGN(part.cmsg_len);
        if (step > left)
            return;
        at += step;
        left -= step;
    }
}

/* It now has a holder whom we may never see. A port promised by bind_no_port is made real for him. The cookie
 * lets a relative who receives it know the connection again. */
static void note_sent(int fd) {
    struct af_socket *conn = af_lookup(fd);
    if (!conn)
        return;
    af_bind_now(fd, conn);
    af_cookie(fd, conn);
    af_note_sharing();
    af_set(conn, AF_FLAG_SENT);
    af_show(conn);
    struct af_connection *shared = af_shared(conn);
    if (shared)
        atomic_fetch_add(&shared->sent, 1);
}

static void note_unsent(int fd) {
    struct af_socket *conn = af_lookup(fd);
    struct af_connection *shared = conn ? af_shared(conn) : NULL;
    if (shared)
        atomic_fetch_sub(&shared->sent, 1);
}

/* Only once a TCP socket is known is a message looked into, and none on a TCP socket: that carries no descriptors. */
static bool may_carry(int fd) {
    return af.ledger && !af_lookup(fd) && !af_in_vfork_child();
}

/* What is to be sent, as far as the kernel will be able to read it. */
static bool each_of_sent(const void *at, void (*visit)(int fd), uintptr_t *known) {
    struct msghdr message;
    if (!af_can_read_from(at, sizeof message, known))
        return false;
    __builtin_memcpy(&message, at, sizeof message); /* which may lie anywhere */
    if (message.msg_controllen >= sizeof(struct cmsghdr) && message.msg_controllen <= MOST_CONTROL &&
        af_can_read_from(message.msg_control, message.msg_controllen, known))
        each_descriptor(&message, visit);
    return true;
}

ssize_t af_on_sendmsg(int fd, const struct msghdr *message, int flags, bool raw) {
    struct af_socket *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    uintptr_t known = AF_NO_PAGE;
    if (conn && af_can_read(message, sizeof *message) && message->msg_name) {
        struct af_attempt attempt = {
            run_sendmsg, fd, flags, message->msg_name, message, 0, message->msg_namelen, raw
        };
        return af_open(conn, &attempt, false);
    }
    bool looked = may_carry(fd) && each_of_sent(message, note_sent, &known);
    ssize_t result = AF_NEXT(raw, sendmsg, fd, message, flags);
    if (looked && result < 0)
        each_of_sent(message, note_unsent, &known);
    return result;
}

static long run_sendmmsg(const struct af_attempt *a) {
    return AF_NEXT(a->raw, sendmmsg, a->fd, (struct mmsghdr *)(uintptr_t)a->data, (unsigned)a->size, a->flags);
}

/* The kernel sends as many as it can read, and says how many these were. */
static unsigned each_of_many(const struct mmsghdr *messages, unsigned from, unsigned n, void (*visit)(int fd)) {
    uintptr_t known = AF_NO_PAGE;
    while (from < n && each_of_sent((const char *)messages + from * sizeof *messages, visit, &known))
        from++;
    return from;
}

int af_on_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, bool raw) {
    struct af_socket *conn = flags & MSG_FASTOPEN ? af_ours(fd) : NULL;
    if (conn && n && af_can_read(messages, sizeof *messages) && messages->msg_hdr.msg_name) {
        const struct msghdr *first = &messages->msg_hdr;
        struct af_attempt attempt = { run_sendmmsg, fd, flags, first->msg_name, messages, n, first->msg_namelen, raw };
        return (int)af_open(conn, &attempt, false);
    }
    if (n > MOST_MESSAGES)
        n = MOST_MESSAGES;
    unsigned looked = may_carry(fd) ? each_of_many(messages, 0, n, note_sent) : 0;
    int sent = AF_NEXT(raw, sendmmsg, fd, messages, n, flags);
    each_of_many(messages, sent < 0 ? 0 : (unsigned)sent, looked, note_unsent);
    return sent;
}

ssize_t af_on_recvmsg(int fd, struct msghdr *message, int flags, bool raw) {
    ssize_t result = AF_NEXT(raw, recvmsg, fd, message, flags);
    if (result >= 0 && message->msg_controllen && !af_in_vfork_child()) {
        int error = errno;
        each_descriptor(message, af_adopt_descriptor);
        errno = error;
    }
    return result;
}

int af_on_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout, bool raw) {
    int got = AF_NEXT(raw, recvmmsg, fd, messages, n, flags, timeout);
    for (int i = 0; i < got; i++)
        if (messages[i].msg_hdr.msg_controllen && !af_in_vfork_child())
            each_descriptor(&messages[i].msg_hdr, af_adopt_descriptor);
    return got;
}
