/* What is asked of afterfin: the environment, and -p on top of it. */
#ifndef AFTERFIN_CLI_LAUNCH_SETTINGS_H
#define AFTERFIN_CLI_LAUNCH_SETTINGS_H

#include "cli/kernel/rights.h"
#include "policy/policy.h"

/* How programs that are static are to be reached, if at all: supervisor.h. */
enum af_supervised { AF_NOT_SUPERVISED, AF_SOCKETS_TAKEN, AF_SOCKETS_HANDED_IN };

struct af_settings {
    char **environment;  /* of CMD: NULL-terminated, its own array */
    char given[AF_KEYS]; /* by which option, 'p' of -p, '=': as KEY=VALUE; 0: by none */
    struct af_policy policy;
    void *room; /* of the policy */
    char *file; /* text of the file of rules that the policy was parsed from, or NULL; from malloc */
    size_t file_size;
    const struct af_rights *rights; /* of the process whose settings these are, which reads that file; NULL: ours */
    enum af_supervised supervised;
};

/* Start from `environment` (environ). */
void af_settings_init(struct af_settings *settings, char *const *environment);

/* The key that "linger=ack" names, or LINGER=ack, or AFTERFIN_LINGER=ack: an enum af_key; -1: none. */
int af_settings_key(const char *key_value);

/* Take the KEY=VALUE of an option, `shown` as "-p"; NULL: it stands alone. NULL, or what is wrong with it, from malloc. */
char *af_settings_add(struct af_settings *settings, const char *shown, const char *key_value);

/* Parse what is there now into settings->policy. False: the parser's line is in *error, and names the option that the
 * value came from, or the variable; or it has been printed. */
bool af_settings_parse(struct af_settings *settings, struct af_error *error);
bool af_settings_check(struct af_settings *settings);

/* NAME's value, or NULL; put NAME=value in place of what was there, or take it out (NULL). */
const char *af_settings_get(const struct af_settings *settings, const char *name);
void af_settings_set(struct af_settings *settings, const char *name, const char *value);

#endif
