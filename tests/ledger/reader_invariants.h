/* What must hold of any file that is taken for a ledger, shared by fuzz_reader.c and test_hostile.c. */
#ifndef AFTERFIN_TESTS_LEDGER_READER_INVARIANTS_H
#define AFTERFIN_TESTS_LEDGER_READER_INVARIANTS_H

#include <stddef.h>

enum { READER_SEEDS = 4, READER_SEED_ROOM = 32 * 1024 };

/* A small ledger, whole: written with the library's writer. Returns its size. */
size_t reader_seed(unsigned which, void *out);

/* Collect the ledgers of the directory and settle them with a made-up kernel; NULL, or what does not hold. */
const char *reader_broken(int directory);

#endif
