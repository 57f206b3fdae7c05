/* The name of an errno. */
#ifndef AFTERFIN_LEDGER_ERRNO_NAME_H
#define AFTERFIN_LEDGER_ERRNO_NAME_H

#include <stdint.h>

/* "EADDRNOTAVAIL"; "unknown" for 0 and for what Linux does not have. */
const char *af_errno_name(uint32_t error);

#endif
