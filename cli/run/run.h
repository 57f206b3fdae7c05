/* What run tells of what came of CMD. */
#ifndef AFTERFIN_CLI_RUN_RUN_H
#define AFTERFIN_CLI_RUN_RUN_H

#include "cli/launch/result.h"

/* The table, on stderr. */
void af_result_print(const struct af_result *result);

/* JSON to stdout (path NULL) or to a file. False: it has been said why. */
bool af_result_write_json(const struct af_result *result, const char *path);

#endif
