/* The log line: what a process has left, in logfmt or JSON. */
#ifndef AFTERFIN_SHIM_LINE_H
#define AFTERFIN_SHIM_LINE_H

#include "shim/shim.h"
#include "shim/text.h"

/* Fills force->text: what its policy was made of. */
void af_line_policy(struct af_force *force, const char *const *settings);
enum { AF_TOP_ENDPOINTS = 8 };

/* One line with its newline. `now` in ns since 1970; `room` is for what is too large for a small stack. */
void af_line(struct af_text *text, const struct af_process *process, enum af_event event, uint64_t now,
             struct af_endpoint room[AF_TOP_ENDPOINTS]);

#endif
