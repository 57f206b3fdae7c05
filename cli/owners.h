/* Every TIME_WAIT socket, and the process that left it. */
#ifndef AFTERFIN_CLI_OWNERS_H
#define AFTERFIN_CLI_OWNERS_H

#include "cli/settle.h"

struct af_owned {
    struct af_kernel_socket socket; /* TIME_WAIT, or an orphan in FIN_WAIT2 */
    uint64_t net_ns;                /* where it is, if not in our own namespace; else 0 */
    struct af_owner owner;
};

struct af_owners {
    struct af_collection found;
    struct af_owned *all;
    size_t n;
    size_t refused; /* namespaces of recorded processes that we may not enter */
    int why;        /* -errno */
};

/* All of our network namespace; and of each other one that a ledger below `directory` names, where it can be
 * entered, those that have an owner. 0, or -errno of the kernel's dump. */
int af_owners_read(struct af_owners *owners, int directory);
void af_owners_free(struct af_owners *owners);

#endif
