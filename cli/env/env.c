/* afterfin env: the variables that run would set. */
#include "cli/commands.h"
#include "cli/launch/preload.h"
#include "cli/launch/settings.h"
#include "cli/options.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct af_option_row rows[] = {
    { 'p', NULL, AF_TAKES_VALUE, "KEY=VALUE", "a policy; beats the environment; may be repeated" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

static bool is_plain(const char *value) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return value[strspn(value, plain)] == 0;
}

static bool is_fit(const char *value) {
    uint32_t c;
    for (size_t len; *value; value += len)
        if (!(len = af_utf8_length(value, strlen(value), &c)) || !af_is_fit(c))
            return false;
    return true;
}

/* What a terminal would obey: $'\033', which bash, zsh and ksh read (POSIX.1-2024). */
static void print_escaped(const char *value) {
    fputs("$'", stdout);
    for (; *value; value++)
        if (*value == '\'' || *value == '\\')
            printf("\\%c", *value);
        else if (*value >= ' ' && *value <= '~')
            putchar(*value);
        else
            printf("\\%03o", (unsigned char)*value);
    puts("'");
}

/* NAME=VALUE, which a shell and a Dockerfile's ENV read alike; quoted only where they need it. */
static void print_variable(const char *name, const char *value) {
    printf("%s=", name);
    if (is_plain(value)) {
        puts(value);
        return;
    }
    if (!is_fit(value)) {
        print_escaped(value);
        return;
    }
    putchar('\'');
    for (; *value; value++)
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    puts("'");
}

static void print_setting(const struct af_settings *settings, int key) {
    const char *value = af_settings_get(settings, af_keys[key].variable);
    if (!value || !*value)
        return;
    char *line = af_format("%s", value);
    if (key == AF_KEY_RULES) /* one line each: `;` separates rules as a newline does */
        for (char *newline = line; (newline = strchr(newline, '\n'));)
            *newline = ';';
    print_variable(af_keys[key].variable, line);
}

int af_command_env(int argc, char **argv) {
    struct af_options options = { .command = "env", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    struct af_settings settings;
    int id;
    af_settings_init(&settings, environ);
    while ((id = af_next_option(&options)) > 0)
        if (!af_option_accepted(&options, af_settings_add(&settings, "-p", options.value)))
            return options.status;
    if (id < 0)
        return options.status;
    if (options.next < argc) {
        af_misuse(&options, "takes no operand, but got '%s'", argv[options.next]);
        return options.status;
    }
    if (!af_settings_check(&settings))
        return AF_EXIT_USAGE;
    if (!af_preload(&settings))
        return AF_EXIT_FAILURE;
    print_variable("LD_PRELOAD", af_settings_get(&settings, "LD_PRELOAD"));
    for (int key = 0; key < AF_KEYS; key++)
        print_setting(&settings, key);
    return 0;
}
