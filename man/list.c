/* Writes the lists that the documents share into them: settings, counts and subcommands, each from the one place
 * where the code has them too.
 *
 * list roff|bash < TEMPLATE > DOCUMENT
 * What stands between a line with @NAME@ and one with @end@ is replaced; the two lines stay, as comments of the
 * document's own, so that a document tells where its lists begin and end. @version@ in a line becomes the version. */
#include "cli/version.h"
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

static const char *const role_names[AF_ROLES] = {
    [AF_ROLE_BIND] = "bind", [AF_ROLE_CONNECT] = "connect", [AF_ROLE_LISTEN] = "listen"
};

/* "connect, listen", or "" for a key that no rule takes. */
static const char *roles_of(const struct af_key_info *key) {
    static char text[64];
    text[0] = 0;
    for (int role = 0; role < AF_ROLES; role++)
        if (key->roles & 1u << role) {
            strcat(text, text[0] ? ", " : "");
            strcat(text, role_names[role]);
        }
    return text;
}

/* Columns of a word in a page's source, where - and \\ take two. */
static size_t roff_columns(const char *word, size_t len) {
    size_t columns = len;
    for (size_t i = 0; i < len; i++)
        columns += word[i] == '-' || word[i] == '\\';
    return columns;
}

/* In lines of at most 80, as man pages are written. */
static void put_roff(const char *text) {
    enum { WIDTH = 79 };
    size_t column = 0;
    for (bool first = true; *text; first = false) {
        size_t len = strcspn(text, " "), columns = roff_columns(text, len);
        bool wraps = column + 1 + columns > WIDTH;
        if (!first)
            putchar(wraps ? '\n' : ' ');
        column = first || wraps ? columns : column + 1 + columns;
        for (; len--; text++)
            printf(*text == '-' || *text == '\\' ? "\\%c" : "%c", *text == '\\' ? 'e' : *text);
        text += *text == ' ';
    }
}

/* Settings. ----------------------------------------------------------------------------------------------- */

static void roff_keys(void) {
    for (const struct af_key_info *key = af_keys; key < af_keys + AF_KEYS; key++) {
        printf(".TP\n\\fB%s\\fR = ", key->variable);
        put_roff(key->values);
        puts("");
        put_roff(key->help);
        puts(".");
        if (key->fallback[0])
            printf("Default: %s.\n", key->fallback);
        if (key->roles)
            printf("In rules: %s.\n", roles_of(key));
    }
}

/* The words of a key's values: what is in lower case stands for itself, /FILE and /DIRECTORY for a path. */
static void bash_keys(void) {
    fputs("_afterfin_keys='", stdout);
    for (int i = 0; i < AF_KEYS; i++)
        printf(i ? " %s" : "%s", af_keys[i].name);
    puts("'\n\n_afterfin_values() {\n    case $1 in");
    for (const struct af_key_info *key = af_keys; key < af_keys + AF_KEYS; key++) {
        const char *path = strstr(key->values, "/FILE") ? "-f" : strstr(key->values, "/DIRECTORY") ? "-d" : "";
        printf("        %s) echo '", key->name);
        for (const char *word = key->values, *next; *word; word = next) {
            size_t len = strcspn(word, ",");
            next = word + len + strspn(word + len, ", ");
            if (strspn(word, "abcdefghijklmnopqrstuvwxyz-") == len)
                printf("%.*s ", (int)len, word);
        }
        printf("%s' ;;\n", path);
    }
    puts("    esac\n}");
}

/* Ways. ---------------------------------------------------------------------------------------------------- */

static void roff_ways(void) {
    puts(".EX\n                taken / handed in");
#define WAY(key, taken, handed_in) \
    printf("%-15s ", af_keys[AF_KEY_##key].name); \
    puts(strcmp(taken, handed_in) == 0 ? taken : taken " / " handed_in);
#include "cli/launch/ways.def"
#undef WAY
    puts(".EE");
}

/* Counts. ------------------------------------------------------------------------------------------------- */

#define DERIVED COUNTER

static void roff_counters(void) {
#define COUNTER(name, help) puts(".TP\n.B " #name "\n" help ".");
#include "ledger/counters.def"
#undef COUNTER
}

/* Subcommands. -------------------------------------------------------------------------------------------- */

static void roff_commands(void) {
    const char *between = "";
#define COMMAND(name, status, synopsis, help) \
    printf("%s.B afterfin " #name "\n", between); \
    put_roff(synopsis); \
    between = "\n.br\n";
#include "cli/commands.def"
#undef COMMAND
    putchar('\n');
}

static void bash_commands(void) {
    fputs("_afterfin_commands='", stdout);
#define COMMAND(name, status, synopsis, help) fputs(#name " ", stdout);
#include "cli/commands.def"
#undef COMMAND
    puts("'");
}

static const struct list {
    const char *marker, *format;
    void (*print)(void);
} lists[] = {
    { "@keys@", "roff", roff_keys },         { "@keys@", "bash", bash_keys },
    { "@counters@", "roff", roff_counters }, { "@commands@", "roff", roff_commands },
    { "@commands@", "bash", bash_commands }, { "@ways@", "roff", roff_ways },
};
enum { N_LISTS = sizeof lists / sizeof *lists };

static const struct list *list_in(const char *line, const char *format) {
    for (const struct list *list = lists; list < lists + N_LISTS; list++)
        if (strstr(line, list->marker) && strcmp(list->format, format) == 0)
            return list;
    return NULL;
}

static void put_line(char *line) {
    static const char marker[] = "@version@";
    char *at = strstr(line, marker);
    if (at)
        printf("%.*s" AF_VERSION "%s", (int)(at - line), line, at + sizeof marker - 1);
    else
        fputs(line, stdout);
}

int main(int argc, char **argv) {
    char line[4096];
    bool skipping = false;
    if (argc != 2) {
        fputs("usage: list roff|bash < TEMPLATE\n", stderr);
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        const struct list *list = list_in(line, argv[1]);
        if (strstr(line, "@end@"))
            skipping = false;
        if (!skipping)
            put_line(line);
        if (list) {
            list->print();
            skipping = true;
        }
    }
    return ferror(stdin) || fflush(stdout) != 0 || skipping;
}
