/* Finds numbers by a hash, of things that lie in somebody's array: a table with open addressing. */
#ifndef AFTERFIN_CLI_OUTPUT_LOOKUP_H
#define AFTERFIN_CLI_OUTPUT_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct af_lookup {
    struct af_lookup_slot *slots;
    size_t n_slots, n; /* a power of two; taken */
};

/* Of bytes, and of what a hash was before. */
uint32_t af_hash(const char *bytes, size_t size);
uint32_t af_hash_more(uint32_t hash, uint64_t number);

void af_lookup_add(struct af_lookup *lookup, uint32_t hash, size_t number);
/* The numbers that were added with this hash, one a call; *at is 0 before the first. False: there are no more. */
bool af_lookup_next(const struct af_lookup *lookup, uint32_t hash, size_t *at, size_t *number);
void af_lookup_free(struct af_lookup *lookup);

#endif
