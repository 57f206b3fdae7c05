/* Settings of the kernel, under /proc/sys. */
#ifndef AFTERFIN_CLI_KERNEL_SYSCTL_H
#define AFTERFIN_CLI_KERNEL_SYSCTL_H

#include <stdint.h>

/* The first line of "net.ipv4.tcp_tw_reuse", without its end, from malloc; NULL with errno: it cannot be read. */
char *af_sysctl(const char *name);
/* The number that a value begins with; -1: there is none. */
int64_t af_sysctl_number(const char *value);
/* Of the setting of that name. */
int64_t af_sysctl_value(const char *name);

#endif
