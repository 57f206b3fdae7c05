/* The kernel's own sums of the network namespace that we are in. */
#ifndef AFTERFIN_CLI_KERNEL_SOCKSTAT_H
#define AFTERFIN_CLI_KERNEL_SOCKSTAT_H

#include <stdint.h>

/* A field of the TCP line of /proc/self/net/sockstat ("tw", which has orphans in FIN_WAIT2 too; "inuse"); -1: it
 * cannot be read. */
long af_sockstat(const char *field);

/* A field of /proc/self/net/netstat ("TCPTimeWaitOverflow") in the group "TcpExt:", or of /proc/self/net/snmp
 * ("OutRsts") in "Tcp:"; -1: it cannot be read. */
int64_t af_netstat(const char *group, const char *field);

#endif
