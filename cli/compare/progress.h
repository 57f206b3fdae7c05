/* How far compare is: one line in place of the other on a terminal, else a line now and then; on stderr. */
#ifndef AFTERFIN_CLI_COMPARE_PROGRESS_H
#define AFTERFIN_CLI_COMPARE_PROGRESS_H

#include <stddef.h>

/* Runs of A and of B, warm-up among them. */
struct af_progress {
    int terminal; /* stderr as it was, or -1 */
    size_t made[2], to_make[2];
    double spent_s[2];
    double began, told; /* the present run; when something was last said */
};

/* Before the first run: so many rounds, and how many their question takes. */
void af_progress_begin(struct af_progress *progress, unsigned rounds, unsigned warmup);
/* `what` is under way, a run of this side; and its end. */
void af_progress_run(struct af_progress *progress, int side, const char *what);
void af_progress_made(struct af_progress *progress, int side);

/* To a terminal only. "" takes away what is there. */
void af_progress_show(const struct af_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
