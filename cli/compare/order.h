/* In which order the runs of A and B are made, which is what the test stands on (rank.h).
 *
 * Runs come in blocks of 5 to 9 rounds, as many of A as of B in each, every arrangement of a block as likely as any
 * other. Of 5 rounds there are 252, where a coin for each pair would make 32: too few to tell anything at 5 %. What
 * drifts slowly over an experiment is shared out by the blocks. */
#ifndef AFTERFIN_CLI_COMPARE_ORDER_H
#define AFTERFIN_CLI_COMPARE_ORDER_H

#include <stddef.h>
#include <stdint.h>

enum { AF_BLOCK_RUNS = 18 }; /* at most */

struct af_order {
    unsigned rounds;
    uint8_t *side; /* of each of 2 * rounds runs: 0 is A, 1 is B */
    size_t done;   /* as many of them are made */
};

/* `random` gives 64 random bits. order->side is from malloc. */
void af_order_make(struct af_order *order, unsigned rounds, uint64_t (*random)(void));
void af_order_free(struct af_order *order);

/* The runs that are made, of one side. */
size_t af_order_made(const struct af_order *order, int side);

/* Where the block that begins with this run ends: the run behind it, made or not. */
size_t af_block_end(const struct af_order *order, size_t begin);

#endif
