/* Prints calls with what came of them: result and errno, which a success must leave as it was. What is printed is
 * the same in every run, so that two runs can be compared byte for byte. */
#ifndef SHOW_H
#define SHOW_H

#include "way.h"

#include <dirent.h>

enum { UNTOUCHED = 77 }; /* an errno that none of the calls gives */

#define SHOW(call) \
    do { \
        errno = UNTOUCHED; \
        shown(#call, (long)(call)); \
    } while (0)

static inline void shown(const char *call, long result) {
    int error = errno;
    printf("%s = %ld %s\n", call, result, error == UNTOUCHED ? "" : error_name(error));
    fflush(stdout);
}

/* The descriptors that are open. */
static inline void show_descriptors(const char *when) {
    DIR *dir = opendir("/proc/self/fd");
    bool open[256] = { false };

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.' && atoi(e->d_name) < 256)
            open[atoi(e->d_name)] = true;
    if (dir)
        closedir(dir);
    printf("descriptors %s:", when);
    for (int i = 0; i < 256; i++)
        if (open[i])
            printf(" %d", i);
    printf("\n");
    fflush(stdout);
}

#endif
