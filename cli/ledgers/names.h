/* Names of what ledgers tell, the same in columns, JSON and metrics. */
#ifndef AFTERFIN_CLI_LEDGERS_NAMES_H
#define AFTERFIN_CLI_LEDGERS_NAMES_H

#include "cli/ledgers/collect.h"
#include "ledger/errno_name.h"

/* "connect", of enum af_call. */
const char *af_call_name(uint32_t call);

/* "exit", "signal", "exec" or "running". */
const char *af_fate_name(enum af_fate fate);

/* "nobody", or "3000000000" where it has no name; from malloc. Empty for the user that we are. */
char *af_user_name(uint32_t uid);

/* "10.0.0.5:443", or ":443" for an accepted one. */
void af_endpoint_text(const struct af_endpoint *endpoint, char out[AF_ADDR_TEXT]);

#endif
