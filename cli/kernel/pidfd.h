/* Another process, held by its pidfd so that its number can mean nobody else, and the sockets that it has. */
#ifndef AFTERFIN_CLI_KERNEL_PIDFD_H
#define AFTERFIN_CLI_KERNEL_PIDFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct af_held {
    pid_t pid;
    pid_t thread; /* whose descriptors these are: the first one's, which has the number pid, or, where that has ended by
                   * itself (pthread_exit(3)), another's */
    int pidfd;    /* of the thread */
    uint64_t start_ticks; /* field 22 of its stat */
    pid_t parent;
    char program[16]; /* as comm has it */
};

/* 0, or -errno: ESRCH, there is no such process, or it has ended; ENOSYS, a kernel before Linux 5.3, or a seccomp filter
 * of ours. Needs no right. */
int af_held_open(pid_t pid, struct af_held *out);
void af_held_close(struct af_held *held);

/* It has ended, and its parent has not asked for its status. */
bool af_is_zombie(pid_t pid);

/* Each descriptor of it that is a socket: its number there, and the socket's inode. 0 or -errno: ESRCH, it has ended;
 * EACCES, it is not ours to look into (ptrace.h says why). */
int af_held_each_socket(const struct af_held *held, void (*visit)(void *context, int fd, uint64_t inode),
                        void *context);

/* A copy of its descriptor, close-on-exec, or -errno: EBADF, it has none of that number (any more); EPERM, ptrace.h says
 * why; ENOSYS, before Linux 5.6. While it is open the socket has a holder more: to be closed at once. */
int af_held_take(const struct af_held *held, int fd);

/* The process and all that descend from it, parents first; returns how many, *out is from malloc. Where /proc hides
 * others' processes they are missing. */
size_t af_process_tree(pid_t root, pid_t **out);

#endif
