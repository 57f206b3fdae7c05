/* Help, made from the tables: commands.def, the options of a subcommand, policy/keys.def. */
#include "cli/help.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/version.h"
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80 };

/* Print text from column `indent` on, the cursor being at `cursor`; wrapped at blanks. */
static void wrapped(int cursor, int indent, const char *text) {
    while (*text) {
        int len = (int)strlen(text);
        if (len > WIDTH - indent) {
            for (len = WIDTH - indent; len > 0 && text[len] != ' '; len--)
                ;
            if (!len)
                len = (int)strcspn(text, " ");
        }
        printf("%*s%.*s\n", indent - cursor, "", len, text);
        text += len;
        text += *text == ' ';
        cursor = 0;
    }
}

/* "  name   text", name in a column of its own; one too long for it has the line to itself. */
static void row(const char *name, int indent, const char *text) {
    int used = printf("  %s", name);
    if (used + 2 > indent) {
        putchar('\n');
        used = 0;
    }
    wrapped(used, indent, text);
}

void af_print_version(void) {
    puts("afterfin " AF_VERSION);
}

static void print_keys(void) {
    enum { INDENT = 17 };
    puts("\nPolicy keys, as KEY=VALUE after -p and in rules, or as AFTERFIN_KEY=VALUE in\n"
         "the environment (default first):");
    for (int i = 0; i < AF_KEYS; i++) {
        row(af_keys[i].name, INDENT, af_keys[i].values);
        wrapped(0, INDENT, af_keys[i].help);
    }
    puts("\nA rule is ROLE TARGET KEY=VALUE[,...]; ROLE is bind, connect or listen, TARGET\n"
         "ADDRESS[/N][:PORT[-PORT]], * or :PORT. See afterfin(7).");
}

void af_print_help(void) {
    puts("usage: afterfin SUBCOMMAND [options] [--] [args]\n"
         "Run programs with a say in what their TCP connections leave behind.\n");
    for (size_t i = 0; i < af_n_commands; i++)
        row(af_commands[i].name, 11, af_commands[i].help);
    puts("\nafterfin SUBCOMMAND --help tells its options; so does afterfin help\nSUBCOMMAND; -V prints the version.");
    print_keys();
}

static void print_option(const struct af_option_row *option) {
    char name[64], letter[8] = "    ";
    if (option->id < AF_NO_LETTER)
        snprintf(letter, sizeof letter, option->name ? "-%c, " : "-%c", option->id);
    const char *value = option->placeholder ? option->placeholder : "";
    const char *before = option->takes == AF_MAY_TAKE ? "[=" : option->takes >= AF_TAKES_VALUE ? " " : "";
    snprintf(name, sizeof name, "%s%s%s%s%s%s", letter, option->name ? "--" : "", option->name ? option->name : "",
             before, value, option->takes == AF_MAY_TAKE ? "]" : "");
    row(name, 21, option->help);
}

static void print_examples(const char *command) {
    static const char *const examples[][3] = {
#define EXAMPLE(name, line, purpose) { #name, line, purpose },
#include "cli/examples.def"
#undef EXAMPLE
    };
    const char *title = "\nFor example:";
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        if (strcmp(examples[i][0], command) == 0) {
            if (title)
                puts(title);
            title = NULL;
            printf("  %s\n", examples[i][1]);
            wrapped(0, 6, examples[i][2]);
        }
}

void af_print_command_help(const char *name, const struct af_option_row *rows) {
    const struct af_command *command = NULL;
    for (size_t i = 0; name && i < af_n_commands; i++)
        if (strcmp(af_commands[i].name, name) == 0)
            command = &af_commands[i];
    if (!command) {
        af_print_help();
        return;
    }
    int used = printf("usage: afterfin %s ", command->name);
    wrapped(used, used, command->synopsis);
    putchar('\n');
    wrapped(0, 0, command->help);
    putchar('\n');
    for (; rows->id; rows++)
        print_option(rows);
    print_option(&(struct af_option_row){ 'h', "help", AF_TAKES_NOTHING, NULL, "print this help" });
    print_option(&(struct af_option_row){ 'V', "version", AF_TAKES_NOTHING, NULL, "print the version" });
    puts("\nThe policy keys: afterfin --help");
    print_examples(name);
}
