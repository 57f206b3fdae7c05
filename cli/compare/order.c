/* See order.h. */
#include "cli/compare/order.h"
#include "cli/output/memory.h"

#include <stdlib.h>

enum { LEAST_ROUNDS = 5 };

size_t af_block_end(const struct af_order *order, size_t begin) {
    const size_t rounds = order->rounds, blocks = rounds < LEAST_ROUNDS ? 1 : rounds / LEAST_ROUNDS;
    size_t block = begin * blocks / (2 * rounds); /* that of `begin`, or the one before */
    while (2 * (block * rounds / blocks) <= begin)
        block++;
    return 2 * (block * rounds / blocks);
}

/* Fisher and Yates; what a remainder of 64 bits prefers is too little to matter. */
static void shuffle(uint8_t *sides, size_t n, uint64_t (*random)(void)) {
    for (size_t i = n; i > 1; i--) {
        const size_t other = random() % i;
        const uint8_t kept = sides[i - 1];
        sides[i - 1] = sides[other];
        sides[other] = kept;
    }
}

void af_order_make(struct af_order *order, unsigned rounds, uint64_t (*random)(void)) {
    const size_t runs = 2 * (size_t)rounds;
    *order = (struct af_order){ .rounds = rounds, .side = af_array(NULL, runs, sizeof *order->side) };
    for (size_t i = 0; i < runs; i++)
        order->side[i] = i % 2;
    for (size_t begin = 0, end; begin < runs; begin = end) {
        end = af_block_end(order, begin);
        shuffle(order->side + begin, end - begin, random);
    }
}

void af_order_free(struct af_order *order) {
    free(order->side);
    order->side = NULL;
}

size_t af_order_made(const struct af_order *order, int side) {
    size_t n = 0;
    for (size_t i = 0; i < order->done; i++)
        n += order->side[i] == side;
    return n;
}
