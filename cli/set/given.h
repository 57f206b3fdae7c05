/* What set has put in place of what: the file by which `off` gives it back, and nothing that the program chose itself. */
#ifndef AFTERFIN_CLI_SET_GIVEN_H
#define AFTERFIN_CLI_SET_GIVEN_H

#include "cli/set/choice.h"

#include <sys/types.h>

/* One key of one socket. */
struct af_given {
    uint64_t cookie; /* of the socket; before Linux 5.10 a cookie is its network namespace's */
    int32_t pid;     /* who had it */
    uint8_t choice;
    uint8_t listens;
    uint16_t port;        /* of a listening one, local: what it accepts inherits from it */
    uint64_t start_ticks; /* of pid */
    struct af_state before, set;
};

struct af_givens {
    struct af_given *old, *new; /* of earlier calls, by cookie; of this one */
    bool *over;                 /* of the old ones: looked at in this call */
    size_t n_old, n_new;
    struct af_given *listening; /* of either, those of listening sockets */
    size_t n_listening;
    int directory; /* locked against another set; -1: nothing is kept */
    int ahead;     /* its file, to be appended to before anything is set: who is killed in between leaves his notes */
    char path[4096 + 16];
};

/* From the default directory of ledgers, private to its user. Nothing in it is believed to the harm of anybody but
 * whoever owns it. Where there is none it is said once what that means. */
void af_givens_read(struct af_givens *givens);
/* Write what holds now; processes that are gone are left out. */
void af_givens_write(struct af_givens *givens);

/* What was there before us, if `now` is ours: by what was noted of this very socket, or of a listening one on this port,
 * which it has come from. NULL: it is none of ours. */
const struct af_state *af_givens_before(struct af_givens *givens, uint64_t cookie, enum af_choice choice, uint16_t port,
                                        const struct af_state *now);
/* Before it is set; and after, where the kernel has refused it. */
void af_givens_add(struct af_givens *givens, const struct af_given *given);
void af_givens_drop_last(struct af_givens *givens);

#endif
