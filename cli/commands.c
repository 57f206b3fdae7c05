/* The table of subcommands. */
#include "cli/commands.h"

const struct af_command af_commands[] = {
#define COMMAND(name, usage_status, synopsis, help) { #name, af_command_##name, usage_status, synopsis, help },
#include "cli/commands.def"
#undef COMMAND
};
const size_t af_n_commands = sizeof af_commands / sizeof *af_commands;
