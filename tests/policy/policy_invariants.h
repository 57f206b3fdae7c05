/* What must hold of policy/ whatever it is given: for the fuzz target and for the random values of `make check`. */
#ifndef AFTERFIN_TESTS_POLICY_POLICY_INVARIANTS_H
#define AFTERFIN_TESTS_POLICY_POLICY_INVARIANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse `data` as a block of settings, NAME=VALUE without the AFTERFIN_, separated by NUL or 0x1f (one newline at
 * the end is dropped), and put questions to what comes out. NULL where all holds, else what did not. *parsed says
 * whether the block was a valid one. */
const char *policy_broken(const uint8_t *data, size_t size, bool *parsed);

/* Does a policy decide for addresses at random, half of them near some rule's, as the plain walk over its rules does? NULL,
 * or what does not hold. */
struct af_policy;
const char *policy_decisions_broken(const struct af_policy *p, uint64_t seed);

#endif
