/* See lookup.h. */
#include "cli/output/lookup.h"
#include "cli/output/memory.h"

#include <stdlib.h>

enum { FEWEST = 64 };

struct af_lookup_slot {
    uint32_t hash, number; /* + 1; 0: free */
};

/* The finalizer of MurmurHash3: every bit of the number moves every bit of the hash. */
uint32_t af_hash_more(uint32_t hash, uint64_t number) {
    uint64_t h = number ^ (uint64_t)hash << 32;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(h ^ h >> 33);
}

/* FNV-1a */
uint32_t af_hash(const char *bytes, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
    return af_hash_more(hash, size);
}

static void put(struct af_lookup *lookup, struct af_lookup_slot slot) {
    size_t at = slot.hash & (lookup->n_slots - 1);
    while (lookup->slots[at].number)
        at = (at + 1) & (lookup->n_slots - 1);
    lookup->slots[at] = slot;
}

static void grow(struct af_lookup *lookup) {
    struct af_lookup old = *lookup;
    lookup->n_slots = old.n_slots ? old.n_slots * 2 : FEWEST;
    lookup->slots = af_array(NULL, lookup->n_slots, sizeof *lookup->slots);
    for (size_t i = 0; i < lookup->n_slots; i++)
        lookup->slots[i].number = 0;
    for (size_t i = 0; i < old.n_slots; i++)
        if (old.slots[i].number)
            put(lookup, old.slots[i]);
    free(old.slots);
}

void af_lookup_add(struct af_lookup *lookup, uint32_t hash, size_t number) {
    if (lookup->n >= lookup->n_slots / 2)
        grow(lookup);
    put(lookup, (struct af_lookup_slot){ .hash = hash, .number = (uint32_t)number + 1 });
    lookup->n++;
}

bool af_lookup_next(const struct af_lookup *lookup, uint32_t hash, size_t *at, size_t *number) {
    while (lookup->n_slots) {
        const struct af_lookup_slot *slot = &lookup->slots[(hash + (*at)++) & (lookup->n_slots - 1)];
        if (!slot->number)
            break;
        *number = slot->number - 1;
        if (slot->hash == hash)
            return true;
    }
    return false;
}

void af_lookup_free(struct af_lookup *lookup) {
    free(lookup->slots);
    *lookup = (struct af_lookup){ .n = 0 };
}
