/* Every TIME_WAIT socket, and the process that left it. */
#ifndef AFTERFIN_CLI_LEDGERS_OWNERS_H
#define AFTERFIN_CLI_LEDGERS_OWNERS_H

#include "cli/ledgers/settle.h"

/* The network namespaces, other than ours, of recorded processes. */
struct af_elsewhere {
    size_t refused; /* those that we may not enter */
    int why;        /* -errno */
};

/* Call `visit` in each that a collected ledger names and that can be entered. */
void af_elsewhere_each(struct af_elsewhere *elsewhere, const struct af_collection *found,
                       void (*visit)(void *context, uint64_t net_ns), void *context);
/* Say which could not. */
void af_elsewhere_tell(const struct af_elsewhere *elsewhere, const char *command);

struct af_owned {
    struct af_kernel_socket socket; /* TIME_WAIT, or an orphan in FIN_WAIT2 */
    uint64_t net_ns;                /* where it is, if not in our own namespace; else 0 */
    struct af_owner owner;
};

struct af_owners {
    struct af_collection found;
    struct af_owned *all;
    size_t n;
    struct af_elsewhere elsewhere;
};

/* All of our network namespace; and of each other one that a ledger names, where it can be entered, those that have
 * an owner. The ledgers are those of af_ledger_dir_collect (ledger_dir.h). 0, or -errno of the kernel's dump. */
int af_owners_read(struct af_owners *owners, int directory);
void af_owners_free(struct af_owners *owners);

#endif
