/* The subcommands. */
#ifndef AFTERFIN_CLI_COMMANDS_H
#define AFTERFIN_CLI_COMMANDS_H

#include <stddef.h>

/* One row of commands.def. */
struct af_command {
    const char *name;
    int (*run)(int argc, char **argv);
    int usage_status;
    const char *synopsis, *help;
};
extern const struct af_command af_commands[];
extern const size_t af_n_commands;

#define COMMAND(name, usage_status, synopsis, help) int af_command_##name(int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

#endif
