/* See progress.h. */
#include "cli/compare/progress.h"
#include "cli/compare/experiment.h"
#include "cli/output/say.h"
#include "cli/output/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { TELL_EVERY_S = 10 };

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void af_progress_show(const struct af_progress *p, const char *format, ...) {
    char line[80];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    char shown[4 * sizeof line];
    af_show(line, shown, sizeof shown - 1);
    if (p->terminal >= 0)
        dprintf(p->terminal, "\r\033[K%s", shown);
}

void af_progress_begin(struct af_progress *p, unsigned rounds, unsigned warmup) {
    *p = (struct af_progress){ .terminal = isatty(STDERR_FILENO) ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1,
                               .to_make = { (size_t)rounds + warmup, (size_t)rounds + warmup },
                               .told = now_s() };
    af_tell("compare: %u round%s; what is plain takes up to %u, 10 %% in 5 %% noise %u", rounds, rounds == 1 ? "" : "s",
            af_rounds_needed(AF_METRICS), AF_ROUNDS_FOR_A_TENTH);
}

/* Seconds that are left, as runs have taken so far; a side that has had none takes as long as the other. Negative: none
 * was made. */
static double left_s(const struct af_progress *p) {
    double mean[2], left = 0;
    if (!p->made[0] && !p->made[1])
        return -1;
    for (int s = 0; s < 2; s++) {
        const int from = p->made[s] ? s : !s;
        mean[s] = p->spent_s[from] / (double)p->made[from];
        left += mean[s] * (double)(p->to_make[s] - p->made[s]);
    }
    return left;
}

/* "; about 42 s left", with room for it. */
static const char *eta(const struct af_progress *p, char text[40]) {
    const double left = left_s(p);
    text[0] = 0;
    if (left >= 3600)
        snprintf(text, 40, "; about %.1f h left", left / 3600);
    else if (left >= 120)
        snprintf(text, 40, "; about %.0f min left", left / 60);
    else if (left >= 0)
        snprintf(text, 40, "; about %.0f s left", left);
    return text;
}

void af_progress_run(struct af_progress *p, int side, const char *what) {
    char left[40];
    p->began = now_s();
    af_progress_show(p, "%s, %c%s", what, "AB"[side], eta(p, left));
}

void af_progress_made(struct af_progress *p, int side) {
    const double now = now_s();
    const size_t all = p->to_make[0] + p->to_make[1];
    char left[40];
    p->spent_s[side] += now - p->began;
    p->made[side]++;
    const size_t made = p->made[0] + p->made[1];
    if (p->terminal >= 0 || made == all || now - p->told < TELL_EVERY_S)
        return;
    p->told = now;
    af_tell("compare: %zu of %zu runs%s", made, all, eta(p, left));
}
