/* Options of a subcommand, read from its table. Not getopt_long: its messages name no subcommand, suggest
 * nothing, and it takes any unambiguous beginning of a name, which would make every new option a break. */

#include "cli/options.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct af_option_row everywhere[] = {
    { 'h', "help", AF_TAKES_NOTHING, NULL, "print this help" },
    { 'V', "version", AF_TAKES_NOTHING, NULL, "print the version" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

static int stop(struct af_options *o, int status) {
    o->status = status;
    return -1;
}

int af_misuse(struct af_options *o, const char *format, ...) {
    char message[256];
    const char *command = o->command ? o->command : "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    af_tell("%s%s%s; try 'afterfin%s%s --help'", command, *command ? ": " : "", message, *command ? " " : "", command);
    for (size_t i = 0; i < af_n_commands; i++)
        if (strcmp(af_commands[i].name, command) == 0)
            return stop(o, af_commands[i].usage_status);
    return stop(o, AF_EXIT_USAGE);
}

bool af_option_number(struct af_options *o, const char *shown, unsigned least, unsigned most, unsigned *out) {
    char *end;
    errno = 0;
    unsigned long n = strtoul(o->value, &end, 10);
    *out = (unsigned)n;
    if (*o->value >= '0' && *o->value <= '9' && !*end && !errno && n >= least && n <= most)
        return true;
    af_misuse(o, "%s needs a number from %u to %u, not '%s'", shown, least, most, o->value);
    return false;
}

static const struct af_option_row *by_letter(const struct af_options *o, char letter) {
    const struct af_option_row *tables[] = { o->rows, everywhere };
    for (int t = 0; t < 2; t++)
        for (const struct af_option_row *row = tables[t]; row->id; row++)
            if (row->id == letter)
                return row;
    return NULL;
}

static const struct af_option_row *by_name(const struct af_options *o, const char *name, size_t len) {
    const struct af_option_row *tables[] = { o->rows, everywhere };
    for (int t = 0; t < 2; t++)
        for (const struct af_option_row *row = tables[t]; row->id; row++)
            if (row->name && strlen(row->name) == len && memcmp(row->name, name, len) == 0)
                return row;
    return NULL;
}

static int once(struct af_options *o, const struct af_option_row *row) {
    const uint32_t bit = UINT32_C(1) << (row - o->rows);
    const bool again = o->given & bit && (row->takes == AF_MAY_TAKE || row->takes == AF_TAKES_ONE);
    o->given |= bit;
    return again ? af_misuse(o, "--%s is given twice", row->name) : row->id;
}

static int found(struct af_options *o, const struct af_option_row *row) {
    if (row == &everywhere[0])
        af_print_command_help(o->command, o->rows);
    else if (row == &everywhere[1])
        af_print_version();
    else
        return once(o, row);
    return stop(o, 0);
}

static int unknown(struct af_options *o, const char *text, size_t len) {
    char name[64];
    const char *names[16];
    size_t n = 0;
    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), text);
    const struct af_option_row *tables[] = { o->rows, everywhere };
    for (int t = 0; t < 2; t++)
        for (const struct af_option_row *row = tables[t]; row->id && n < 16; row++)
            names[n++] = row->name;
    const char *meant = af_closest(name, names, n, sizeof *names);
    return af_misuse(o, "unknown option --%s%s%s%s", name, meant ? ", did you mean --" : "", meant ? meant : "",
                     meant ? "?" : "");
}

static int missing_value(struct af_options *o, const struct af_option_row *row, const char *shown) {
    return af_misuse(o, "%s needs %s", shown, row->placeholder);
}

static int long_option(struct af_options *o, const char *text) {
    size_t len = strcspn(text, "=");
    const struct af_option_row *row = by_name(o, text, len);
    if (!row)
        return unknown(o, text, len);
    if (text[len] == '=') {
        if (row->takes == AF_TAKES_NOTHING)
            return af_misuse(o, "--%s takes no value", row->name);
        o->value = text + len + 1;
        if (!*o->value)
            return af_misuse(o, "--%s needs %s", text, row->placeholder);
    } else if (row->takes >= AF_TAKES_VALUE) {
        if (o->next >= o->argc)
            return missing_value(o, row, o->argv[o->next - 1]);
        o->value = o->argv[o->next++];
    }
    return found(o, row);
}

static int letter_option(struct af_options *o) {
    char letter = *o->cluster++;
    const char shown[] = { '-', letter, 0 };
    const struct af_option_row *row = by_letter(o, letter);
    if (!row)
        return af_misuse(o, "unknown option %s", shown);
    if (row->takes >= AF_TAKES_VALUE) {
        o->value = *o->cluster ? o->cluster : o->next < o->argc ? o->argv[o->next++] : NULL;
        o->cluster = NULL;
        if (!o->value)
            return missing_value(o, row, shown);
    }
    return found(o, row);
}

int af_next_option(struct af_options *o) {
    o->value = NULL;
    if (o->cluster && *o->cluster)
        return letter_option(o);
    const char *word = o->next < o->argc ? o->argv[o->next] : NULL;
    if (!word || word[0] != '-' || !word[1])
        return 0;
    o->next++;
    if (word[1] != '-') {
        o->cluster = word + 1;
        return letter_option(o);
    }
    return word[2] ? long_option(o, word + 2) : 0;
}

bool af_options_were_first(struct af_options *o) {
    if (strcmp(o->argv[o->next - 1], "--") == 0)
        return true;
    for (int i = o->next + 1; i < o->argc; i++) {
        const char *word = o->argv[i];
        if (word[0] != '-' || !word[1] ||
            !(word[1] == '-' ? by_name(o, word + 2, strcspn(word + 2, "=")) : by_letter(o, word[1])))
            continue;
        af_misuse(o, "options come first: %s before %s", word, o->argv[o->next]);
        return false;
    }
    return true;
}

bool af_read_seconds(struct af_options *options, const char *name, uint32_t low_ms, uint32_t high_ms, uint32_t *ms) {
    const char *text = options->value;
    char *end = NULL;
    const bool plain = *text && !text[strspn(text, "0123456789.")];
    const double value = plain ? strtod(text, &end) * 1000 : -1;
    const bool ok = plain && !*end && value >= low_ms && value <= high_ms;
    if (ok)
        *ms = (uint32_t)(value + 0.5);
    else
        af_misuse(options, "--%s needs seconds from %g to %g, not '%s'", name, low_ms / 1000.0, high_ms / 1000.0, text);
    return ok;
}

bool af_option_accepted(struct af_options *options, char *wrong) {
    if (wrong)
        af_misuse(options, "%s", wrong);
    free(wrong);
    return !wrong;
}
