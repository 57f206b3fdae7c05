/* See busy.h. */
#include "cli/output/busy.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { QUIET_MS = 2000, EVERY_MS = 250 };

static struct {
    const char *command; /* NULL: nothing is under way, or nobody looks */
    long long began_ms, told_ms;
    bool shown;
} busy;

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

void af_busy_begin(const char *command) {
    if (isatty(STDERR_FILENO))
        busy.command = command;
    busy.began_ms = now_ms();
}

void af_busy(const char *what, size_t done, size_t all) {
    const long long now = busy.command ? now_ms() : 0;
    if (!busy.command || now - busy.began_ms < QUIET_MS || now - busy.told_ms < EVERY_MS)
        return;
    busy.told_ms = now;
    busy.shown = true;
    if (all)
        dprintf(STDERR_FILENO, "\r\033[K%s: %zu of %zu %s", busy.command, done, all, what);
    else
        dprintf(STDERR_FILENO, "\r\033[K%s: %zu %s", busy.command, done, what);
}

void af_busy_hide(void) {
    if (busy.shown)
        dprintf(STDERR_FILENO, "\r\033[K");
    busy.shown = false;
}

void af_busy_end(void) {
    af_busy_hide();
    busy.command = NULL;
}
