/* The table of endings: each way in which a connection can end, and what is to come of it. Its readers are the
 * tests of the log (test_ways.c, test_opens.c, test_counts.c, test_tree.c), and test_endings.c, which holds log,
 * ledger and kernel against each other. */
#ifndef AFTERFIN_TESTS_SHIM_ENDING_ROWS_H
#define AFTERFIN_TESTS_SHIM_ENDING_ROWS_H

#include "tests/harness/counts.h"

/* Of one victim; which of the two sides it is. */
struct endings {
    const char *victim;
    enum {
        CONNECTS, /* "VICTIM WAY ADDRESS PORT N EXTRA" */
        ACCEPTS,  /* "VICTIM WAY PORT N" */
        INHERITS, /* the same of a listener on descriptor 3 that its starter left there */
        ON_STDIO, /* "VICTIM WAY" of a connection on 0, 1 and 2, N processes one after the other */
    } side;
    const struct row *rows;
    size_t n;
};

extern const struct endings close_ways, replace_ways, stream_ways, dlsym_ways, copy_ways, return_ways;
extern const struct endings early_copy_ways, harmless_ways, leave_ways;
extern const struct endings open_ways, nonblocking_ways, first_data_ways, refused_ways, unspec_ways, family_ways;
extern const struct endings unanswered_ways, timeout_ways, mptcp_ways, mptcp_accept_ways, stdio_ways, part_ways,
    daemon_ways;
extern const struct endings first_fin, no_orderly_close, own_linger, both_at_once, accept_ways, listener_ways;
extern const struct endings fork_ways, birth_ways, killed_ways, memory_ways, handler_ways, image_ways, sent_ways,
    sent_last_ways, exec_ways, thread_ways, same_ways, kill_ways;

#endif
