/* Network namespaces other than ours. */
#ifndef AFTERFIN_CLI_KERNEL_NETNS_H
#define AFTERFIN_CLI_KERNEL_NETNS_H

#include <stddef.h>
#include <stdint.h>

/* Call `visit` inside each of the n wanted network namespaces (inode numbers; sorted and made unique here) that
 * some process is in, or that has a name in /run/netns. Back in ours afterwards; where that fails the command
 * ends. Returns how many were found and not to be entered, with the reason (-errno) in *why. Needs CAP_SYS_ADMIN
 * here and there. */
size_t af_netns_each(uint64_t *wanted, size_t n, void (*visit)(void *context, uint64_t net_ns), void *context,
                     int *why);

/* Move this process into a new one, loopback up; an ordinary user's into a user namespace of its own too, in which
 * it has the same number and every capability until it calls exec. 0 or -errno. */
int af_netns_new(void);
/* Let what is exec'd from here on administer that namespace (its sysctls), whoever it runs as. */
void af_netns_keep_admin(void);

#endif
