/* What ledgers tell, as JSON. */
#ifndef AFTERFIN_CLI_LEDGERS_JSON_H
#define AFTERFIN_CLI_LEDGERS_JSON_H

#include "cli/ledgers/collect.h"
#include "cli/output/json.h"

/* One number a row of counters.def; null: not known. */
void af_json_put_counts(json_t *object, const struct af_counts *counts);

/* {"connect:ECONNREFUSED": 12}: added to what is there. */
void af_json_add_errors(json_t *errors, const struct af_seen_process *seen);
/* {"10.0.0.5:443": 12} */
json_t *af_json_endpoints(const struct af_row *row);

#endif
