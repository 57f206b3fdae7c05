/* Does a process from a ledger still run? */
#ifndef AFTERFIN_CLI_KERNEL_PROCESS_H
#define AFTERFIN_CLI_KERNEL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The inode number of /proc/self/ns/NAME ("net", "pid"), 0 where it is not to be had. */
uint64_t af_own_namespace(const char *name);
/* The same of another process or thread. */
uint64_t af_namespace_of(pid_t pid, const char *name);

/* n pieces of another process's or thread's memory, each as long as where it goes. False: not all of them can be read.
 * Where a filter refuses process_vm_readv (Docker of Debian 12), /proc/PID/mem has them. */
bool af_process_memory(pid_t pid, const struct iovec *to, const struct iovec *from, unsigned n);

/* Of /proc/ENTRY/stat. False: it is gone. */
struct af_process_stat {
    char state; /* 'Z': a zombie */
    pid_t parent;
    uint64_t start_ticks; /* field 22 */
    char program[16];     /* as comm has it */
};
bool af_process_stat(const char *entry, struct af_process_stat *out);

/* "4242", or "1@4026532837": a pid is a number of its namespace, and one that is not of ours (pid_ns 0) says of
 * which. From malloc. */
char *af_pid_text(int32_t pid, uint64_t pid_ns);

/* pid as it saw itself in the pid namespace pid_ns (0: unknown, ours is assumed); start_ticks: field 22 of its
 * stat is at most that: a later process of the same number began later (0: unknown). A zombie does not run. */
bool af_process_running(uint64_t pid_ns, int32_t pid, uint64_t start_ticks);

/* For pids of other namespaces af_process_running lists all processes once. Call this when everything has been read
 * that the next questions are about: a process that has begun since the last list would be taken for a dead one. */
void af_process_list_anew(void);

/* The pid that process ENTRY of /proc has in its own pid namespace; 0: gone. */
int32_t af_innermost_pid(const char *entry);

/* Does any process that we may look at have `setting` ("NAME=VALUE") in its environment? */
bool af_is_in_environment(const char *setting);

#endif
