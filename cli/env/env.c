/* afterfin env: the variables that run would set. */
#include "cli/env/env.h"
#include "cli/commands.h"
#include "cli/launch/preload.h"
#include "cli/launch/settings.h"
#include "cli/options.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = AF_NO_LETTER };

static const struct af_option_row rows[] = {
    { 'p', NULL, AF_TAKES_VALUE, "KEY=VALUE", "a policy; beats the environment; may be repeated" },
    { FORMAT, "format", AF_TAKES_VALUE, "FORMAT",
      "plain (for a shell or a Dockerfile; the default), shell (export lines), docker (for docker run --env-file), "
      "systemd (a drop-in), kubernetes (env of a container)" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    struct af_settings settings;
    const struct af_env_format *format;
};

/* Prints one, or says that it cannot be. */
static bool give(const struct request *q, const char *name, const char *value, bool print) {
    const char *lacks = q->format->lacks(value);
    if (lacks && !print)
        af_tell("env: %s cannot be had with --format=%s, which has no way to write %s", name, q->format->name, lacks);
    if (!lacks && print)
        q->format->print(name, value);
    return !lacks;
}

static bool give_setting(const struct request *q, int key, bool print) {
    const char *value = af_settings_get(&q->settings, af_keys[key].variable);
    if (!value || !*value)
        return true;
    char *line = af_format("%s", value);
    if (key == AF_KEY_RULES && *value != '/') /* one line each: `;` separates rules as a newline does */
        for (char *newline = line; (newline = strchr(newline, '\n'));)
            *newline = ';';
    bool given = give(q, af_keys[key].variable, line, print);
    free(line);
    return given;
}

/* Nothing is printed unless all can be. */
static bool give_all(const struct request *q, bool print) {
    if (print)
        fputs(q->format->head, stdout);
    bool given = give(q, "LD_PRELOAD", af_settings_get(&q->settings, "LD_PRELOAD"), print);
    for (int key = 0; key < AF_KEYS; key++)
        given &= give_setting(q, key, print);
    return given;
}

static bool choose_format(struct request *q, struct af_options *options) {
    for (q->format = af_env_formats; q->format->name; q->format++)
        if (strcmp(q->format->name, options->value) == 0)
            return true;
    char *names = af_format("%s", af_env_formats[0].name);
    for (const struct af_env_format *f = af_env_formats + 1; f->name; f++) {
        char *more = af_format("%s, %s", names, f->name);
        free(names);
        names = more;
    }
    af_misuse(options, "--format needs one of %s, not '%s'", names, options->value);
    free(names);
    return false;
}

static bool take_option(struct request *q, struct af_options *options, int id) {
    if (id == FORMAT)
        return choose_format(q, options);
    return af_option_accepted(options, af_settings_add(&q->settings, "-p", options->value));
}

int af_command_env(int argc, char **argv) {
    struct af_options options = { .command = "env", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    struct request q = { .format = af_env_formats };
    int id;
    af_settings_init(&q.settings, environ);
    while ((id = af_next_option(&options)) > 0)
        if (!take_option(&q, &options, id))
            return options.status;
    if (id < 0)
        return options.status;
    if (options.next < argc) {
        af_misuse(&options, "takes no operand, but got '%s'", argv[options.next]);
        return options.status;
    }
    if (!af_settings_check(&q.settings))
        return AF_EXIT_USAGE;
    if (!af_preload(&q.settings) || !give_all(&q, false))
        return AF_EXIT_FAILURE;
    give_all(&q, true);
    return 0;
}
