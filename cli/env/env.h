/* The ways in which env prints a variable: each for a place that reads it by rules of its own. */
#ifndef AFTERFIN_CLI_ENV_ENV_H
#define AFTERFIN_CLI_ENV_ENV_H

struct af_env_format {
    const char *name;
    const char *head; /* before the first variable */
    /* What cannot be said in this format of such a value; NULL: all can. */
    const char *(*lacks)(const char *value);
    void (*print)(const char *name, const char *value);
};
extern const struct af_env_format af_env_formats[]; /* the first is the default; ends with a NULL name */

#endif
