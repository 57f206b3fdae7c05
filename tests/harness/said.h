/* What victims that make connections say at their end. */
#ifndef AFTERFIN_TESTS_HARNESS_SAID_H
#define AFTERFIN_TESTS_HARNESS_SAID_H

#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

/* The number behind "from ADDRESS "; 0 where it is not there. */
static inline int said_from(const char *out, const char *address) {
    const char *key = text("from %s ", address), *at = strstr(out, key);
    return at ? atoi(at + strlen(key)) : 0;
}

/* The number behind "made "; -1 where it is not there. */
static inline int said_made(const char *out) {
    const char *at = strstr(out, "made ");
    return at ? atoi(at + 5) : -1;
}

#endif
