/* See sysctl.h. */
#include "cli/kernel/sysctl.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "/proc/sys/"

static char *read_line(const char *path) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    errno = 0;
    ssize_t size = getline(&line, &room, file);
    const int error = errno;
    fclose(file);
    if (size < 0) { /* an empty one is no failure */
        free(line);
        line = error ? NULL : af_format("%s", "");
    }
    errno = error;
    return line;
}

char *af_sysctl(const char *name) {
    char *path = af_format(DIRECTORY "%s", name);
    for (char *c = path + strlen(DIRECTORY); *c; c++)
        *c = *c == '.' ? '/' : *c;
    char *line = read_line(path);
    const int error = errno;
    free(path);
    if (line)
        line[strcspn(line, "\n")] = 0;
    errno = error;
    return line;
}

int64_t af_sysctl_number(const char *value) {
    char *end = NULL;
    const long long n = value ? strtoll(value, &end, 10) : -1;
    return end != value ? n : -1;
}

int64_t af_sysctl_value(const char *name) {
    char *text = af_sysctl(name);
    const int64_t value = af_sysctl_number(text);
    free(text);
    return value;
}
