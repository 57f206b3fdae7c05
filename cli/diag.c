/* sock_diag(7) through libmnl: the only file that speaks netlink. */
#include "cli/diag.h"
#include "cli/memory.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ATTEMPTS = 5, BUFFER = 64 * 1024 };

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
        .expires_ms = m->idiag_expires,
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
    struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!netlink)
        return -errno;
    int result = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
    if (!result)
        result = request(netlink, family, states, serial);
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
