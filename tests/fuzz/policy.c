/* libFuzzer's way into policy_invariants.c: `make fuzz`. */
#include "tests/policy/policy_invariants.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool parsed;
    const char *broken = policy_broken(data, size, &parsed);
    if (broken) {
        fprintf(stderr, "does not hold: %s\n", broken);
        abort();
    }
    return 0;
}
