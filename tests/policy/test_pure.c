/* policy/ is pure: its objects import next to nothing and hold nothing that can be written to. */
#include "tests/policy/parsed.h"

/* What a tool says of the objects that the library links. */
static FILE *look(const char *command) {
    FILE *f = popen(command, "r");
    cr_assert(f, "%s: %s", command, strerror(errno));
    return f;
}

/* Lines like "                 U memcpy", "0000 d name", "FILE:", "". */
#define SYMBOLS "nm build/pic/policy/*.o 2>&1"

Test(policy_pure, its_objects_import_nothing_beyond_a_short_list) {
    static const char *const allowed[] = { "memcpy", "memset", "memcmp", "memmove", "strlen", "_GLOBAL_OFFSET_TABLE_" };
    char line[256], name[200];
    unsigned seen = 0;
    FILE *f = look(SYMBOLS);
    while (fgets(line, sizeof line, f)) {
        bool good = false;
        if (sscanf(line, " U %199s", name) != 1)
            continue;
        for (size_t i = 0; i < ROWS(allowed); i++)
            good |= strcmp(name, allowed[i]) == 0;
        good |= strncmp(name, "af_", 3) == 0;
        cr_expect(good, "%s", name);
        seen++;
    }
    cr_expect(pclose(f) == 0 && seen > 0, "there are objects to look at");
}

Test(policy_pure, its_objects_hold_no_writable_state) {
    char line[256], type, name[200];
    unsigned seen = 0;
    FILE *f = look(SYMBOLS);
    while (fgets(line, sizeof line, f)) {
        if (strchr(line, ':') || sscanf(line, "%*x %c %199s", &type, name) != 2) /* "FILE:" */
            continue;
        /* af_keys is const; position-independent code keeps its pointers in .data.rel.ro, a `D` for nm */
        cr_expect(!strchr("BbDdCcGgSs", type) || strcmp(name, "af_keys") == 0, "%c %s", type, name);
        seen++;
    }
    cr_expect(pclose(f) == 0 && seen > 50, "there are objects to look at");
}

/* A table of pointers would be a relocation each, which every program pays for at its start. */
Test(policy_pure, only_the_list_of_keys_is_a_table_of_pointers) {
    char line[256];
    bool keys = false;
    unsigned tables = 0, objects = 0;
    FILE *f = look("objdump -h build/pic/policy/*.o 2>&1");
    while (fgets(line, sizeof line, f)) {
        if (strstr(line, "file format")) {
            keys = strstr(line, "keys.o") != NULL;
            objects++;
        }
        if (!strstr(line, ".data.rel"))
            continue;
        cr_expect(keys, "%s", line);
        tables++;
    }
    cr_expect(pclose(f) == 0 && objects > 5 && tables <= 1, "%u tables in %u objects", tables, objects);
}
