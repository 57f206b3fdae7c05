/* See notify.h. */
#include "cli/kernel/notify.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_... is this?"
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static const struct {
    int number;
    unsigned call;
} calls_of[] = {
    { __NR_connect, AF_NOTIFY_CONNECT },         { __NR_listen, AF_NOTIFY_LISTEN },     { __NR_bind, AF_NOTIFY_BIND },
    { __NR_getsockname, AF_NOTIFY_GETSOCKNAME }, { __NR_setsockopt, AF_NOTIFY_V6ONLY },
};
enum { CALLS = sizeof calls_of / sizeof *calls_of, MOST = 24 };

#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(test, value, yes, no) (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, yes, no)
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)

/* Every system call of these programs passes here: the number decides first. One of another ABI (i386, x32) has another
 * architecture, or a number that none of ours is. The words of args[2] are swapped where words are. */
static unsigned build(unsigned asked, struct sock_filter out[MOST]) {
    int numbers[CALLS], n = 0;
    unsigned at = 0;
    for (int i = 0; i < CALLS; i++)
        if (asked & calls_of[i].call)
            numbers[n++] = calls_of[i].number;
    out[at++] = LOAD(nr);
    for (int i = 0; i < n; i++) /* on to the architecture, behind the one that lets all else pass */
        out[at++] = IF(BPF_JEQ, (uint32_t)numbers[i], (uint8_t)(n - i), 0);
    out[at++] = RETURN(SECCOMP_RET_ALLOW);
    out[at++] = LOAD(arch);
    out[at++] = IF(BPF_JEQ, NATIVE, 1, 0);
    out[at++] = RETURN(SECCOMP_RET_ALLOW);
    out[at++] = LOAD(nr);
    out[at++] = IF(BPF_JEQ, __NR_connect, 0, 2);
    out[at++] = LOAD(args[2]);
    out[at++] = IF(BPF_JGE, sizeof(struct sockaddr_in), 5, 6);
    out[at++] = IF(BPF_JEQ, __NR_setsockopt, 0, 4);
    out[at++] = LOAD(args[1]);
    out[at++] = IF(BPF_JEQ, IPPROTO_IPV6, 0, 3);
    out[at++] = LOAD(args[2]);
    out[at++] = IF(BPF_JEQ, IPV6_V6ONLY, 0, 1);
    out[at++] = RETURN(SECCOMP_RET_USER_NOTIF);
    out[at++] = RETURN(SECCOMP_RET_ALLOW);
    return at;
}

bool af_notify_binds(void) {
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };
    return syscall(SYS_capget, &head, data) != 0 || !(data[0].effective & 1u << CAP_SYS_ADMIN);
}

static int install(const struct sock_fprog *program) {
    const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    return fd < 0 ? -errno : (int)fd;
}

int af_notify_install(unsigned calls, bool *bound) {
    struct sock_filter filter[MOST];
    const struct sock_fprog program = { .len = (unsigned short)build(calls, filter), .filter = filter };
    int fd = install(&program);
    *bound = fd == -EACCES;
    if (*bound)
        fd = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? install(&program) : -errno;
    return fd;
}

void af_notify_hasten(int listener) {
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

bool af_notify_receive(int listener, struct af_notification *notification, struct af_notified_call *call) {
    struct seccomp_notif *seen = (struct seccomp_notif *)(void *)notification->room;
    memset(notification, 0, sizeof *notification);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, seen) != 0)
        return false;
    *call = (struct af_notified_call){ .thread = (pid_t)seen->pid };
    for (int i = 0; i < CALLS; i++)
        if (seen->data.nr == calls_of[i].number)
            call->call = calls_of[i].call;
    for (int i = 0; i < 6; i++)
        call->arguments[i] = seen->data.args[i];
    return true;
}

bool af_notify_waits(int listener, const struct af_notification *notification) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification->id) == 0;
}

/* Larger than any kernel's, should it have grown. */
static void answer(int listener, uint64_t id, int error, uint32_t flags) {
    union {
        struct seccomp_notif_resp resp;
        unsigned char room[AF_NOTIFY_ROOM];
    } answer = { .room = { 0 } };
    answer.resp.id = id;
    answer.resp.error = -error;
    answer.resp.flags = flags;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer.resp);
}

void af_notify_let_go(int listener, const struct af_notification *notification) {
    answer(listener, notification->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void af_notify_fail(int listener, const struct af_notification *notification, int error) {
    answer(listener, notification->id, error, 0);
}
