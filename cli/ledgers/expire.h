/* Ledgers whose processes are gone. */
#ifndef AFTERFIN_CLI_LEDGERS_EXPIRE_H
#define AFTERFIN_CLI_LEDGERS_EXPIRE_H

#include <stddef.h>
#include <stdint.h>

/* So long a ledger in the default directory is kept after its last close: what it left has expired by then, and
 * whoever wants to look has had the time. */
enum { AF_EXPIRE_AFTER_S = 300 };

/* Remove the ledgers in this directory, files of our own user's only (in one that is root's alone, of every user's that a run
 * has kept there), all of whose processes have been gone for so long, or that are from another boot. Follows no link; what it does not understand it leaves. Returns how many
 * were removed. */
size_t af_expire_ledgers(int directory, unsigned after_s);

#endif
