/* What the files of the command share.
 *
 *   main.c commands.c  dispatch, and its table       options.c help.c  options of a subcommand, from a table
 *   run.c env.c who.c report.c reap.c  subcommands   say.c             messages, did you mean
 *   settings.c         environment and -p            preload.c         where the library is, LD_PRELOAD
 *   reach.c elf.c elf_dynamic.c elf_code.c x86.c  what a CMD is, and can it be reached
 *   doctor.c doctor_*.c  machine, program, process, and what to change (doctor.h)
 *   child.c            start it, forward signals, wait
 *   watched.c          CMD with ledgers, settled     alive.c           does a process still run
 *   place.c            directories for ledgers       settle.c          ledgers against the kernel
 *   collect.c          ledgers -> processes, ends
 *   endpoints.c        where TIME_WAITs lead         place_users.c     directories of all users, for root
 *   diag.c             the kernel's sockets          result.c run_table.c run_json.c  what run tells
 *   owners.c           TIME_WAITs and their owners   who_table.c who_json.c  what who tells
 *   top.c look.c       top, and what it looks at     top_sample.c top_rows.c  looks -> what to show of them
 *   top_view.c top_json.c  rows in order, in cells   top_live.c top_keys.c top_screen.c  the live view
 *   netns.c            other network namespaces      tidy.c            ledgers whose processes are gone
 *   report_log.c       log lines                     report_sum.c report_print.c  what report tells
 *   report_metrics.c   the same, for Prometheus      past.c            counts of ledgers that are gone
 *   ports.c ephemeral.c  local ports, who has them  sysctl.c        settings of the kernel
 *   output.c           where JSON and metrics go     filter.c          --pid and --peer
 *   reap_round.c       one round of reap             reap_watch.c      the next ones, as a service
 *   reap_where.c reap_print.c  what reap tells       sockstat.c        the kernel's own sums
 *   table.c text.c     columns that fit, clean text  memory.c json.c   malloc that does not fail, JSON
 *
 * The command is single-threaded. Its functions return bool, or 0 and -errno; what went wrong has then been
 * said on stderr where the header says so. */
#ifndef AFTERFIN_CLI_CLI_H
#define AFTERFIN_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AF_EXIT_FAILURE = 1, AF_EXIT_USAGE = 2, AF_EXIT_RUN = 125 };

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

/* options.c ------------------------------------------------------------------------------------------------ */

enum af_takes { AF_TAKES_NOTHING, AF_TAKES_VALUE, AF_MAY_TAKE /* a value, only as --name=VALUE */ };

/* One option; rows end with an id of 0. The id is its letter, or beyond all letters where it has none. */
struct af_option_row {
    int id;
    const char *name; /* NULL: has only a letter */
    enum af_takes takes;
    const char *placeholder;
    const char *help;
};
enum { AF_NO_LETTER = 256 };

struct af_options {
    const char *command; /* the subcommand's name */
    const struct af_option_row *rows;
    int argc, next; /* argv[next] is the first operand once af_next_option returned 0 */
    char **argv;
    const char *cluster; /* rest of -qf */
    const char *value;   /* of the option just returned, or NULL */
    int status;          /* to exit with after -1 */
};

/* The next option's id; 0 at the first operand or after `--`; -1 when the command is to end with `status`:
 * help or version were printed, or one line on stderr said what is wrong. */
int af_next_option(struct af_options *options);
/* Say "run: MESSAGE; try 'afterfin run --help'", set `status`; -1, always. */
int af_misuse(struct af_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The option's value as a number from `least` to `most`; false: misused, `shown` is what the option is called. */
bool af_option_number(struct af_options *options, const char *shown, unsigned least, unsigned most, unsigned *out);

/* The value of option --NAME as seconds, to the millisecond. False: af_misuse has said what is wrong. */
bool af_read_seconds(struct af_options *options, const char *name, uint32_t low_ms, uint32_t high_ms, uint32_t *ms);

/* help.c --------------------------------------------------------------------------------------------------- */

/* On stdout, within 80 columns. */
void af_print_help(void);
void af_print_command_help(const char *command, const struct af_option_row *rows);
void af_print_version(void);

/* say.c ---------------------------------------------------------------------------------------------------- */

/* One line on stderr, "afterfin: " in front. */
void af_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From now on hand each line, without its end, to `hear` instead; NULL: to stderr again. */
void af_tell_to(void (*hear)(const char *line));

/* Of n words `stride` bytes apart (each record begins with a const char *), the one that `text` most likely
 * stands for, or NULL. */
const char *af_closest(const char *text, const void *records, size_t n, size_t stride);

#endif
