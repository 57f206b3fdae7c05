/* The default ledger directories of all users, for root. */
#ifndef AFTERFIN_CLI_LEDGERS_USERS_H
#define AFTERFIN_CLI_LEDGERS_USERS_H

#include "cli/ledgers/collect.h"

/* Between af_collect_begin and af_collect_end. One that is there, and not as the library would make it, is a
 * complaint. */
void af_collect_users(struct af_collection *collection);

#endif
