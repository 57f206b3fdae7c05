/* See sockstat.h. */
#include "cli/kernel/sockstat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long af_sockstat(const char *field) {
    /* /proc/net is not there in a /proc of processes only (subset=pid). */
    FILE *file = fopen("/proc/self/net/sockstat", "re");
    char line[256], key[32];
    long value = -1;
    snprintf(key, sizeof key, " %s ", field);
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, key) : NULL;
        if (at)
            value = atol(at + strlen(key));
    }
    if (file)
        fclose(file);
    return value;
}

/* They have a line of names before each line of numbers. */
int64_t af_netstat(const char *group, const char *field) {
    FILE *file = fopen(strcmp(group, "TcpExt:") == 0 ? "/proc/self/net/netstat" : "/proc/self/net/snmp", "re");
    char *names = NULL, *numbers = NULL, *rest = NULL, *rest_too = NULL;
    size_t room = 0, room_too = 0;
    int64_t found = -1;
    while (file && found < 0 && getline(&names, &room, file) > 0 && getline(&numbers, &room_too, file) > 0) {
        const char *name = strtok_r(names, " \n", &rest), *number = strtok_r(numbers, " \n", &rest_too);
        if (!name || strcmp(name, group) != 0)
            continue;
        while (name && number && strcmp(name, field) != 0) {
            name = strtok_r(NULL, " \n", &rest);
            number = strtok_r(NULL, " \n", &rest_too);
        }
        found = name && number ? strtoll(number, NULL, 10) : -1;
    }
    if (file)
        fclose(file);
    free(names);
    free(numbers);
    return found;
}
