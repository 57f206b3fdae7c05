/* sock_diag(7) through libmnl: the only file that speaks netlink. */
#include "cli/kernel/diag.h"
#include "cli/output/busy.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS = 5, BUFFER = 64 * 1024 };

/* NULL: errno says why. */
static struct mnl_socket *open_netlink(void) {
    struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!netlink || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) >= 0)
        return netlink;
    const int error = errno;
    mnl_socket_close(netlink);
    errno = error;
    return NULL;
}

/* ---- dump --------------------------------------------------------------------------------------------------- */

bool af_is_time_wait(const struct af_kernel_socket *socket) {
    return socket->state == AF_IN_TIME_WAIT || (socket->state == AF_IN_FIN_WAIT2 && !socket->inode);
}

static struct af_addr to_addr(int family, const __be32 words[4], __be16 port) {
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = words[0] };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port };
    struct af_addr out = { 0 };
    memcpy(&v6.sin6_addr, words, sizeof v6.sin6_addr);
    if (family == AF_INET)
        af_addr_from((struct sockaddr *)&v4, sizeof v4, &out);
    else
        af_addr_from((struct sockaddr *)&v6, sizeof v6, &out);
    return out;
}

static int add_socket(const struct nlmsghdr *header, void *context) {
    struct af_kernel_sockets *list = context;
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(header);
    if (mnl_nlmsg_get_payload_len(header) < sizeof *m || m->idiag_state >= 32)
        return MNL_CB_OK;
    list->all = af_room_for_one(list->all, list->n, sizeof *list->all);
    list->all[list->n++] = (struct af_kernel_socket){
        .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
        .state = 1u << m->idiag_state,
        .inode = m->idiag_inode,
        .uid = m->idiag_uid,
        .expires_ms = m->idiag_expires,
        .interface = m->id.idiag_if,
        .local = to_addr(m->idiag_family, m->id.idiag_src, m->id.idiag_sport),
        .peer = to_addr(m->idiag_family, m->id.idiag_dst, m->id.idiag_dport),
    };
    return MNL_CB_OK;
}

static int request(struct mnl_socket *netlink, int family, uint32_t states, unsigned serial) {
    char buffer[256];
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = serial;
    struct inet_diag_req_v2 *ask = mnl_nlmsg_put_extra_header(header, sizeof *ask);
    ask->sdiag_family = (uint8_t)family;
    ask->sdiag_protocol = IPPROTO_TCP;
    ask->idiag_states = states;
    return mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0 ? -errno : 0;
}

/* One dump. -EINTR: the kernel says that it may have skipped or repeated some (NLM_F_DUMP_INTR). */
static int dump_family(int family, uint32_t states, struct af_kernel_sockets *list) {
    static char buffer[BUFFER];
    const unsigned serial = (unsigned)time(NULL) ^ (unsigned)family;
    struct mnl_socket *netlink = open_netlink();
    if (!netlink)
        return -errno;
    int result = request(netlink, family, states, serial);
    for (int more = MNL_CB_OK; !result && more > MNL_CB_STOP;) {
        ssize_t got = mnl_socket_recvfrom(netlink, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        more = got < 0 ? MNL_CB_ERROR
                       : mnl_cb_run(buffer, (size_t)got, serial, mnl_socket_get_portid(netlink), add_socket, list);
        if (more < 0)
            result = -errno;
    }
    mnl_socket_close(netlink);
    return result;
}

int af_diag_dump(uint32_t states, struct af_kernel_sockets *list) {
    static const int families[] = { AF_INET, AF_INET6 };
    *list = (struct af_kernel_sockets){ .states = states };
    for (int i = 0; i < 2; i++) {
        const size_t before = list->n;
        int result = -EINTR;
        for (int attempt = 0; attempt < ATTEMPTS && result == -EINTR; attempt++) {
            list->n = before;
            result = dump_family(families[i], states, list);
        }
        if (result) {
            free(list->all);
            *list = (struct af_kernel_sockets){ .states = 0 };
            return result == -EINTR ? -EAGAIN : result;
        }
    }
    return 0;
}

/* ---- destroy ------------------------------------------------------------------------------------------------ */

enum { BATCH = 64, ROOM_FOR_ONE = 128 };

/* Those that one message to the kernel asks for; bit i is the socket `first` + i, its serial number i + 1. */
struct batch {
    size_t first;
    unsigned n;
    uint64_t pending;
};

/* Without a cookie the kernel would take whatever has these addresses now (INET_DIAG_NOCOOKIE). */
static bool may_be_ended(const struct af_kernel_socket *socket) {
    return socket->state == AF_IN_TIME_WAIT && socket->cookie && socket->cookie != UINT64_MAX;
}

/* v4-mapped addresses go as IPv4, as which the kernel finds such a socket too. */
static size_t put_request(char *buffer, const struct af_kernel_socket *socket, unsigned serial) {
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DESTROY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = serial;
    struct inet_diag_req_v2 *ask = mnl_nlmsg_put_extra_header(header, sizeof *ask);
    ask->sdiag_family = socket->local.v6 ? AF_INET6 : AF_INET;
    ask->sdiag_protocol = IPPROTO_TCP;
    ask->idiag_states = 1u << TCP_TIME_WAIT;
    ask->id.idiag_sport = htons(socket->local.port);
    ask->id.idiag_dport = htons(socket->peer.port);
    memcpy(ask->id.idiag_src, socket->local.ip, sizeof socket->local.ip);
    memcpy(ask->id.idiag_dst, socket->peer.ip, sizeof socket->peer.ip);
    ask->id.idiag_if = socket->interface;
    ask->id.idiag_cookie[0] = (uint32_t)socket->cookie;
    ask->id.idiag_cookie[1] = (uint32_t)(socket->cookie >> 32);
    return header->nlmsg_len;
}

static int send_batch(struct mnl_socket *netlink, const struct af_kernel_socket *sockets, struct batch *b) {
    _Alignas(struct nlmsghdr) char buffer[BATCH * ROOM_FOR_ONE];
    size_t size = 0;
    for (unsigned i = 0; i < b->n; i++) {
        if (!may_be_ended(&sockets[b->first + i]))
            continue;
        b->pending |= UINT64_C(1) << i;
        size += put_request(buffer + size, &sockets[b->first + i], i + 1);
    }
    return size && mnl_socket_sendto(netlink, buffer, size) < 0 ? -errno : 0;
}

/* The kernel's answer about one. ENOENT: there is none of this cookie. Others: 0, or the -errno to stop with. */
static int take_answer(const struct nlmsghdr *header, struct batch *b, uint8_t *fates, struct af_destroyed *out) {
    const struct nlmsgerr *answer = mnl_nlmsg_get_payload(header);
    const unsigned i = header->nlmsg_seq - 1;
    if (header->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(header) < sizeof *answer || i >= b->n ||
        !(b->pending & UINT64_C(1) << i))
        return 0;
    b->pending &= ~(UINT64_C(1) << i);
    if (answer->error && answer->error != -ENOENT)
        return answer->error;
    if (fates)
        fates[b->first + i] = answer->error ? AF_DESTROY_GONE : AF_DESTROY_ENDED;
    out->gone += answer->error != 0;
    out->ended += answer->error == 0;
    return 0;
}

/* One message each; the kernel has sent them all by the time that sendto is back. */
static int take_answers(struct mnl_socket *netlink, struct batch *b, uint8_t *fates, struct af_destroyed *out) {
    _Alignas(struct nlmsghdr) char buffer[BATCH * ROOM_FOR_ONE];
    int result = 0;
    while (b->pending) {
        ssize_t got = mnl_socket_recvfrom(netlink, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EPROTO;
        int left = (int)got;
        for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; mnl_nlmsg_ok(header, left);
             header = mnl_nlmsg_next(header, &left)) {
            int error = take_answer(header, b, fates, out);
            result = result ? result : error;
        }
    }
    return result;
}

int af_diag_destroy(const struct af_kernel_socket *sockets, size_t n, uint8_t *fates, struct af_destroyed *out) {
    int result = 0;
    *out = (struct af_destroyed){ .ended = 0 };
    if (fates)
        memset(fates, AF_DESTROY_NOT, n);
    struct mnl_socket *netlink = open_netlink();
    if (!netlink)
        return -errno;
    for (struct batch b = { .first = 0 }; b.first < n && !result; b.first += b.n) {
        b.n = n - b.first < BATCH ? (unsigned)(n - b.first) : BATCH;
        b.pending = 0;
        af_busy("sockets ended", b.first, n);
        result = send_batch(netlink, sockets, &b);
        if (!result)
            result = take_answers(netlink, &b, fates, out);
    }
    mnl_socket_close(netlink);
    return result;
}

/* For repair mode the kernel asks for the same right in the same namespace, whatever sockets there are. */
int af_diag_may_destroy(void) {
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool refused = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0 && errno == EPERM;
    if (fd >= 0)
        close(fd);
    return refused ? -EPERM : 0;
}
