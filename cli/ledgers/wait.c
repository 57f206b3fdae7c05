/* A ledger that is just being made. */
#include "cli/ledgers/collect.h"

#include <time.h>

enum { WRITER_MS = 1000 /* as long as the reader takes a file for unfinished */ };

bool af_wait_for_writer(unsigned *spent_ms) {
    if (*spent_ms >= WRITER_MS)
        return false;
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    ++*spent_ms;
    return true;
}
