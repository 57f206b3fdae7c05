/* Where the walls of cli/ stand: which folder may include what of which, read out of the #include lines, and that the
 * file of a subcommand serves nobody but the table of subcommands. */
#include "tests/harness/shell.h"

/* Arrows go down this list. */
static const struct {
    const char *folder;
    int height;
} shared[] = { { "launch", 4 }, { "ledgers", 3 }, { "kernel", 2 }, { "elf", 2 }, { "output", 1 } };

enum { SUBCOMMAND = 5, TOP = 6 };

/* "cli/FOLDER/FILE" -> FOLDER, or "" of a file right in cli/; NULL: it is not in cli/. */
static const char *folder_of(const char *path) {
    static char folders[2][64];
    static unsigned turn;
    char *folder = folders[turn++ % 2];
    if (strncmp(path, "cli/", 4) != 0)
        return NULL;
    const char *rest = path + 4, *slash = strchr(rest, '/');
    snprintf(folder, sizeof folders[0], "%.*s", slash ? (int)(slash - rest) : 0, rest);
    return folder;
}

static int height_of(const char *folder) {
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (strcmp(folder, shared[i].folder) == 0)
            return shared[i].height;
    return *folder ? SUBCOMMAND : TOP;
}

/* Commands take their options from the top's tables; nothing else looks up. */
static bool may_include(const char *from, const char *to) {
    const char *a = folder_of(from), *b = folder_of(to);
    if (!a || !b)
        return !b || strncmp(from, "cli/", 4) != 0;
    if (strcmp(a, b) == 0)
        return true;
    const int above = height_of(a), below = height_of(b);
    return above == SUBCOMMAND && below == TOP ? true : above > below && below < SUBCOMMAND;
}

Test(walls, the_rule_knows_up_from_down) {
    static const struct {
        const char *from, *to;
        bool may;
    } rows[] = {
        { "cli/who/who.c", "cli/ledgers/owners.h", true },
        { "cli/who/who.c", "cli/who/who.h", true },
        { "cli/who/who.c", "cli/options.h", true },
        { "cli/who/who.c", "ledger/reader.h", true },
        { "cli/who/who.c", "cli/top/top.h", false },
        { "cli/ledgers/settle.c", "cli/kernel/diag.h", true },
        { "cli/ledgers/settle.c", "cli/launch/result.h", false },
        { "cli/ledgers/filter.c", "cli/options.h", false },
        { "cli/kernel/diag.c", "cli/elf/elf.h", false },
        { "cli/output/json.c", "cli/ledgers/collect.h", false },
        { "cli/main.c", "cli/output/say.h", true },
        { "cli/main.c", "cli/who/who.h", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(may_include(rows[i].from, rows[i].to), rows[i].may, "%s -> %s", rows[i].from, rows[i].to);
}

Test(walls, no_include_goes_up_or_across) {
    struct ended e = shell("grep -rn --include='*.[ch]' '^#include \"' cli | sed 's/:[0-9]*:#include \"/ /; s/\"$//'");
    size_t n = 0;
    char *rest = NULL;
    cr_assert_eq(e.status, 0, "%s", e.err);
    for (char *line = strtok_r(strdup(e.out), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++) {
        char from[256], to[256];
        cr_assert_eq(sscanf(line, "%255s %255s", from, to), 2, "%s", line);
        cr_expect(may_include(from, to), "%s includes %s", from, to);
    }
    cr_expect_gt(n, 200, "only %zu includes were found", n);
}

/* What comes from outside reaches a terminal or JSON through output/ alone (text.h). */
Test(walls, nothing_goes_out_past_output) {
    struct ended e = shell("grep -rnE --include='*.c' '\\bjson_dumpf?s?\\(|fprintf\\(stderr|perror\\(|warnx?\\(' cli | "
                           "grep -v '^cli/output/'");
    cr_expect_str_empty(e.out);
}

/* Else what prints would include the header of the command that calls it, and every subcommand were a ring. */
Test(walls, the_file_of_a_subcommand_serves_the_table_alone) {
    static const char *const commands[] = {
#define COMMAND(name, status, synopsis, text) #name,
#include "cli/commands.def"
#undef COMMAND
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct ended e = shell("nm -g --defined-only build/obj/cli/%s/%s.o | cut -d' ' -f3", commands[i], commands[i]);
        char only[64];
        snprintf(only, sizeof only, "af_command_%s\n", commands[i]);
        cr_expect_str_eq(e.out, only, "%s", commands[i]);
    }
}
