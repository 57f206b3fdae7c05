/* Many records, put in order. */
#ifndef AFTERFIN_CLI_OUTPUT_ORDER_H
#define AFTERFIN_CLI_OUTPUT_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* n records of `size` in order: by `key`, a number of each, and where that is the same as `compare` has it, which must say of no
 * two the contrary of what their keys say. A sort by compare alone looks at each of a million records twenty times, wherever
 * it lies. */
void af_put_in_order(void *records, size_t n, size_t size, uint64_t (*key)(const void *record, void *context),
                     int (*compare)(const void *a, const void *b, void *context), void *context);

#endif
