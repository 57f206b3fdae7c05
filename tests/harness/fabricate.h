/* Ledgers made up by tests: written with the library's writer, so that they are as real as any. */
#ifndef AFTERFIN_TESTS_HARNESS_FABRICATE_H
#define AFTERFIN_TESTS_HARNESS_FABRICATE_H

#include "ledger/writer.h"

/* A new directory of the test's own, 0700. */
const char *new_directory(void);

/* Give this test a /run of its own; root's default directory in it, made. Skips it where that is not allowed. */
const char *own_default(void);

/* A ledger DIRECTORY/NAME of this boot, mapped; of this process, in these namespaces, named "made". */
struct af_ledger *make_ledger(const char *directory, const char *name);

/* A process in it that has ended; returns its slot. */
uint32_t make_process(struct af_ledger *ledger, int32_t pid);
void make_count(struct af_ledger *ledger, uint32_t slot, enum af_counter counter, uint64_t n);

/* A record of the ring; all of them connected to this address. */
extern const struct af_addr made_peer;
void make_closed(struct af_ledger *ledger, uint64_t cookie, uint64_t at, uint32_t slot, uint32_t owner,
                 enum af_ending counted);

/* Memory that is always there. */
bool always_backed(const void *start, size_t size);

#endif
