/* The afterfin command, as a person or a script uses it. */
#ifndef AFTERFIN_TESTS_HARNESS_COMMAND_H
#define AFTERFIN_TESTS_HARNESS_COMMAND_H

#include "tests/harness/harness.h"

#include <jansson.h>

const char *command_path(void);

/* Start `afterfin ARGUMENT...` (NULL ends them) without any setting of ours in the environment but these:
 * "NAME=VALUE", several separated by '|', or NULL. It has this process's standard input. */
struct victim command_start(const char *environment, ...) __attribute__((sentinel));
/* The same, and wait for its end. */
struct ended command(const char *environment, ...) __attribute__((sentinel));

/* Start a program on a terminal of its own, as the leader of its session; *terminal is the other side. `width` is the
 * terminal's. */
pid_t argv_on_terminal(int *terminal, unsigned short width, const char *const argv[]);
/* The command likewise. */
pid_t command_on_terminal(int *terminal, unsigned short width, const char *environment, ...) __attribute__((sentinel));
/* What is written to the terminal until `text` is among it, or until its end (text NULL). */
const char *terminal_read(int terminal, const char *text);
/* Columns of the widest line; escape sequences have none. */
size_t widest(const char *text);

/* `afterfin run -q --json=FILE ARGUMENT...`: what it wrote; the status has been checked. */
json_t *run_json(const char *environment, int status, ...) __attribute__((sentinel));
/* A number in it by path, "kernel.attributed" or "processes.0.pid"; -1: not there, or no number. */
long json_number(const json_t *json, const char *path);
const json_t *json_find(const json_t *json, const char *path);
/* The object at `path` has these fields, and no other; NULL ends them. */
void json_expect_fields(const json_t *json, const char *path, const char *const *names);

/* The sum of its `time_wait_to`: of one process. */
long json_endpoints(const json_t *process);

/* How many entries of this directory begin with `prefix`. */
unsigned entries(const char *directory, const char *prefix);

#endif
