/* What cli/kernel/diag.c calls of libmnl, for a static command where libmnl comes without an archive, as Debian's does.
 * Declared, and told of, in libmnl/libmnl.h. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct mnl_socket {
    int fd;
    struct sockaddr_nl address;
};

struct mnl_socket *mnl_socket_open2(int bus, int flags) {
    struct mnl_socket *s = calloc(1, sizeof *s);
    if (s && (s->fd = socket(AF_NETLINK, SOCK_RAW | flags, bus)) >= 0)
        return s;
    free(s);
    return NULL;
}

int mnl_socket_bind(struct mnl_socket *s, unsigned groups, pid_t pid) {
    socklen_t size = sizeof s->address;
    s->address = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_groups = groups, .nl_pid = (unsigned)pid };
    return bind(s->fd, (struct sockaddr *)&s->address, size) < 0
               ? -1
               : getsockname(s->fd, (struct sockaddr *)&s->address, &size);
}

int mnl_socket_close(struct mnl_socket *s) {
    int result = close(s->fd);
    free(s);
    return result;
}

unsigned mnl_socket_get_portid(const struct mnl_socket *s) {
    return s->address.nl_pid;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *s, const void *message, size_t size) {
    const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    return sendto(s->fd, message, size, 0, (const struct sockaddr *)&kernel, sizeof kernel);
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *s, void *buffer, size_t size) {
    struct sockaddr_nl from;
    struct iovec into = { buffer, size };
    struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &into, .msg_iovlen = 1 };
    ssize_t got = recvmsg(s->fd, &message, 0);
    if (got >= 0 && message.msg_flags & MSG_TRUNC) {
        errno = ENOSPC;
        return -1;
    }
    return got;
}

struct nlmsghdr *mnl_nlmsg_put_header(void *buffer) {
    struct nlmsghdr *header = memset(buffer, 0, MNL_NLMSG_HDRLEN);
    header->nlmsg_len = MNL_NLMSG_HDRLEN;
    return header;
}

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *header, size_t size) {
    void *extra = (char *)header + header->nlmsg_len;
    header->nlmsg_len += MNL_ALIGN(size);
    return memset(extra, 0, MNL_ALIGN(size));
}

void *mnl_nlmsg_get_payload(const struct nlmsghdr *header) {
    return (char *)header + MNL_NLMSG_HDRLEN;
}

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *header) {
    return header->nlmsg_len - MNL_NLMSG_HDRLEN;
}

bool mnl_nlmsg_ok(const struct nlmsghdr *header, int size) {
    return size >= (int)sizeof *header && header->nlmsg_len >= sizeof *header && (int)header->nlmsg_len <= size;
}

struct nlmsghdr *mnl_nlmsg_next(const struct nlmsghdr *header, int *size) {
    *size -= (int)MNL_ALIGN(header->nlmsg_len);
    return (struct nlmsghdr *)((char *)header + MNL_ALIGN(header->nlmsg_len));
}

static int fail(int error) {
    errno = error;
    return MNL_CB_ERROR;
}

/* An error, or a success, that the kernel reports; the end of a dump. */
static int control(const struct nlmsghdr *header) {
    const struct nlmsgerr *answer = mnl_nlmsg_get_payload(header);
    if (header->nlmsg_type == NLMSG_DONE)
        return MNL_CB_STOP;
    if (header->nlmsg_type != NLMSG_ERROR)
        return MNL_CB_OK;
    if (mnl_nlmsg_get_payload_len(header) < sizeof *answer)
        return fail(EBADMSG);
    return answer->error ? fail(answer->error < 0 ? -answer->error : answer->error) : MNL_CB_STOP;
}

int mnl_cb_run(const void *buffer, size_t size, unsigned serial, unsigned port, mnl_cb_t call, void *context) {
    const struct nlmsghdr *header = buffer;
    int left = (int)size, result = MNL_CB_OK;
    for (; result > MNL_CB_STOP && mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        if (header->nlmsg_pid && header->nlmsg_pid != port)
            return fail(ESRCH);
        if (header->nlmsg_seq && header->nlmsg_seq != serial)
            return fail(EPROTO);
        if (header->nlmsg_flags & NLM_F_DUMP_INTR)
            return fail(EINTR);
        result = header->nlmsg_type < NLMSG_MIN_TYPE ? control(header) : call(header, context);
    }
    return result;
}
