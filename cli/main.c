/* afterfin: runs the subcommand that was asked for.
 *
 *   commands.def commands.c  the list of subcommands     options.c help.c examples.def  their options and --help
 *   run/ env/ compare/ set/ who/ top/ report/ doctor/ reap/   a folder a subcommand; none uses another
 *   launch/    starts CMD: environment, preload, what can be reached; what a run came to, verified with the kernel
 *   ledgers/   ledgers on disk joined with the kernel's table: who left what
 *   kernel/    what the kernel says: sock_diag, sockstat, sysctl, /proc, namespaces
 *   elf/       what a file tells before it is run
 *   output/    messages, columns, JSON, text made fit to print, memory
 *
 * Includes go down this list and never up (tests/cli/test_walls.c). The command is single-threaded. Its functions
 * return bool, or 0 and -errno; what went wrong has then been said on stderr where the header says so. */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/launch/child.h"
#include "cli/options.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_command(int argc, char **argv);

static int refuse_operand(const char *command, const char *takes, const char *operand) {
    af_tell("%s takes %s, but got '%s'; try 'afterfin --help'", command, takes, operand);
    return AF_EXIT_USAGE;
}

/* `afterfin help [SUBCOMMAND]` */
static int help(int argc, char **argv) {
    if (argc > 2)
        return refuse_operand("help", "one subcommand", argv[2]);
    const bool of_all = argc < 2 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0 ||
                        strcmp(argv[1], "version") == 0;
    if (!of_all)
        return run_command(2, (char *[]){ argv[1], (char[]){ "--help" }, NULL });
    af_print_help();
    return 0;
}

/* Of the subcommands, and the two words that are none. */
static const char *closest_command(const char *word) {
    const char **names = af_array(NULL, af_n_commands + 2, sizeof *names);
    for (size_t i = 0; i < af_n_commands; i++)
        names[i] = af_commands[i].name;
    names[af_n_commands] = "help";
    names[af_n_commands + 1] = "version";
    const char *meant = af_closest(word, names, af_n_commands + 2, sizeof *names);
    free(names);
    return meant;
}

static int run_command(int argc, char **argv) {
    for (size_t i = 0; i < af_n_commands; i++)
        if (strcmp(af_commands[i].name, argv[0]) == 0)
            return af_commands[i].run(argc, argv);
    if (strcmp(argv[0], "help") == 0)
        return help(argc, argv);
    if (strcmp(argv[0], "version") == 0) {
        if (argc > 1 && argv[1][0] != '-')
            return refuse_operand("version", "no operand", argv[1]);
        af_print_version();
        return 0;
    }
    const char *meant = closest_command(argv[0]);
    af_tell("unknown subcommand '%s'%s%s%s; try 'afterfin --help'", argv[0], meant ? ", did you mean " : "",
            meant ? meant : "", meant ? "?" : "");
    return AF_EXIT_USAGE;
}

static int dispatch(int argc, char **argv) {
    static const struct af_option_row none[] = { { 0, NULL, AF_TAKES_NOTHING, NULL, NULL } };
    if (argc < 2) {
        af_print_help();
        return 0;
    }
    struct af_options options = { .rows = none, .argc = argc, .argv = argv, .next = 1 };
    if (af_next_option(&options) < 0)
        return options.status;
    if (options.next < argc)
        return run_command(argc - options.next, argv + options.next);
    af_print_help();
    return 0;
}

/* A full disk or a closed pipe behind stdout is a failure of ours, unless the status belongs to CMD. */
int main(int argc, char **argv) {
    setlocale(LC_CTYPE, ""); /* how wide a character of a program's name is */
    af_child_spare_us();
    int status = dispatch(argc, argv);
    const int error = fflush(stdout) != 0 ? errno : 0; /* of an earlier write the reason is not known any more */
    if ((error || ferror(stdout)) && status == 0) {
        af_tell("cannot write to stdout%s%s", error ? ": " : "", error ? strerror(error) : "");
        return AF_EXIT_FAILURE;
    }
    return status;
}
