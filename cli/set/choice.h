/* The options of a key on a socket of somebody else's: what they are, what they should be, and what they were before we
 * came. */
#ifndef AFTERFIN_CLI_SET_CHOICE_H
#define AFTERFIN_CLI_SET_CHOICE_H

#include "policy/policy.h"

/* The keys that act on a socket that is there. */
enum af_choice { AF_CHOICE_LINGER, AF_CHOICE_KEEPALIVE, AF_CHOICE_USER_TIMEOUT, AF_CHOICES };
enum af_key af_choice_key(enum af_choice choice);

/* The values of a key's options, in an order of choice.c's. */
struct af_state {
    int32_t v[4];
};
bool af_state_equal(const struct af_state *a, const struct af_state *b);

/* 0 or -errno. */
int af_state_read(int fd, enum af_choice choice, struct af_state *out);
/* From `now` to `to`. 0, or -errno; what the socket has then is not known. */
int af_state_write(int fd, enum af_choice choice, const struct af_state *now, const struct af_state *to);

/* A state that nobody is known to have set for us: what was there before us. linger=ack's option stands for a policy of
 * ours, since no program is known to set it itself; all else is the program's. */
struct af_state af_state_before(enum af_choice choice, const struct af_state *now);
/* The same as if none of them was ever set; of those that only say how, what they are now. */
struct af_state af_state_plain(enum af_choice choice, const struct af_state *now);
/* Has the program chosen this itself? */
bool af_state_chosen(enum af_choice choice, const struct af_state *before);
/* What the policy makes of it; `off` leaves it as it was. */
struct af_state af_state_wanted(enum af_choice choice, const struct af_values *values, const struct af_state *before);

#endif
