/* Programs that many people run, as they come from the distribution: started as servers and clients on either
 * side of the library, and judged by the kernel's books of their namespace and by what they print. */
#ifndef AFTERFIN_TESTS_HARNESS_PROGRAMS_H
#define AFTERFIN_TESTS_HARNESS_PROGRAMS_H

#include "tests/harness/harness.h"

/* Which side runs under the library, and with linger=ack or only counted. */
struct sides {
    const char *name;
    bool server, client, ack;
};
#define SIDES 7
extern const struct sides all_sides[SIDES]; /* the first: both bare */

/* What one pair of programs left behind. */
struct outcome {
    long tw, client_tw; /* TIME_WAITs that the kernel made, and those of the client's side */
    struct ended client, server;
    const char *client_log, *server_log; /* all their lines; NULL where they are bare */
};

/* Skips the test where a program is not installed. */
void need_program(const char *name);

/* A pair: a server that is ready once it listens on `port`, told to end by `stop`; a client that ends by itself.
 * Both commands are formats for the directory. */
struct pair {
    const char *server, *client, *directory;
    unsigned port;
    int stop;
};
/* A directory of the test's own in which `files` (name, text, ..., NULL) were written; it goes with
 * program_directory_remove. */
const char *program_directory(const char *const files[]);
void program_directory_remove(const char *directory);

/* Runs the pair in a namespace of its own. */
struct outcome run_pair(const struct pair *pair, const struct sides *sides);

/* The sum of a field over all lines of a log; asserts that each line adds up, and leaves nothing open. */
long log_sum(const char *log, const char *field);
/* The logs of one outcome say what the kernel says; with ack, nothing is left but what a client
 * let go of before it was answered. */
void expect_counted(const struct outcome *o, const struct sides *sides, const char *what);

/* Text without the lines that begin with one of `varying` ("A|B"), and without decimals, or without any number. */
const char *masked(const char *text, const char *varying, bool every_number);

#endif
