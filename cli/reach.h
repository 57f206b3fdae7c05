/* Can the library be preloaded into CMD at all? */
#ifndef AFTERFIN_CLI_REACH_H
#define AFTERFIN_CLI_REACH_H

#include <stdbool.h>

/* False: no, and `why` says so in a line that names the file. True: yes, or it cannot be told (a CMD that is
 * not there, or may not be read: exec will tell). `command` is looked for as execvp(3) does, with this PATH
 * (NULL: the default one). */
bool af_reachable(const char *command, const char *path, char why[512]);

#endif
