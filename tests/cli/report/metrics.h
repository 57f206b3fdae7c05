/* What report --prometheus has written. */
#ifndef AFTERFIN_TESTS_CLI_REPORT_METRICS_H
#define AFTERFIN_TESTS_CLI_REPORT_METRICS_H

#include "tests/harness/command.h"

#include <stdlib.h>

/* The value of `sample`, "name" or "name{labels}"; -1: it is not there. */
static inline double metric(const char *text, const char *sample) {
    const size_t size = strlen(sample);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, sample, size) == 0 && line[size] == ' ')
            return strtod(line + size, NULL);
    }
    return -1;
}

#endif
