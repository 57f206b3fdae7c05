/* Options of a subcommand, read from its table. */
#ifndef AFTERFIN_CLI_OPTIONS_H
#define AFTERFIN_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum af_takes {
    AF_TAKES_NOTHING,
    AF_MAY_TAKE,    /* a value, only as --name=VALUE */
    AF_TAKES_VALUE, /* of several the last holds, unless it says otherwise */
    AF_TAKES_ONE,   /* a file, a process: of two one would be lost, and is refused. So is it of AF_MAY_TAKE */
};

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
    uint32_t given;      /* rows, by their place */
    int status;          /* to exit with after -1 */
};

/* The next option's id; 0 at the first operand or after `--`; -1 when the command is to end with `status`:
 * help or version were printed, or one line on stderr said what is wrong. */
int af_next_option(struct af_options *options);
/* Is no operand but the first one an option of this subcommand, where none was announced by `--`? Else af_misuse has said
 * that it comes too late. */
bool af_options_were_first(struct af_options *options);
/* Say "run: MESSAGE; try 'afterfin run --help'", set `status`; -1, always. */
int af_misuse(struct af_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The option's value as a number from `least` to `most`; false: misused, `shown` is what the option is called. */
bool af_option_number(struct af_options *options, const char *shown, unsigned least, unsigned most, unsigned *out);

/* The value of option --NAME as seconds, to the millisecond. False: af_misuse has said what is wrong. */
bool af_read_seconds(struct af_options *options, const char *name, uint32_t low_ms, uint32_t high_ms, uint32_t *ms);

/* Is there nothing `wrong`? Else, a message from malloc, it is said as af_misuse does, and freed. */
bool af_option_accepted(struct af_options *options, char *wrong);

#endif
