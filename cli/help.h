/* What --help and --version print. */
#ifndef AFTERFIN_CLI_HELP_H
#define AFTERFIN_CLI_HELP_H

#include "cli/options.h"

/* On stdout, within 80 columns. */
void af_print_help(void);
void af_print_command_help(const char *command, const struct af_option_row *rows);
void af_print_version(void);

#endif
