/* One descriptor that goes over a Unix socket. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "way.h"

union one_descriptor {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr head;
};

static inline void send_descriptor(int to, int fd) {
    union one_descriptor control = {
        .head = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS }
    };
    struct iovec one = { "x", 1 };
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };

    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    MUST(sendmsg(to, &message, 0) == 1);
}

static inline int receive_descriptor(int from, int flags) {
    union one_descriptor control;
    char byte;
    struct iovec one = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    int fd;

    MUST(recvmsg(from, &message, flags) == 1 && message.msg_controllen);
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

#endif
