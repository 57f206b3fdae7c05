/* Ledgers against the kernel: predictions become facts. */
#ifndef AFTERFIN_CLI_LEDGERS_SETTLE_H
#define AFTERFIN_CLI_LEDGERS_SETTLE_H

#include "cli/kernel/diag.h"
#include "cli/ledgers/collect.h"

/* Between users. A ledger is its owner's word, and cookies and addresses are no secret (ss -e), so that anybody can
 * write down any of them. Believed is what nothing contradicts:
 *  - a record changes no count of another user's;
 *  - a connection that the kernel shows open belongs to who made its socket, or, where that was root, to whom root may
 *    have handed it; whoever else has it in his ledger has never had it;
 *  - of a TIME_WAIT the kernel does not know the user any more: where ledgers of several users claim that they ended it,
 *    it is nobody's, and all claims are told (collection->claims).
 * What cannot be told: a TIME_WAIT that one user alone claims, and is not his. */

/* Of several records of one connection, in ledgers of one user, the latest counts; the others become `passed` (where
 * that process had opened it; else it never was its own). An end that moves takes its endpoint along. Leaves one closing
 * a cookie and user, sorted by cookie; and the claims. */
void af_settle_records(struct af_collection *collection);

/* Which process left each TIME_WAIT of `kernel`: fills `confirmed` of the rows. A connection that the kernel
 * still shows open was passed on; a TIME_WAIT that nobody is known to have ended is left to who let go of it last: it
 * was sent to somebody, and never received, or not by one who keeps a ledger. What was live in the ledger of a process that is dead is settled too: it is
 * in TIME_WAIT, or open elsewhere, or (where the dump is of AF_IN_ANY, so that its absence tells) was ended
 * without. After af_settle_records; net_ns is the dump's. Returns how many TIME_WAIT sockets were attributed. */
uint64_t af_settle_kernel(struct af_collection *collection, const struct af_kernel_sockets *kernel, uint64_t net_ns);

/* Both of these, with the kernel's table as it is now, or the first alone where that cannot be read. The table is left
 * in *kernel, empty then; whoever calls frees kernel->all. */
void af_settle_now(struct af_collection *collection, struct af_kernel_sockets *kernel);

/* Who left a TIME_WAIT socket (af_is_time_wait) of this cookie; after af_settle_records. The cookie alone tells:
 * it is one of its boot, in whatever namespace (since Linux 5.4). */
struct af_owner {
    size_t row;             /* AF_NO_ROW: none of the collected processes, or several users' */
    bool accepted;          /* its role; else it connected */
    size_t claim, n_claims; /* of collection->claims; 0: it is not contested */
};
struct af_owner af_settle_owner(const struct af_collection *collection, uint64_t cookie);

/* The claims to this connection, in collection->claims: how many there are, 0 or several. */
size_t af_find_claims(const struct af_collection *collection, uint64_t cookie, size_t *first);

/* Is any connection of the collection's among these sockets? */
bool af_settle_any(const struct af_collection *collection, const struct af_kernel_sockets *kernel);

#endif
