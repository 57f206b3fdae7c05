/* Why connects of a run found no local port: TIME_WAITs of others that stood there. */
#ifndef AFTERFIN_CLI_LAUNCH_FULL_H
#define AFTERFIN_CLI_LAUNCH_FULL_H

#include "cli/kernel/ports.h"
#include "cli/ledgers/collect.h"

struct af_full {
    struct af_destination to; /* that has the most ports */
    unsigned range;           /* local ports that there are for it; 0: nothing is known to be full */
    unsigned others;          /* TIME_WAITs towards it that none of the collected processes has left */
};

/* Of what has been settled (settle.h) and a dump of AF_IN_ANY. range is 0 unless a connect has failed with EADDRNOTAVAIL,
 * and others stand in half of the range or more. */
void af_full_find(struct af_full *full, const struct af_collection *found, const struct af_kernel_sockets *kernel);

#endif
