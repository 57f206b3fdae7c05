/* See notify.h. */
#include "cli/kernel/notify.h"
#include "cli/kernel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#define OTHER AUDIT_ARCH_I386 /* programs of 32 bits; linux/net.h has the numbers of socketcall(2) */
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

/* What an argument has to be; the low word of it, which is all that there is of an int. */
struct condition {
    unsigned char argument;
    unsigned short test; /* BPF_JEQ or BPF_JGE */
    uint32_t mask, value;
};
enum { CONDITIONS = 2 };

static const struct call {
    int number;
    unsigned call;
    struct condition conditions[CONDITIONS]; /* mask 0: no more */
} calls_of[] = {
    { __NR_connect, AF_NOTIFY_CONNECT, { { 2, BPF_JGE, ~0u, sizeof(struct sockaddr_in) } } },
    { __NR_listen, AF_NOTIFY_LISTEN, { { 0 } } },
    { __NR_bind, AF_NOTIFY_BIND, { { 0 } } },
    { __NR_getsockname, AF_NOTIFY_GETSOCKNAME, { { 0 } } },
    { __NR_setsockopt, AF_NOTIFY_V6ONLY, { { 1, BPF_JEQ, ~0u, IPPROTO_IPV6 }, { 2, BPF_JEQ, ~0u, IPV6_V6ONLY } } },
    /* A stream, whatever its flags; AF_INET or AF_INET6, which have but one bit between them. */
    { __NR_socket, AF_NOTIFY_SOCKET, { { 1, BPF_JEQ, 0xf, SOCK_STREAM }, { 0, BPF_JEQ, ~8u, AF_INET } } },
};
enum { CALLS = sizeof calls_of / sizeof *calls_of };

#ifdef OTHER
/* asm/unistd_32.h: the numbers of the same calls, none of which is the number of one above; and socketcall's, whose first
 * argument tells which call it is, and whose second where its arguments are: the filter cannot read those. */
static const int numbers_32[CALLS] = { 362, 363, 361, 367, 366, 359 };
enum { SOCKETCALL = 102 };
static const struct {
    uint32_t number;
    unsigned call;
} socketcalls[] = {
    { SYS_CONNECT, AF_NOTIFY_CONNECT },         { SYS_LISTEN, AF_NOTIFY_LISTEN },     { SYS_BIND, AF_NOTIFY_BIND },
    { SYS_GETSOCKNAME, AF_NOTIFY_GETSOCKNAME }, { SYS_SETSOCKOPT, AF_NOTIFY_V6ONLY }, { SYS_SOCKET, AF_NOTIFY_SOCKET },
};
enum { SOCKETCALLS = sizeof socketcalls / sizeof *socketcalls };
#endif
_Static_assert(AF_INET6 == (AF_INET | 8), "the one condition for both");
enum { CHUNK = 4 + 3 * CONDITIONS, MOST = 2 + 2 * CALLS * (1 + CHUNK) + 1 + 16 };

static struct sock_filter load(size_t at) {
    return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)at);
}
static struct sock_filter jump_if(unsigned short test, uint32_t value, unsigned yes, unsigned no) {
    return (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, (uint8_t)yes, (uint8_t)no);
}
static struct sock_filter end(uint32_t what) {
    return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what);
}

static unsigned chunk_size(const struct call *call) {
    unsigned n = 0;
    while (n < CONDITIONS && call->conditions[n].mask)
        n++;
    return 4 + 3 * n;
}

/* One call's own part: the architecture (another ABI has other calls under this number), the arguments, the verdict. */
static void build_chunk(const struct call *call, uint32_t architecture, struct sock_filter *out) {
    const unsigned size = chunk_size(call), allow = size - 1;
    unsigned at = 0;
    out[at++] = load(offsetof(struct seccomp_data, arch));
    out[at] = jump_if(BPF_JEQ, architecture, 0, allow - at - 1);
    at++;
    for (const struct condition *c = call->conditions; at + 2 < size; c++) {
        out[at++] = load(offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t));
        out[at++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask);
        out[at] = jump_if(c->test, c->value, 0, allow - at - 1);
        at++;
    }
    out[at++] = end(SECCOMP_RET_USER_NOTIF);
    out[at] = end(SECCOMP_RET_ALLOW);
}

/* Calls of one architecture: the jumps begin at *at, their chunks at *chunk. */
static void build_calls(unsigned asked, const int *numbers, uint32_t architecture, struct sock_filter *out,
                        unsigned *at, unsigned *chunk) {
    for (int i = 0; i < CALLS; i++)
        if (asked & calls_of[i].call) {
            const int number = numbers ? numbers[i] : calls_of[i].number;
            out[*at] = jump_if(BPF_JEQ, (uint32_t)number, *chunk - *at - 1, 0);
            ++*at;
            build_chunk(&calls_of[i], architecture, out + *chunk);
            *chunk += chunk_size(&calls_of[i]);
        }
}

#ifdef OTHER
/* The calls that it stands for are few; one that it makes for all else goes on. */
static unsigned build_socketcall(unsigned asked, struct sock_filter *out) {
    unsigned at = 0, n = 0;
    for (int i = 0; i < SOCKETCALLS; i++)
        n += (asked & socketcalls[i].call) != 0;
    out[at++] = load(offsetof(struct seccomp_data, arch));
    out[at++] = jump_if(BPF_JEQ, OTHER, 0, n + 1);
    out[at++] = load(offsetof(struct seccomp_data, args));
    for (int i = 0; i < SOCKETCALLS; i++)
        if (asked & socketcalls[i].call)
            out[at++] = jump_if(BPF_JEQ, socketcalls[i].number, n--, 0);
    out[at++] = end(SECCOMP_RET_ALLOW);
    out[at++] = end(SECCOMP_RET_USER_NOTIF);
    return at;
}
#endif

/* Every system call of these programs passes here: the number decides first. */
static unsigned build(unsigned asked, struct sock_filter out[MOST]) {
    unsigned n = 0, at = 0, chunk;
    for (int i = 0; i < CALLS; i++)
        n += (asked & calls_of[i].call) != 0;
#ifdef OTHER
    chunk = 2 * n + 1 + 2;
#else
    chunk = n + 2;
#endif
    out[at++] = load(offsetof(struct seccomp_data, nr));
    build_calls(asked, NULL, NATIVE, out, &at, &chunk);
#ifdef OTHER
    build_calls(asked, numbers_32, OTHER, out, &at, &chunk);
    out[at] = jump_if(BPF_JEQ, SOCKETCALL, chunk - at - 1, 0);
    at++;
    chunk += build_socketcall(asked, out + chunk);
#endif
    out[at] = end(SECCOMP_RET_ALLOW);
    return chunk;
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

#ifdef OTHER
/* False: it is not for us after all, or what it is to do cannot be read. Kernel and we read the arguments one after the
 * other: a thread that changes them in between has another socket of the program's own treated, as one that closes it. */
static bool read_socketcall(const struct seccomp_data *data, struct af_notified_call *call) {
    uint32_t arguments[6] = { 0 };
    struct iovec to = { arguments, 3 * sizeof *arguments },
                 from = { (void *)(uintptr_t)(uint32_t)data->args[1], to.iov_len };
    for (int i = 0; i < SOCKETCALLS; i++)
        if (data->args[0] == socketcalls[i].number)
            call->call = socketcalls[i].call;
    if (call->call == AF_NOTIFY_LISTEN)
        to.iov_len = from.iov_len = 2 * sizeof *arguments;
    if (!call->call || !af_process_memory(call->thread, &to, &from, 1))
        return false;
    for (int i = 0; i < 6; i++)
        call->arguments[i] = arguments[i];
    switch (call->call) {
    case AF_NOTIFY_V6ONLY: return arguments[1] == IPPROTO_IPV6 && arguments[2] == IPV6_V6ONLY;
    case AF_NOTIFY_SOCKET: return (arguments[1] & 0xf) == SOCK_STREAM && (arguments[0] & ~8u) == AF_INET;
    default: return true;
    }
}

static void read_other(const struct seccomp_data *data, struct af_notified_call *call) {
    for (int i = 0; i < CALLS; i++)
        if (data->nr == numbers_32[i])
            call->call = calls_of[i].call;
    if (data->nr == SOCKETCALL && !(call->thread && read_socketcall(data, call)))
        call->thread = 0; /* it is let go */
}
#endif

bool af_notify_receive(int listener, struct af_notification *notification, struct af_notified_call *call) {
    struct seccomp_notif *seen = (struct seccomp_notif *)(void *)notification->room;
    memset(notification, 0, sizeof *notification);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, seen) != 0)
        return false;
    *call = (struct af_notified_call){ .thread = (pid_t)seen->pid };
    for (int i = 0; i < 6; i++)
        call->arguments[i] = seen->data.args[i];
#ifdef OTHER
    if (seen->data.arch == OTHER) {
        read_other(&seen->data, call);
        return true;
    }
#endif
    for (int i = 0; i < CALLS; i++)
        if (seen->data.nr == calls_of[i].number)
            call->call = calls_of[i].call;
    return true;
}

bool af_notify_holds(void) {
    const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT; /* not EINVAL */
}

bool af_notify_waits(int listener, const struct af_notification *notification) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification->id) == 0;
}

/* Larger than any kernel's, should it have grown. */
static void answer(int listener, uint64_t id, int result, int error, uint32_t flags) {
    union {
        struct seccomp_notif_resp resp;
        unsigned char room[AF_NOTIFY_ROOM];
    } answer = { .room = { 0 } };
    answer.resp.id = id;
    answer.resp.val = result;
    answer.resp.error = -error;
    answer.resp.flags = flags;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer.resp);
}

void af_notify_let_go(int listener, const struct af_notification *notification) {
    answer(listener, notification->id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void af_notify_fail(int listener, const struct af_notification *notification, int error) {
    answer(listener, notification->id, 0, error, 0);
}

int af_notify_hand_in(int listener, const struct af_notification *notification, int fd, bool close_on_exec) {
    struct seccomp_notif_addfd add = { .id = notification->id,
                                       .srcfd = (uint32_t)fd,
                                       .newfd_flags = close_on_exec ? O_CLOEXEC : 0 };
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
}

void af_notify_end(int listener, const struct af_notification *notification, int result) {
    answer(listener, notification->id, result, 0, 0);
}
