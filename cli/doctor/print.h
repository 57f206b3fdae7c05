/* What the files that print for doctor share. */
#ifndef AFTERFIN_CLI_DOCTOR_PRINT_H
#define AFTERFIN_CLI_DOCTOR_PRINT_H

#include "cli/doctor/doctor.h"

enum { AF_INDENT = 2 }; /* columns that a line is indented by */

/* A title, with an empty line before all but the first. */
void af_doctor_heading(const char *title);
/* Words, wrapped. */
void af_doctor_line(size_t indent, const char *format, ...) __attribute__((format(printf, 2, 3)));

void af_doctor_print_program(const struct af_program *program);
void af_doctor_print_process(const struct af_process_seen *process);

#endif
